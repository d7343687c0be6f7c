"""What Vivado takes and Verilator refuses, rewritten: each construct computes what the standard says."""

from pathlib import Path

import numpy as np
import pytest

from flow.errors import GatefoldError
from flow.simulation import Model, compile_model
from flow.simulation.dialect import modules_of, rewrite
from flow.simulation.sources import packages_first, readable
from flow.simulation.toolchain import verilator_root

SOURCE = Path(__file__).with_name("dialect.sv")


@pytest.fixture(scope="module")
def model():
    with Model(compile_model("dialect", [SOURCE])) as model:
        yield model


def outputs(model, a, b=0):
    model.write("a", a)
    model.write("b", b)
    model.run(1)
    return {name: model.read(name) for name, port in model.ports.items() if port.output}


def test_constants_and_casts(model):
    for a in (0, 1, 2, 5, 7, 8, 0x123, 0xABC, 0xFF8):
        seen = outputs(model, a)
        assert seen["area"] == 42
        index = a & 15
        if index < 9:
            assert np.int32(np.uint32(seen["squares"])) == index * index - 10
        bits = [a >> i & 1 for i in range(3)]
        assert seen["weighed"] == 5 * bits[0] + 70 * bits[1] + 900 * bits[2]
        assert seen["masked"] == bits[0] + 2 * bits[1] + (1000 if any(bits) else 0)
        assert seen["turned"] == (a & 15) << 8 | a & 0xF0 | a >> 8 & 15


def test_every_line_keeps_its_number():
    text = SOURCE.read_text()
    own = rewrite(text, "dialect.sv")
    assert own != text and own.count("\n") == text.count("\n")
    assert rewrite(own, "dialect.sv") == own


def words():
    """Pairs of single-precision numbers as bits: all kinds of magnitude, ties, subnormal and special ones."""
    random = np.random.default_rng(0)
    special = np.array(
        [0, 1, 0x7FFFFF, 0x800000, 0x7F7FFFFF, 0x7F800000, 0x7FC00000, 0x3F800000, 0x3F800001, 0x33800000, 0x34000000, 0x4B800001],
        np.uint32,
    )
    special = np.concatenate([special, special | 0x80000000])
    pairs = np.stack(np.meshgrid(special, special), -1).reshape(-1, 2)
    near = random.integers(0x3F000000, 0x41000000, (1500, 2), np.uint32)
    small = random.integers(0, 0x02000000, (500, 2), np.uint32)
    return np.concatenate([pairs, random.integers(0, 2**32, (2000, 2), np.uint32), near, small])


def same(bits, number):
    wanted = np.float32(number).view(np.uint32)
    return bits == wanted or (np.isnan(number) and bits & 0x7F800000 == 0x7F800000 and bits & 0x7FFFFF)


def test_single_precision_rounds_as_numpy(model):
    with np.errstate(all="ignore"):
        for a, b in words():
            seen = outputs(model, int(a), int(b))
            x, y = a.view(np.float32), b.view(np.float32)
            assert same(seen["product"], x * y), (a, b)
            assert same(seen["sum"], x + y), (a, b)
            assert same(seen["difference"], np.float32(1.5) - y), b
            assert same(seen["scaled"], np.float32(0.1) * x), a


def test_finish_is_seen(model):
    """Last: `initial @(posedge done) $finish`."""
    model.write("done", 1)
    model.run(1)
    assert model.finished


@pytest.mark.parametrize(
    "body",
    [
        "assign y = $shortrealtobits($bitstoshortreal(a) * $bitstoshortreal(a) + 1.0);",
        "shortreal x; assign y = $shortrealtobits(x);",
    ],
)
def test_roundings_that_cannot_be_kept_are_refused(tmp_path, body):
    source = tmp_path / "late.sv"
    source.write_text(f"module late(input logic [31:0] a, output logic [31:0] y);\n {body}\nendmodule\n")
    with pytest.raises(GatefoldError, match=r"late\.sv:2 uses shortreal for .*give every operation its own"):
        compile_model("late", [source])


def test_one_text_of_a_module_is_enough_and_two_are_an_error(tmp_path):
    files = []
    for name, text in (
        ("a", "module m; endmodule"),
        ("b", "// again\nmodule m ;\nendmodule"),
        ("c", "module m(input x); endmodule"),
    ):
        files.append(tmp_path / f"{name}.sv")
        files[-1].write_text(text)
    assert readable(files[:2], tmp_path) == files[:1]
    with pytest.raises(GatefoldError, match=r"two different modules m, in .*a\.sv and .*c\.sv"):
        readable(files, tmp_path)


def test_packages_come_before_their_users(tmp_path):
    texts = {
        "top": "module top; import b::*; endmodule",
        "b": "package b; localparam X = a::Y; endpackage",
        "a": "package a; localparam Y = 1; endpackage",
    }
    files = []
    for name, text in texts.items():
        files.append(tmp_path / f"{name}.sv")
        files[-1].write_text(text)
    assert [file.stem for file in packages_first(files)] == ["a", "b", "top"]


def test_finns_library_reads(tmp_path):
    """Every unit of finn-rtllib passes the rewriting, and none of its modules is lost in it."""
    import finn

    library = Path(finn.__path__[0]) / "finn-rtllib"
    files = [file for file in library.rglob("*.sv") if "_tb" not in file.name and "template" not in file.name]
    assert len(files) > 80
    changed = 0
    for file in files:
        text = file.read_text(errors="replace")
        own = rewrite(text, str(file))
        assert modules_of(own).keys() == modules_of(text).keys() and own.count("\n") == text.count("\n")
        changed += own != text
    assert changed >= 15
    assert verilator_root().is_dir()
