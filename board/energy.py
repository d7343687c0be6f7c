"""Energy where no meter is attached: a model, and called so (docs/energy.md).

A Zynq board draws its idle power always, and more the more of the engine's cycles are tiles, in which its multipliers work:

    energy = idle_w · seconds + (active_w − idle_w) · tiles / clock

The default powers are the least and the most that whole PYNQ-Z2 boards drew in MLPerf Tiny 0.7 and 1.0 while they ran networks, 1.58 and
1.76 W; boards of this kind are reported to idle at 1.6 to 2.6 W. A board's own two, read once from any meter, make the model that board's.
"""

from dataclasses import dataclass

IDLE_W, ACTIVE_W = 1.58, 1.76


@dataclass(frozen=True)
class Power:
    """Power of a whole board, in W.

    Attributes:
        idle_w: while it waits.
        active_w: if every clock cycle were a tile.
    """

    idle_w: float = IDLE_W
    active_w: float = ACTIVE_W

    def joules(self, seconds: float, tiles: float, clock_mhz: float) -> float:
        """Modelled energy of the whole board over `seconds` in which the engine executes `tiles`."""
        return self.idle_w * seconds + (self.active_w - self.idle_w) * tiles / (clock_mhz * 1e6)
