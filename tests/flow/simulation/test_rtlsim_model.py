"""Own models: parameters, memory files, streams under idle and back-pressure, errors, the cache, waveforms."""

import re
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from flow.errors import GatefoldError
from flow.simulation import Model, RtlSimError, compile_model, toolchain
from flow.simulation.compile import never_written

SOURCE = Path(__file__).with_name("lookup.sv")


@pytest.fixture(scope="module")
def library():
    return compile_model("lookup", [SOURCE], parameters={"OFFSET": 7})


@pytest.fixture
def tables(tmp_path):
    (tmp_path / "table.mem").write_text("\n".join(f"{3 * i:02x}" for i in range(16)))
    return tmp_path


@pytest.mark.parametrize("input_pause, output_pause", [(0, 0), (0.6, 0), (0, 0.6), (0.4, 0.7)])
def test_stream_delivers_every_beat(library, tables, input_pause, output_pause):
    values = np.random.default_rng(0).integers(0, 16, (500, 1), np.uint8)
    with Model(library, tables, random_reset=5) as model:
        model.reset()
        result = model.stream({"in0_V": values}, {"out0_V": 500}, input_pause=input_pause, output_pause=output_pause)
    out = result.outputs["out0_V"]
    assert out.shape == (500, 12)
    assert np.array_equal(out[:, 0], 3 * values[:, 0])
    assert np.array_equal(out[:, 1:4], np.tile([7, 0xCD, 0xAB], (500, 1)))
    assert (np.diff(result.output_cycles["out0_V"]) > 0).all()
    assert result.cycles == 503 if input_pause == output_pause == 0 else result.cycles > 600


def test_two_models_of_one_library_are_independent(library, tables):
    with Model(library, tables) as one, Model(library, tables) as other:
        one.reset()
        other.reset()
        one.write("in0_V_tdata", 5)
        one.write("in0_V_tvalid", 1)
        one.cycles(1)
        assert one.read("out0_V_tvalid") == 1 and one.read("out0_V_tdata") == 0xABCD_07_0F
        assert other.read("out0_V_tvalid") == 0


def test_rtl_error_and_stall_are_exceptions(library, tables):
    with Model(library, tables) as model:
        model.reset()
        with pytest.raises(RtlSimError, match=r"stopped: index 200 is beyond the table \(TOP\.lookup"):
            model.stream({"in0_V": np.array([[200]], np.uint8)}, {"out0_V": 1})
        with pytest.raises(RtlSimError):
            model.cycles(1)
    with Model(library, tables) as model:
        model.reset()
        with pytest.raises(RtlSimError, match="in0_V 1 of 1 beats, out0_V 1 of 2 beats"):
            model.stream({"in0_V": np.array([[1]], np.uint8)}, {"out0_V": 2}, patience=100)


def test_wrong_width_port_and_source_are_named(library, tables):
    with Model(library, tables) as model:
        with pytest.raises(GatefoldError, match="1 bytes a beat, not 2"):
            model.stream({"in0_V": np.zeros((3, 2), np.uint8)}, {})
        with pytest.raises(GatefoldError, match="no port in1_V_tdata"):
            model.stream({"in1_V": np.zeros((3, 2), np.uint8)}, {})
        with pytest.raises(GatefoldError, match="trace=True"):
            model.trace(tables / "wave.fst")
    with pytest.raises(GatefoldError, match="does not exist"):
        compile_model("lookup", [SOURCE.with_name("missing.sv")])


def test_refused_design_names_the_place(tmp_path):
    bad = tmp_path / "bad.sv"
    bad.write_text("module bad(input logic a, output logic b);\n assign b = c;\nendmodule\n")
    with pytest.raises(GatefoldError, match=r"bad\.sv:2"):
        compile_model("bad", [bad])


def test_cache_follows_content(library, tmp_path):
    copy = tmp_path / "lookup.sv"
    copy.write_text(SOURCE.read_text())
    assert compile_model("lookup", [copy], parameters={"OFFSET": 7}) == library


@pytest.mark.slow
@pytest.mark.parametrize("level", ["-O0", "-O1"])
def test_headers_are_compiled_before(level, tmp_path, monkeypatch):
    """g++ takes the precompiled header of every level; where it cannot, it says nothing and reads 50,000 lines for each file."""
    said, call = [], subprocess.run

    def listed(command, **options):
        result = call([*command, "-H"] if "-c" in command else command, **options)
        said.append(result.stderr)
        return result

    monkeypatch.setattr(subprocess, "run", listed)
    source = tmp_path / "one.cc"
    source.write_text("int one() { return 1; }\n")
    toolchain.compile_object(source, tmp_path / "one.o", level, False, {tmp_path: "here"})
    assert re.match(r"! \S+prefix.h.gch\n", said[-1]) and "verilated.h" not in said[-1], said[-1]


@pytest.mark.slow
def test_waveform_holds_the_signals(tables):
    library = compile_model("lookup", [SOURCE], parameters={"OFFSET": 7}, trace=True)
    wave = tables / "out.fst"
    with Model(library, tables, trace=wave) as model:
        model.reset()
        model.stream({"in0_V": np.arange(16, dtype=np.uint8)[:, None]}, {"out0_V": 16})
    names = fst_hierarchy(wave.read_bytes())
    for signal in (b"in0_V_tdata", b"out0_V_tvalid", b"ap_clk", b"Data"):
        assert signal in names


def fst_hierarchy(content: bytes) -> bytes:
    """Uncompressed hierarchy of an FST file: blocks are a type byte and a 64-bit length that includes itself."""
    at = 0
    while at < len(content):
        kind, length = content[at], struct.unpack_from(">Q", content, at + 1)[0]
        if kind == 6:
            (size,) = struct.unpack_from(">Q", content, at + 9)
            plain = lz4_decode(content[at + 17 : at + 1 + length])
            assert len(plain) == size
            return plain
        at += 1 + length
    raise AssertionError("no hierarchy in the waveform")


def lz4_decode(block: bytes) -> bytes:
    """Plain bytes of one LZ4 block (lz4_Block_format.md)."""
    out, at = bytearray(), 0

    def extend(length: int) -> int:
        nonlocal at
        if length == 15:
            while True:
                at += 1
                length += block[at - 1]
                if block[at - 1] != 255:
                    break
        return length

    while at < len(block):
        token = block[at]
        at += 1
        literals = extend(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at >= len(block):
            break
        distance = block[at] | block[at + 1] << 8
        at += 2
        assert 0 < distance <= len(out)
        for _ in range(extend(token & 15) + 4):
            out.append(out[-distance])
    return bytes(out)


def power_on(library, folder, seed):
    """What the three outputs of unwritten.sv show, index by index."""
    with Model(library, folder, random_reset=seed) as model:
        seen = []
        for index in range(16):
            model.write("index", index)
            model.cycles(1)
            seen.append([model.read(name) for name in ("never", "image", "register")])
    return np.array(seen)


def test_power_on_values_and_what_is_never_written(tmp_path):
    """Zeros hide what nothing wrote; random values show it, the same ones for the same seed, and its name is known."""
    source = SOURCE.with_name("unwritten.sv")
    (tmp_path / "sixteen.mem").write_text("\n".join(f"{index:02x}" for index in range(16)))
    library = compile_model("unwritten", [source], parameters={"IMAGE": "sixteen.mem"}, random_power_on=True)
    assert [name.split(" ")[0] for name in never_written(library)] == ["unwritten.Never", "unwritten.Start"]
    plain = power_on(library, tmp_path, None)
    assert not plain[:, [0, 2]].any() and plain[:, 1].tolist() == list(range(16))
    one, again, other = (power_on(library, tmp_path, seed) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert (one[:, [0, 2]] != other[:, [0, 2]]).any()  # a narrow register may by chance be the same
    assert len(set(one[:, 0].tolist())) > 8  # each word of a memory has its own
    assert one[:, 1].tolist() == other[:, 1].tolist() == list(range(16))


def test_missing_memory_image_is_named(tmp_path):
    library = compile_model("unwritten", [SOURCE.with_name("unwritten.sv")], parameters={"IMAGE": "none.mem"})
    with pytest.raises(RtlSimError, match=r"memory image none\.mem does not exist"):
        Model(library, tmp_path)
