"""The time of a measurement: that of the board, or of the simulated board, which does not pass while Python works."""

import time


class BoardTime:
    """Seconds as the board's steady clock has them; setting the date does not move it."""

    simulated = False

    def now(self) -> float:
        """s, from an arbitrary start."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        time.sleep(seconds)

    def ran(self, cycles: int) -> None:
        """Is told of a batch's clock cycles, which have taken their time already."""


class SimulatedTime:
    """Seconds of the simulated board: cycles of the accelerator, and what it waits.

    Args:
        clock_mhz: of the accelerator.
    """

    simulated = True

    def __init__(self, clock_mhz: float):
        self._now, self._clock_mhz = 0.0, clock_mhz

    def now(self) -> float:
        """s, from 0."""
        return self._now

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self._now += seconds

    def ran(self, cycles: int) -> None:
        """Is told of a batch's clock cycles."""
        self._now += cycles / (self._clock_mhz * 1e6)
