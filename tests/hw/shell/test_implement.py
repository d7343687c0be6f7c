"""The implementation script: what it refuses, what it hands to a tool, and what becomes of the tool's files.

Its tools are on no machine of the tests: a program called vivado that writes two files stands for the one that takes hours.
"""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from flow.build.deploy import FORMAT, read, read_engine, vouch
from flow.cli import main
from flow.engine.config import EngineConfig
from flow.engine.shared import write_engine
from flow.errors import GatefoldError
from flow.kept import content_digest
from flow.paths import build_root
from tests.flow.synth.netlists import Netlist

SCRIPT = Path(__file__).resolve().parents[3] / "hw" / "shell" / "implement.py"
TIMING = "  WNS(ns) and so on\n  -------\n  0.1 0.0 0 9 0.1 0.0 0 9\n"
SITE = "DSP_L_X22Y15.DSP48.DSP_0.ZMREG[0]\nDSP_R_X9Y5.DSP48.DSP_1.AREG_2\n"


@pytest.fixture(scope="module")
def implement():
    spec = importlib.util.spec_from_file_location("implement", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def engines(tmp_path, monkeypatch):
    """Folder that keeps bitstreams for other builds: one of this test's own."""
    monkeypatch.setattr("flow.build.bitstream.build_root", lambda: tmp_path / "root")
    return tmp_path / "root" / "engines"


@pytest.fixture
def build(tmp_path):
    (tmp_path / "deploy").mkdir()
    contents = {
        "part": "xc7z020clg400-1",
        "clock_mhz": 100,
        "board": "pynq-z2",
        "engine_hash": "0" * 64,
        "parameters": {"REQUANT_DSP": 0},
    }
    vouch(tmp_path / "deploy", {"format": FORMAT, **contents})
    return tmp_path


@pytest.fixture
def built(tmp_path):
    """A copy of the build that the board's tests use."""
    folder = build_root() / "test" / "board"
    assert main(["build", "resnet8", "--untrained", "--output", str(folder)]) == 0
    return Path(shutil.copytree(folder, tmp_path / "build"))


@pytest.fixture
def vivado(tmp_path, monkeypatch):
    """A program called vivado; its log keeps the list of files that it was given."""
    program = tmp_path / "bin" / "vivado"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nwhile [ "$1" != -tclargs ]; do shift; done\ncat "$2"\nprintf bits >"$6/accelerator.bit"\nprintf "<x/>" >"$6/accelerator.hwh"\n'
        f'cp "{tmp_path}"/*.txt "$6"\n'
    )
    (tmp_path / "utilization.txt").write_text("| Slice LUTs | 1 |\n| Slice Registers | 1 |\n| Block RAM Tile | 1 |\n| DSPs | 1 |\n")
    (tmp_path / "timing.txt").write_text(TIMING)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.delenv("TOOLCHAIN", raising=False)


def test_dsp_blocks_need_their_ties(implement):
    implement.check_dsp("")
    implement.check_dsp(SITE + "DSP_L_X22Y15.DSP_0_INMODE1.DSP_GND_L\nDSP_R_X9Y5.DSP_1_INMODE1.DSP_VCC_R\n")
    with pytest.raises(GatefoldError, match="1 of 2 DSP blocks"):
        implement.check_dsp(SITE + "DSP_L_X22Y15.DSP_0_INMODE1.DSP_GND_L\nDSP_R_X9Y5.DSP_0_INMODE1.DSP_VCC_R\n")
    with pytest.raises(GatefoldError, match="2 of 2 DSP blocks"):
        implement.check_dsp(SITE)


@pytest.mark.parametrize("toolchain, missing", [("vivado", "vivado is not on PATH"), ("openxc7", "neither nextpnr-himbaechel nor")])
def test_missing_tools_are_named_and_nothing_is_written(implement, build, monkeypatch, toolchain, missing):
    monkeypatch.setenv("PATH", str(build))
    with pytest.raises(GatefoldError, match=missing):
        implement.main([str(build), "--toolchain", toolchain])
    assert not (build / "implementation").exists()


def test_missing_data_base_is_named(implement, build, monkeypatch):
    for name in ("nextpnr-xilinx", "fasm2frames", "xc7frames2bit"):
        (build / name).write_text("#!/bin/sh\n")
        (build / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(build))
    monkeypatch.delenv("PRJXRAY_DB_DIR", raising=False)
    with pytest.raises(GatefoldError, match="PRJXRAY_DB_DIR"):
        implement.main([str(build), "--toolchain", "openxc7"])


def test_missing_build_is_named(implement, tmp_path):
    with pytest.raises(GatefoldError, match="no finished build"):
        implement.main([str(tmp_path)])


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", f'{{"format": {FORMAT}}}', "\x00\xff", "[" * 100_000])
def test_a_damaged_build_is_told(implement, build, text):
    (build / "deploy" / "modes.json").write_text(text, encoding="latin-1")
    with pytest.raises(GatefoldError, match="is damaged; run `gatefold build` again"):
        implement.main([str(build)])
    assert not (build / "implementation").exists()


def test_no_tool_is_no_error_where_none_is_asked_for(implement, build, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(build))
    monkeypatch.delenv("TOOLCHAIN", raising=False)
    implement.main([str(build), "--if-installed"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("gatefold: no bitstream was made: neither Vivado nor the open tools are on PATH; install ")
    assert line.endswith(f"hw/shell/implement.py {build}")
    with pytest.raises(GatefoldError, match="no bitstream was made"):
        implement.main([str(build)])
    monkeypatch.setenv("TOOLCHAIN", "quartus")
    with pytest.raises(GatefoldError, match="TOOLCHAIN names 'quartus'"):
        implement.main([str(build)])


def test_a_bitstream_joins_the_deploy_folder_and_stays(implement, built, vivado, engines, capsys):
    network, before = read(built / "deploy"), read_engine(built / "deploy")
    implement.main([str(built)])
    after = read_engine(built / "deploy")
    assert read(built / "deploy") == network
    assert after["files"]["accelerator.bit"] == content_digest(built / "deploy" / "accelerator.bit")
    assert (built / "deploy" / "accelerator.hwh").read_text() == "<x/>"
    changed = {name for name in after["files"] if after["files"][name] != before["files"].get(name)}
    assert changed == {"accelerator.bit", "accelerator.hwh"} and after["engine_hash"] == before["engine_hash"]
    given = (built / "implementation" / "vivado" / "vivado.log").read_text().splitlines()
    assert all(Path(name).suffix in (".sv", ".v") and Path(name).is_file() for name in given)

    whole = content_digest(built / "deploy")
    rebuild = ["build", "resnet8", "--untrained", "--output", str(built)]
    assert main(rebuild) == 0 and content_digest(built / "deploy") == whole
    (built / "deploy" / "samples.npz").write_bytes(b"")
    assert main(rebuild) == 0 and content_digest(built / "deploy") == whole
    capsys.readouterr()
    implement.main([str(built), "--if-installed"])
    assert "is of this build already" in capsys.readouterr().out

    (built / "implementation" / "vivado" / "accelerator.bit").write_bytes(b"other")
    (built / "deploy" / "samples.npz").write_bytes(b"")
    assert main(rebuild) == 0 and content_digest(built / "deploy") == whole  # from where it is kept
    (kept,) = engines.glob("*/accelerator.bit")
    kept.write_bytes(b"other")
    (built / "deploy" / "samples.npz").write_bytes(b"")
    assert main(rebuild) == 0 and "accelerator.bit" not in read_engine(built / "deploy")["files"]


def test_another_network_of_the_engine_has_the_bitstream_too(implement, built, vivado, tmp_path, capsys):
    implement.main([str(built)])
    other = tmp_path / "other"
    assert (
        main(
            [
                "build",
                "resnet8",
                "--untrained",
                "--modes",
                "full,1/4",
                "--engine",
                str(engine_of(built, tmp_path)),
                "--output",
                str(other),
            ]
        )
        == 0
    )
    assert read_engine(other / "deploy")["files"]["accelerator.bit"] == content_digest(built / "deploy" / "accelerator.bit")
    capsys.readouterr()
    implement.main([str(other), "--if-installed"])
    assert "is of this build already" in capsys.readouterr().out


def engine_of(build, tmp_path):
    """Description of the engine of a build."""
    contents = read(build / "deploy")
    write_engine(tmp_path / "engine.json", contents["board"], EngineConfig.of(contents["parameters"]), ["resnet8"])
    return tmp_path / "engine.json"


def test_a_bitstream_of_another_hardware_stays_out(implement, built, vivado):
    implement.main([str(built)])
    assert main(["build", "resnet8", "--untrained", "--board", "zedboard", "--output", str(built)]) == 0
    assert "accelerator.bit" not in read_engine(built / "deploy")["files"]


def test_what_was_built_is_what_is_implemented(implement, built, vivado, monkeypatch, tmp_path):
    """RTL that has changed since the build, and a network that is not the build's, are refused."""
    from flow.engine import sources

    shutil.copytree(sources.RTL, tmp_path / "rtl")
    (tmp_path / "rtl" / "engine_ram.sv").write_text((tmp_path / "rtl" / "engine_ram.sv").read_text() + "// later\n")
    with monkeypatch.context() as context:
        context.setattr(sources, "RTL", tmp_path / "rtl")
        with pytest.raises(GatefoldError, match="hw/ has changed since"):
            implement.main([str(built)])
    (built / "deploy" / "network.bin").write_text("0\n")
    with pytest.raises(GatefoldError, match="network.bin is damaged"):
        implement.main([str(built)])
    assert "accelerator.bit" not in read_engine(build_root() / "test" / "board" / "deploy")["files"]


@pytest.mark.parametrize("placer", ["nextpnr-himbaechel", "nextpnr-xilinx"])
@pytest.mark.parametrize("clock", [150.5, 43.9, None])
def test_the_open_tools_are_told_the_clock_and_say_what_they_reached(
    implement, built, monkeypatch, capsys, tmp_path, placer, clock
):
    """Everything behind yosys, with programs that keep their arguments; the fastest clock is the last that nextpnr names."""
    contents = read(built / "deploy")
    (tmp_path / "bin").mkdir()
    said = (
        ""
        if clock is None
        else f"echo \"Max frequency for clock 'clk': 20.1 MHz\"; echo \"Max frequency for clock 'clk': {clock:.2f} MHz (FAIL)\"\n"
    )
    scripts = {placer: f'echo "$@" >"{tmp_path}/arguments"\n{said}touch accelerator.fasm', "fasm2frames": "echo frames",
               "xc7frames2bit": 'while [ "$1" != --output_file ]; do shift; done; echo bits >"$2"'}  # fmt: skip
    for name, script in scripts.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    part = tmp_path / "db" / "zynq7" / contents["part"]
    part.mkdir(parents=True)
    (part / "part.yaml").write_text("")
    (tmp_path / "chip.bin").write_text("")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("PRJXRAY_DB_DIR", str(tmp_path / "db"))
    monkeypatch.setenv("XILINX_CHIPDB", str(tmp_path / "chip.bin"))
    real = implement.run

    def run(command, *rest):
        if "synthesise.py" not in str(command):
            return real(command, *rest)
        netlist = Netlist().flip_flop("start", "0", "q").flip_flop("end", "q", "e")
        (built / "implementation" / "openxc7" / "netlist.json").write_text(json.dumps({"modules": {"zynq_top": netlist.module}}))

    monkeypatch.setattr(implement, "run", run)
    command = [str(built), "--toolchain", "openxc7"]
    if clock and clock > contents["clock_mhz"]:
        implement.main(command)
        said = capsys.readouterr().out
        assert f"{placer} estimates {clock:g} MHz" in said
        assert "142.857 MHz is carried: " in said and "MHz, estimated before placing" in said
    else:
        with pytest.raises(
            GatefoldError, match="names no clock" if clock is None else "carries 43.9 MHz, .* build for --clock 43 and"
        ):
            implement.main(command)
    assert ("accelerator.bit" in read_engine(built / "deploy")["files"]) == (clock == 150.5)
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments[arguments.index("--freq") + 1] == str(contents["clock_mhz"]) and "--timing-allow-fail" in arguments
    assert ("static" in arguments) == (placer == "nextpnr-himbaechel")
