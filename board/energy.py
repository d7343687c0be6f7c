"""Energy of a batch where no meter is attached: a model, and called so.

The whole board's power is taken as constant, since a Zynq board's idle power dominates: energy = power × time. The
constant is what FINN's CNV-W1A1 on a PYNQ-Z2 at 100 MHz drew in MLPerf Tiny 0.7, 1.67 W; boards of this kind
are reported from 1.6 to 2.6 W (docs/energy.md).
"""

BOARD_WATT = 1.67


def modelled_millijoule(seconds: float) -> float:
    """Energy of the whole board over `seconds`, in mJ."""
    return BOARD_WATT * seconds * 1e3
