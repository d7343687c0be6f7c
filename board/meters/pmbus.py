"""Power rails through `pynq.pmbus`.

`Sensor.value` there does not look at libsensors' return code: where a reading fails it is the one before, and where libsensors is missing it
is 0. Both are seen in the trace (board/meters/trace.py), which refuses one that stands still or is zero.
"""

import warnings
from typing import List

from board.errors import BoardError
from board.meters.polled import Polled

INTERVAL_S = 2e-3


class Pmbus(Polled):
    """The sum of some rails' power.

    Args:
        rails: names, as `pynq.get_rails()` has them; none: all.
        timing: clock and sleep, see Polled.

    Raises:
        BoardError: there are no rails, or not these.
    """

    name = "pmbus"

    def __init__(self, rails: List[str], **timing: object):
        super().__init__(INTERVAL_S, **timing)
        try:
            from pynq import pmbus
        except ImportError as problem:
            raise BoardError(
                f"pynq.pmbus cannot be imported ({problem}); run on the board, in a login shell of root (sudo -i)."
            ) from None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = pmbus.get_rails()
        if not known:
            raise BoardError(
                "pynq.pmbus finds no rails; this board has none, or libsensors is missing (apt-get install libsensors-dev)."
            )
        powered = {name: rail for name, rail in known.items() if rail.power or rail.voltage and rail.current}
        for name in rails:
            if name not in powered:
                raise BoardError(f"there is no power of a rail {name!r:.40}; pynq.pmbus has {', '.join(powered) or 'none'}.")
        self._rails = [powered[name] for name in rails or powered]
        if not self._rails:
            raise BoardError(f"no rail of pynq.pmbus tells its power ({', '.join(known)}); attach another meter.")
        self.identity = {"rails": [rail.name for rail in self._rails]}

    def read(self) -> float:
        """One reading in W."""
        return sum(rail.power.value if rail.power else rail.voltage.value * rail.current.value for rail in self._rails)
