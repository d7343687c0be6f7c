"""One dialect: no implicit net anywhere, and nothing that Verilator's lint finds in what is built."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from flow.engine.sources import accelerator_sources
from flow.engine.top import top_text
from flow.simulation.checks import CHECKS
from flow.simulation.compile import RTL as OWN
from flow.simulation.toolchain import verilator_root

TESTS = Path(__file__).resolve().parent
HW = TESTS.parents[1] / "hw"
CHECKERS = sorted(CHECKS.glob("*.sv"))
SHELL = [HW / "shell" / "axi3_lite_bridge.sv", HW / "shell" / "zynq_top.sv"]
FILES = sorted(file for folder in (HW, TESTS, OWN) for kind in ("*.sv", "*.v") for file in folder.rglob(kind))

FEW = {"P": 32, "R": 32, "PE": 1}
# The shapes that differ in what is left of the logic, as simulation takes the lanes and as synthesis does (mapped). They have few lanes
# where it is not lanes that differ.
SHAPES = {
    "default": ({}, False),
    "dsp": ({"MULT_DSP": 8}, True),
    "narrow": (FEW, False),
    "no_modes": ({**FEW, "MODES": 1}, True),
    "tables": (
        {**FEW, "TABLES": 1, "POOL2": 3, "MASK": 1, "ACC_WIDTH": 21, "HIGH_DIGITS": 2, "LOW_DIGITS": 2, "POOL_WIDTH": 14},
        False,
    ),
    "pools": ({"POOL2": 1, "P": 32, "R": 16, "PE": 1, "PLANES": 1, "IMAGE_SIZE": 8}, True),
    "masked": ({"TABLES": 1, "MASK": 1, "R": 32, "PLANES": 4, "IMAGE_SIZE": 16}, False),
    "small": ({"P": 32, "R": 8, "PE": 1, "MODES": 1, "V": 8}, True),
    "gates": ({"GATES": 64, "DECISIONS": 82, "BIASES": 92, "POOL_WIDTH": 14, "POOL_DEPTH": 10, "MASK": 1, "PACK": 64}, False),
    "exits": ({**FEW, "EXITS": 3, "BIASES": 40, "POOL_DEPTH": 8, "MASK": 1, "POOL2": 1}, False),
    "gates_and_an_exit": (
        {**FEW, "GATES": 64, "DECISIONS": 82, "EXITS": 1, "BIASES": 102, "POOL_DEPTH": 14, "MASK": 1, "POOL2": 1},
        True,
    ),
    "recurrent": (
        {**FEW, "GATES": 16, "DECISIONS": 3, "BIASES": 80, "POOL_WIDTH": 14, "HIDDEN": 10, "PRODUCTS": 5, "V": 4, "POOL_DEPTH": 2},
        False,
    ),
    "exciting": (
        {**FEW, "GATES": 64, "DECISIONS": 82, "BIASES": 99, "POOL_WIDTH": 14, "FACTORS": 32, "INNER": 4, "PRODUCTS": 12, "MASK": 1},
        True,
    ),
    "gates_one_mode": ({"GATES": 16, "DECISIONS": 3, "BIASES": 13, "POOL_WIDTH": 14, "MODES": 1, "P": 32, "R": 16, "PE": 1}, True),
}


OFTEN = ("default", "dsp", "tables", "pools", "gates", "gates_and_an_exit", "recurrent", "exciting")
"""Those that between them have every part; the others are slow."""


def lint(folder, top, files, *options):
    """What `verilator --lint-only -Wall` says of all that is below `top`."""
    root = verilator_root()
    command = [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--top-module", top, "--default-language", "1800-2017"]
    command += ["--timescale", "1ns/1ps", *options, *files]
    run = subprocess.run(
        [str(part) for part in command], cwd=folder, env={**os.environ, "VERILATOR_ROOT": str(root)}, capture_output=True, text=True
    )
    return run.stderr if run.returncode else ""


def vendor_cells(folder):
    """The processing system and the clock buffer as yosys knows them: AMD's, so that they are not looked into."""
    import pyosys

    library = Path(pyosys.__file__).parent / "share" / "xilinx"
    cells = []
    for file, cell in (("cells_xtra.v", "PS7"), ("cells_sim.v", "BUFG")):
        cells.append(re.search(rf"^module {cell}\b.*?^endmodule$", (library / file).read_text(), re.DOTALL | re.MULTILINE)[0])
    text = re.sub(r"\bspecify\b.*?\bendspecify\b", "", "\n".join(cells), flags=re.DOTALL)
    (folder / "cells.v").write_text(text + "\n")
    (folder / "cells.vlt").write_text('`verilator_config\nlint_off -file "*/cells.v"\n')
    return [folder / "cells.vlt", folder / "cells.v"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_no_net_is_implicit_and_files_behind_are_left_as_they_were(file):
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("//")]
    assert lines[0] == "`default_nettype none"
    assert lines[-1] == "`default_nettype wire"


@pytest.mark.parametrize(
    "parameters, mapped",
    [pytest.param(*shape, id=name, marks=[] if name in OFTEN else pytest.mark.slow) for name, shape in SHAPES.items()],
)
def test_the_accelerator_on_its_processor_is_clean(tmp_path, parameters, mapped):
    (tmp_path / "accelerator.sv").write_text(top_text({"ENGINE_HASH": 0, **parameters}))
    files = [*accelerator_sources(tmp_path), tmp_path / "accelerator.sv", *vendor_cells(tmp_path), *SHELL, *CHECKERS]
    assert lint(tmp_path, "zynq_top", files, *(["-DSYNTHESIS"] if mapped else [])) == ""


def test_nothing_else_is_built():
    """What is not below `zynq_top`: the same accelerator for a block design, its checkers (linted with it), a rule of yosys, and what
    hands a network to the engine of a FINN node."""
    text = "".join(file.read_text() for file in [*SHELL, *sorted((HW / "rtl").glob("*.sv"))])
    tops = {file.stem for file in FILES if HW in file.parents and not re.search(rf"\b{file.stem}\b\s+(#\(|\w+ \()", text)}
    checkers = {file.stem for file in CHECKERS}
    assert tops - checkers - {"engine_pkg"} == {"zynq_top", "gatefold_block", "soft_multiplier", "engine_preload"}


def test_the_node_s_own_is_clean(tmp_path):
    assert lint(tmp_path, "engine_preload", [accelerator_sources(tmp_path)[0], HW / "rtl" / "engine_preload.sv"]) == ""


def test_the_block_design_is_clean(tmp_path):
    (tmp_path / "accelerator.sv").write_text(top_text({"ENGINE_HASH": 0}))
    files = [*accelerator_sources(tmp_path), tmp_path / "accelerator.sv", HW / "shell" / "gatefold_block.v"]
    assert lint(tmp_path, "gatefold_block", files) == ""


@pytest.mark.parametrize("module, sizes", [("gauge_fifo", ("WIDTH=8", "ROOM=16")), ("duplicate_streams", ("WIDTH=8", "COPIES=2"))])
def test_what_stands_in_for_modules_of_finn_is_clean(tmp_path, module, sizes):
    assert lint(tmp_path, module, [OWN / f"{module}.sv"], *(f"-G{size}" for size in sizes)) == ""


@pytest.mark.parametrize(
    "fault", ["assign start_request = wrte;", "assign start_request = write_strobe;", "assign start_request = 1'b0; logic nobody;"]
)
def test_a_fault_is_found(tmp_path, fault):
    """A name that is not there, a wrong width, a signal without a user."""
    text = (HW / "rtl" / "registers.sv").read_text()
    (tmp_path / "registers.sv").write_text(re.sub(r"assign start_request = .*", fault, text))
    assert lint(tmp_path, "registers", [accelerator_sources(tmp_path)[0], tmp_path / "registers.sv"])
