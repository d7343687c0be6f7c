"""The implementation script: what it refuses. Its tools are on no machine of the tests."""

import importlib.util
import json
from pathlib import Path

import pytest

from flow.errors import GatefoldError

SCRIPT = Path(__file__).resolve().parents[3] / "hw" / "shell" / "implement.py"
SITE = "DSP_L_X22Y15.DSP48.DSP_0.ZMREG[0]\nDSP_R_X9Y5.DSP48.DSP_1.AREG_2\n"


@pytest.fixture(scope="module")
def implement():
    spec = importlib.util.spec_from_file_location("implement", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def build(tmp_path):
    (tmp_path / "deploy").mkdir()
    contents = {"part": "xc7z020clg400-1", "clock_mhz": 100, "board": "pynq-z2", "parameters": {"MULT_DSP": 0}}
    (tmp_path / "deploy" / "modes.json").write_text(json.dumps(contents))
    return tmp_path


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
    with pytest.raises(GatefoldError, match="holds no finished build"):
        implement.main([str(tmp_path)])
