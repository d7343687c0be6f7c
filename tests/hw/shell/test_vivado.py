"""vivado.tcl from its first line to its last, by a Tcl interpreter against a recorder of Vivado's commands."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flow.build.deploy import read, vouch
from flow.build.hwh import BASE_ADDRESS
from flow.cli import main
from flow.engine.boards import BOARDS
from flow.engine.sources import accelerator_sources
from flow.errors import GatefoldError
from flow.kept import content_digest
from flow.paths import build_root

HERE = Path(__file__).resolve().parent
SHELL = HERE.parents[2] / "hw" / "shell"
sys.path.insert(0, str(SHELL))
import reports  # noqa: E402

BY_TKINTER = "import sys, tkinter; tkinter.Tcl().eval('source {' + sys.argv[1] + '}')"
RUN = """
source {recorder}
set code [recorder::start {script} {arguments} {scenario} {properties}]
foreach entry $recorder::log {{ puts "LOG\\t[join $entry \\t]" }}
puts "CODE\t$code"
"""
TIMING = """\
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)  THS Failing Endpoints  THS Total Endpoints     WPWS(ns)     TPWS(ns)  TPWS Failing Endpoints  TPWS Total Endpoints
    -------      -------  ---------------------  -------------------      -------      -------  ---------------------  -------------------     --------     --------  ----------------------  --------------------
     {slack}        0.000                      {failing}                81234        0.021        0.000                      0                81234        3.750        0.000                       0                 24001
"""
UTILIZATION = """\
+----------------------------+-------+-------+------------+-----------+-------+
|          Site Type         |  Used | Fixed | Prohibited | Available | Util% |
+----------------------------+-------+-------+------------+-----------+-------+
| Slice LUTs                 | 27011 |     0 |          0 |     53200 | 50.77 |
|   LUT as Logic             | 20511 |     0 |          0 |     53200 | 38.55 |
|   LUT as Memory            |  6500 |     0 |          0 |     17400 | 37.36 |
| Slice Registers            | 23011 |     0 |          0 |    106400 | 21.63 |
|   Register as Flip Flop    | 23011 |     0 |          0 |    106400 | 21.63 |
+----------------------------+-------+-------+------------+-----------+-------+
| Block RAM Tile    | 15.5 |     0 |          0 |       140 | 11.07 |
|   RAMB36/FIFO*    |   15 |     0 |          0 |       140 | 10.71 |
| DSPs           |  206 |     0 |          0 |       220 | 93.64 |
"""


def interpreter():
    """A Tcl interpreter: Python's own, or tclsh."""
    if importlib.util.find_spec("_tkinter"):
        return [sys.executable, "-c", BY_TKINTER]
    if shutil.which("tclsh"):
        return [shutil.which("tclsh")]
    pytest.fail("no Tcl interpreter: install tcl or python3-tk (Debian/Ubuntu: apt-get install tcl)")


def braces(value):
    return "{" + str(value) + "}"


class Run:
    """One run of a script; attributes code, log (list of tuples), errors and folder (OUT)."""

    def __init__(self, folder, script=SHELL / "vivado.tcl", board="pynq-z2", clock=100, slack=0.213, progress="100%"):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder / "out"
        files = folder / "files.txt"
        files.write_text("".join(f"{file}\n" for file in [*accelerator_sources(folder), SHELL / "gatefold_block.v"]))
        (folder / "timing.txt").write_text(TIMING.format(slack=slack, failing=0 if slack >= 0 else 17))
        (folder / "utilization.txt").write_text(UTILIZATION)
        scenario = f"slack {slack} progress {progress} timing {folder}/timing.txt utilization {folder}/utilization.txt"
        arguments = (
            f"{files} {BOARDS[board].part} {clock} {board} {self.folder}"
            if board in BOARDS
            else f"{files} xc7z020clg400-1 {clock} {board} {self.folder}"
        )
        run = folder / "run.tcl"
        names = {
            "recorder": HERE / "vivado_recorder.tcl", "script": script, "arguments": arguments, "scenario": scenario,
            "properties": HERE / "processing_system7.txt",
        }  # fmt: skip
        run.write_text(RUN.format(**{name: braces(value) for name, value in names.items()}))
        done = subprocess.run([*interpreter(), run], capture_output=True, text=True, env={**os.environ, "DISPLAY": ""})
        assert done.returncode == 0 and "CODE" in done.stdout, done.stderr
        lines = [line.split("\t") for line in done.stdout.splitlines()]
        self.code, self.errors = int(lines[-1][1]), done.stderr
        self.log = [tuple(line[1:]) for line in lines if line[0] == "LOG"]
        self.said = [line[0] for line in lines if line[0] not in ("LOG", "CODE")]

    def properties(self, cell="processing_system7_0"):
        return {entry[2].removeprefix("CONFIG.PCW_"): entry[3] for entry in self.log if entry[:2] == ("property", cell)}


@pytest.mark.parametrize("board", BOARDS)
def test_the_whole_script(tmp_path, board):
    run = Run(tmp_path, board=board, clock=125)
    assert run.code == 0, run.errors
    assert run.said == [f"gatefold: {run.folder}/accelerator.bit, slack 0.213 ns at 125 MHz"]
    assert (run.folder / "accelerator.bit").read_text() == "BITS" and (run.folder / "accelerator.hwh").is_file()
    assert (run.folder / "timing.txt").is_file() and (run.folder / "utilization_units.txt").is_file()
    assert ("part", BOARDS[board].part) in run.log and ("step", "write_bitstream") in run.log
    assert ("address", "gatefold_0/s_axi_control/reg0", f"0x{BASE_ADDRESS:08X}", "64K") in run.log
    assert ("fileset", "verilog_define", "SYNTHESIS=1") in run.log and ("fileset", "top", "system_wrapper") in run.log
    read = [entry[1] for entry in run.log if entry[0] == "read_verilog"]
    assert read[0].endswith("gatefold_pkg.sv") and read[-1].endswith("gatefold_block.v")


@pytest.mark.parametrize("board, crystal, width, console", [
    ("pynq-z1", 50, "16 Bit", "UART0_UART0_IO"), ("pynq-z2", 50, "16 Bit", "UART0_UART0_IO"), ("zedboard", 33.333333, "32 Bit", "UART1_UART1_IO"),
])  # fmt: skip
def test_presets_come_with_the_project(tmp_path, board, crystal, width, console):
    properties = Run(tmp_path, board=board, clock=100).properties()
    assert float(properties["CRYSTAL_PERIPHERAL_FREQMHZ"]) == crystal and properties["UIPARAM_DDR_BUS_WIDTH"] == width
    assert console in properties and properties["FPGA0_PERIPHERAL_FREQMHZ"] == "100" and properties["USE_S_AXI_HP0"] == "1"


def test_missed_clock_stops_with_slack_and_path(tmp_path):
    run = Run(tmp_path, slack=-0.4567, clock=143)
    assert run.code == 1 and not (run.folder / "accelerator.bit").exists()
    (sentence,) = run.errors.splitlines()
    assert (
        "misses 143 MHz by 0.457 ns, from system_i/gatefold_0" in sentence
        and "to system_i/" in sentence
        and "9 levels of logic" in sentence
    )
    assert (run.folder / "timing.txt").is_file() and (run.folder / "utilization.txt").is_file()


def test_unfinished_run_stops_with_its_status(tmp_path):
    run = Run(tmp_path, progress="62%")
    assert run.code == 1 and "did not finish (route_design ERROR)" in run.errors and not (run.folder / "accelerator.bit").exists()


def test_unknown_board_is_refused(tmp_path):
    run = Run(tmp_path, board="breadboard")
    assert run.code == 2 and "there is no preset of breadboard; choose one of pynq-z1, pynq-z2, zedboard" in run.errors
    assert not run.folder.exists()


MISTAKES = {  # what to write instead of what, and what the recorder says of it
    "misspelt option": ("create_project -force -part", "create_project -force -prat", "create_project has no option -prat"),
    "misspelt command": ("validate_bd_design\n", "validate_bd_desing\n", 'invalid command name "validate_bd_desing"'),
    "option without value": ("launch_runs impl_1 -to_step write_bitstream -jobs 2", "launch_runs impl_1 -to_step write_bitstream -jobs", "-jobs lacks its value"),
    "unknown step": ("-to_step write_bitstream", "-to_step write_bistream", "no step write_bistream"),
    "sources as the wrong language": ("read_verilog -sv $file", "read_verilog $file", "with the wrong language"),
    "module before the sources are ordered": ("update_compile_order -fileset sources_1\n", "", "comes before update_compile_order"),
    "misspelt property": ("S_AXI_HP0_DATA_WIDTH", "S_AXI_HP0_DATAWIDTH", "has no property CONFIG.PCW_S_AXI_HP0_DATAWIDTH"),
    "impossible value": ("S_AXI_HP0_DATA_WIDTH 64", "S_AXI_HP0_DATA_WIDTH 128", "CONFIG.PCW_S_AXI_HP0_DATA_WIDTH cannot be '128'"),
    "port that is not enabled": ("USE_S_AXI_HP0 1 ", "", "has no pin S_AXI_HP0_ACLK"),
    "misspelt pin": ("gatefold_0/ap_rst_n", "gatefold_0/ap_rstn", "gatefold_0 has no pin ap_rstn"),
    "clock left open": (" memory/aclk\n", "\n", "memory/aclk is not connected"),
    "reset on a clock": ("reset_0/slowest_sync_clk registers/aclk", "reset_0/ext_reset_in registers/aclk", "a clock and something else"),
    "master on master": ("[get_bd_intf_pins gatefold_0/m_axi]", "[get_bd_intf_pins registers/M00_AXI]", "registers/M00_AXI is connected already"),
    "interface of the wrong cell": ("gatefold_0/s_axi_control]", "gatefold_0/s_axi_ctrl]", "gatefold_0 has no interface s_axi_ctrl"),
    "two drivers": ("[get_bd_pins reset_0/peripheral_aresetn]", "[get_bd_pins {reset_0/peripheral_aresetn reset_0/mb_reset}]", "2 drivers"),
    "address outside the port": ("0x43C00000", "0x83C00000", "is no place of M_AXI_GP0"),
    "memory without address": ("assign_bd_address\nvalidate", "validate", "the memory has no address"),
    "saved before it is valid": ("validate_bd_design\nsave_bd_design", "save_bd_design\nvalidate_bd_design", "save_bd_design comes before validate_bd_design"),
    "wrapper of another name": ("set_property top system_wrapper", "set_property top design_wrapper", "no module design_wrapper"),
    "opened before it ended": ("wait_on_run impl_1\n", "", "PROGRESS before wait_on_run"),
    "property of a path": ("get_property SLACK $path", "get_property WNS $path", "has no property WNS"),
    "memory left to chance": ("foreach {name value} [concat $settings {", "foreach {name value} [concat {", "knows no memory"),
    "IP that is not there": ("xilinx.com:ip:smartconnect", "xilinx.com:ip:smart_connect", "holds no IP xilinx.com:ip:smart_connect"),
    "pins not external": ('make_external "FIXED_IO, DDR"', 'make_external "FIXED_IO"', "processing_system7_0/DDR is not external"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_recorder_catches(tmp_path, mistake):
    right, wrong, saying = MISTAKES[mistake]
    text = (SHELL / "vivado.tcl").read_text()
    assert text.count(right) >= 1
    planted = tmp_path / "vivado.tcl"
    planted.write_text(text.replace(right, wrong, 1))
    shutil.copyfile(SHELL / "presets.tcl", tmp_path / "presets.tcl")
    run = Run(tmp_path / "run", script=planted)
    assert run.code == 97 and saying in run.errors, run.errors
    assert not (run.folder / "accelerator.bit").exists()


@pytest.mark.parametrize("right, wrong, saying", [
    ("UIPARAM_DDR_ROW_ADDR_COUNT", "UIPARAM_DDR_ROWS_ADDR_COUNT", "has no property CONFIG.PCW_UIPARAM_DDR_ROWS_ADDR_COUNT"),
    ("UART0_UART0_IO {MIO 14 .. 15}", "UART0_UART0_IO {MIO 16 .. 17}", "MIO 16 is given to"),
    ("PRESET_BANK1_VOLTAGE {LVCMOS 1.8V}", "PRESET_BANK1_VOLTAGE {LVCMOS 1.8}", "cannot be 'LVCMOS 1.8'"),
    ("UIPARAM_DDR_BUS_WIDTH {16 Bit}", "UIPARAM_DDR_BUS_WIDTH 16", "cannot be '16'"),
])  # fmt: skip
def test_recorder_catches_mistakes_of_presets(tmp_path, right, wrong, saying):
    shutil.copyfile(SHELL / "vivado.tcl", tmp_path / "vivado.tcl")
    (tmp_path / "presets.tcl").write_text((SHELL / "presets.tcl").read_text().replace(right, wrong, 1))
    run = Run(tmp_path / "run", script=tmp_path / "vivado.tcl")
    assert run.code == 97 and saying in run.errors, run.errors


def test_clock_that_the_processing_system_cannot_make(tmp_path):
    run = Run(tmp_path, clock=300)
    assert run.code == 97 and "lies in 0.1 to 250" in run.errors


FAKE = """\
#!{python}
# Vivado as far as implement.py sees it: runs the script with the recorder.
import pathlib, shutil, subprocess, sys
arguments = sys.argv[sys.argv.index("-tclargs") + 1:]
run = pathlib.Path({run!r})
template = run.read_text()
text = template.replace("@SCRIPT@", sys.argv[sys.argv.index("-source") + 1]).replace("@ARGUMENTS@", " ".join(arguments))
run.with_suffix(".made.tcl").write_text(text)
done = subprocess.run([*{interpreter!r}, run.with_suffix(".made.tcl")], capture_output=True, text=True)
print(done.stdout + done.stderr)
sys.exit(int(done.stdout.split("CODE\\t")[1].split()[0]))
"""


@pytest.fixture
def build(tmp_path):
    """A copy of the build that the board's tests use, for another clock."""
    folder = build_root() / "test" / "board"
    assert main(["build", "resnet8", "--untrained", "--output", str(folder)]) == 0
    folder = Path(shutil.copytree(folder, tmp_path / "build"))
    vouch(folder / "deploy", {**read(folder / "deploy"), "clock_mhz": 125.0})
    return folder


def implement(build, monkeypatch, slack):
    """implement.py --toolchain vivado with the recorder as `vivado` on PATH."""
    tools = build.parent / "tools"
    tools.mkdir()
    (tools / "timing.txt").write_text(TIMING.format(slack=slack, failing=0 if slack >= 0 else 17))
    (tools / "utilization.txt").write_text(UTILIZATION)
    run = tools / "run.tcl"
    scenario = f"slack {slack} progress 100% timing {tools}/timing.txt utilization {tools}/utilization.txt"
    names = {
        "recorder": HERE / "vivado_recorder.tcl", "script": "@SCRIPT@", "arguments": "@ARGUMENTS@", "scenario": scenario,
        "properties": HERE / "processing_system7.txt",
    }  # fmt: skip
    run.write_text(RUN.format(**{name: braces(value) for name, value in names.items()}))
    (tools / "vivado").write_text(FAKE.format(python=sys.executable, run=str(run), interpreter=interpreter()))
    (tools / "vivado").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("flow.build.bitstream.build_root", lambda: tools)  # where bitstreams are kept
    spec = importlib.util.spec_from_file_location("implement", SHELL / "implement.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main([str(build), "--toolchain", "vivado"])


def test_reports_reach_the_record_of_the_build(build, monkeypatch):
    implement(build, monkeypatch, 0.213)
    assert json.loads((build / "implementation" / "record.json").read_text()) == {
        "toolchain": "vivado", "clock_mhz": 125.0, "lut": 27011, "ff": 23011, "dsp": 206, "bram36": 15.5, "slack_ns": 0.213, "hold_slack_ns": 0.021,
        "failing_end_points": 0, "end_points": 81234,
    }  # fmt: skip
    assert (build / "deploy" / "accelerator.bit").read_text() == "BITS"


def test_missed_clock_leaves_the_deploy_folder_alone(build, monkeypatch):
    whole = content_digest(build / "deploy")
    with pytest.raises(
        GatefoldError, match=r"vivado failed: the design misses 125.0 MHz by 0.250 ns, from system_i.* its output is in"
    ):
        implement(build, monkeypatch, -0.25)
    assert content_digest(build / "deploy") == whole
    assert not (build / "implementation" / "record.json").exists()


@pytest.mark.parametrize("row", ["Slice LUTs", "Slice Registers", "Block RAM Tile", "DSPs"])
def test_report_without_a_row_is_named(row):
    with pytest.raises(GatefoldError, match=f"no row '{row}'"):
        reports.utilisation(UTILIZATION.replace(row, "Something else"))


def test_report_without_a_summary_is_named():
    with pytest.raises(GatefoldError, match="no summary"):
        reports.timing("nothing")
