"""yosys commands that map an elaborated design to 7-series cells; the estimates and the open implementation share them."""

from collections.abc import Mapping
from pathlib import Path

SOFT_MULTIPLIER = Path(__file__).resolve().parents[2] / "hw" / "shell" / "soft_multiplier.v"


def uses_dsp(parameters: Mapping[str, int]) -> bool:
    """Whether hardware of these RTL parameters has DSP blocks; what does not know the parameter has them."""
    return parameters.get("REQUANT_DSP", 1) == 1


def commands(options: str, dsp: bool = True) -> list[str]:
    """Commands in order; modules that are kept stay modules.

    Args:
        options: of `synth_xilinx`, without `-nodsp`.
        dsp: make products in DSP blocks; otherwise of LUTs, as `hw/shell/soft_multiplier.v` lays them out.
    """
    return _commands(options, dsp, "")


def flat_commands(options: str, dsp: bool = True) -> list[str]:
    """Commands in order that leave one module: kept modules are flattened before LUTs are mapped.

    Until then they stand: each is small, and a lane is optimised as it is written. abc9 runs once, over all of the logic, instead
    of once for each of them.
    """
    whole = ["setattr -mod -unset keep_hierarchy", "flatten", "opt_clean"]
    return [*_commands(options, dsp, "map_luts"), *whole, f"{_synthesis(options, dsp)} -run map_luts:"]


def _synthesis(options, dsp):
    return f"synth_xilinx {options}" + ("" if dsp else " -nodsp")


def _commands(options, dsp, until):
    synthesis = _synthesis(options, dsp)
    if dsp:
        return [f"{synthesis} -run begin:{until}" if until else synthesis]
    return [f"{synthesis} -run begin:coarse", f"techmap -map {SOFT_MULTIPLIER}", "clean", f"{synthesis} -run coarse:{until}"]
