"""What is refused of a netlist before place and route."""

import sys
from pathlib import Path

import pytest

from flow.errors import GatefoldError
from tests.flow.synth.netlists import Netlist

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "hw" / "shell"))
from netlist import check


def whole():
    """PS7, a register, a filled block memory that is only read, an empty one that is written, a DSP block with all registers."""
    netlist = Netlist().cell("processing_system", "PS7", FCLKCLK=["clk"]).flip_flop("r", "a", "q")
    netlist.cell("rom", "RAMB36E1", {"INIT_00": "0" * 255 + "1", "INIT_A": "1" * 36}, WEA=["0"] * 4, WEBWE=["0"] * 8, DOADO=["a"])
    netlist.cell("ram", "RAMB18E1", {"INIT_00": "0" * 256}, WEA=["q", "q"], WEBWE=["0"] * 4)
    registers = {"AREG": 1, "BREG": 1, "CREG": 0, "MREG": 1, "PREG": 1}
    return netlist.cell("product", "DSP48E1", registers, A=["q"], P=["p"])


def test_whole_netlist():
    lines = check(whole().module, dsp=True)
    assert "      1 PS7" in lines and "      1 DSP48E1 of top: AREG=1 BREG=1 CREG=0 MREG=1 PREG=1" in lines


@pytest.mark.parametrize("kind", ["engine_lane", "$mul", "$_DFF_P_", "FDRE_2"])
def test_black_box_is_refused(kind):
    with pytest.raises(GatefoldError, match="which no primitive of the part is"):
        check(whole().cell("box", kind, A=["q"]).module, dsp=True)


def test_processing_system_is_needed():
    netlist = whole()
    del netlist.module["cells"]["processing_system"]
    with pytest.raises(GatefoldError, match="holds 0 PS7"):
        check(netlist.module, dsp=True)


def test_build_without_dsp_blocks_has_none():
    with pytest.raises(GatefoldError, match="1 DSP48E1 in a build without DSP blocks"):
        check(whole().module, dsp=False)


def test_memory_without_contents_is_refused():
    netlist = whole()
    netlist.module["cells"]["rom"]["parameters"]["INIT_00"] = "x" * 256
    with pytest.raises(GatefoldError, match="the block memory rom has no contents and is never written"):
        check(netlist.module, dsp=True)
