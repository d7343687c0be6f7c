"""The page of registers is what hw/interface.json says, and so is what the hardware's package holds."""

import dataclasses

import pytest

from flow.engine.interface import Field, load_interface, package_text
from flow.engine.register_page import PAGE, page_text
from flow.errors import GatefoldError


def test_the_page_is_current():
    assert PAGE.read_text() == page_text(), "run: python -m flow.engine.register_page"


def test_page_and_package_follow_the_interface():
    interface = load_interface()
    moved = dataclasses.replace(interface, fields={**interface.fields, "control": {"start": Field(5, 3, "Start a batch.")}})
    assert "| `control` | 7:5 | `start` | Start a batch. |" in page_text(moved)
    assert "localparam int CONTROL_START = 5;" in package_text(moved) and "CONTROL_START_WIDTH = 3;" in package_text(moved)
    assert "CONTROL_RESET" in package_text() and "CONTROL_RESET" not in package_text(moved)


def test_fields_of_a_register_lie_apart_and_within_it(tmp_path):
    text = load_interface.__defaults__[0].read_text()
    path = tmp_path / "interface.json"
    for damage in ('["done", 0, 1', '["done", 0, 2', '["done", 32, 1', '["done", 1, 0'):
        path.write_text(text.replace('["done", 1, 1', damage))
        with pytest.raises(GatefoldError, match="field done of register status"):
            load_interface(path)


def test_a_field_reads_its_bits():
    field = Field(8, 8, "")
    assert field.mask == 0xFF00 and field.of(0x12345678) == 0x56 and field.bits == "15:8" and Field(3, 1, "").bits == "3"
