"""The hardware handoff says where registers and clock are; real PYNQ reads it in tests/board."""

import xml.etree.ElementTree as xml

import pytest

from flow.build.hwh import BASE_ADDRESS, INSTANCE, write_hwh
from flow.engine.interface import load_interface


def parameters(tree):
    module = next(module for module in tree.iter("MODULE") if module.get("MODTYPE") == "processing_system7")
    return {entry.get("NAME"): entry.get("VALUE") for entry in module.find("PARAMETERS")}


def test_registers_and_address(tmp_path):
    write_hwh(tmp_path / "accelerator.hwh", part="xc7z020clg484-1")
    tree = xml.parse(tmp_path / "accelerator.hwh")
    info = tree.getroot().find("SYSTEMINFO")
    assert (info.get("DEVICE"), info.get("PACKAGE"), info.get("SPEEDGRADE")) == ("7z020", "clg484", "-1")
    offsets = {
        register.get("NAME"): int(next(p.get("VALUE") for p in register if p.get("NAME") == "ADDRESS_OFFSET"))
        for register in tree.iter("REGISTER")
    }
    assert offsets == load_interface().registers
    range_ = next(entry for entry in tree.iter("MEMRANGE") if entry.get("INSTANCE") == INSTANCE)
    assert int(range_.get("BASEVALUE"), 16) == BASE_ADDRESS


@pytest.mark.parametrize("clock, product", [(100, 10), (50, 20), (142.857, 7), (125, 8)])
def test_clock_dividers(tmp_path, clock, product):
    write_hwh(tmp_path / "accelerator.hwh", clock_mhz=clock)
    values = parameters(xml.parse(tmp_path / "accelerator.hwh"))
    assert int(values["PCW_FCLK0_PERIPHERAL_DIVISOR0"]) * int(values["PCW_FCLK0_PERIPHERAL_DIVISOR1"]) == product
    assert values["PCW_FPGA_FCLK0_ENABLE"] == "1" and values["PCW_FPGA_FCLK1_ENABLE"] == "0"
