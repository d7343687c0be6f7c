"""yosys commands that map an elaborated design to 7-series cells; the estimate and the open implementation share them."""

from pathlib import Path

SOFT_MULTIPLIER = Path(__file__).resolve().parents[2] / "hw" / "shell" / "soft_multiplier.v"


def commands(options, dsp=True):
    """Commands in order.

    Args:
        options: of `synth_xilinx`, without `-nodsp`.
        dsp: make products in DSP blocks; otherwise of LUTs, as `hw/shell/soft_multiplier.v` lays them out.
    """
    if dsp:
        return [f"synth_xilinx {options}"]
    synthesis = f"synth_xilinx {options} -nodsp -run"
    return [f"{synthesis} begin:coarse", f"techmap -map {SOFT_MULTIPLIER}", "clean", f"{synthesis} coarse:"]
