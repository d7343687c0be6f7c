"""No meter: the power of the model in board/energy.py, from the tiles that were executed."""

from typing import List, Tuple

import numpy as np

from board.energy import Power
from board.meters.meter import Meter

FOREVER = 1e12  # seconds


class Model(Meter):
    """Modelled power: idle, but for the times that it is told of."""

    name = "model"
    kind = "modelled"

    def __init__(self, power: Power, clock_mhz: float):
        super().__init__()
        self.identity = {"idle_w": power.idle_w, "active_w": power.active_w}
        self._power, self._clock_mhz = power, clock_mhz
        self._ran: List[Tuple[float, float, float]] = []

    def ran(self, begin: float, end: float, tiles: int) -> None:
        """Power is even from `begin` to `end`."""
        self._ran.append((begin, end, self._power.joules(end - begin, tiles, self._clock_mhz) / (end - begin)))

    def samples(self) -> Tuple[np.ndarray, np.ndarray]:
        """Two at each end of a time that it was told of, for the step there; before and after it is idle."""
        idle = self._power.idle_w
        corners = [(-FOREVER, idle)]
        for begin, end, watts in self._ran:
            corners += [(begin, idle), (begin, watts), (end, watts), (end, idle)]
        corners.append((FOREVER, idle))
        self._ran.clear()
        times, watts = np.array(corners, np.float64).T
        return times, watts
