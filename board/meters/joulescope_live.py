"""A Joulescope JS220 at the machine that runs the board program, through `pyjoulescope_driver`.

The instrument samples at 1 MHz and sends means; their times are its own sample numbers, laid onto this machine's clock by the mean that
came with the least delay.
"""

import threading
import time
from array import array
from typing import Callable, Tuple

import numpy as np

from board.errors import BoardError
from board.meters.meter import Meter

SAMPLE_HZ, MEANS_HZ = 1_000_000, 500
SILENT_SECONDS = 1.0


class JoulescopeLive(Meter):
    """The instrument.

    Args:
        device: path of it in the driver, e.g. u/js220/001234; "": the only one.
        clock: for tests that need no real time.

    Raises:
        BoardError: the driver is missing, or the instrument.
    """

    name = "joulescope"

    def __init__(self, device: str = "", clock: Callable[[], float] = time.monotonic):
        super().__init__()
        try:
            from pyjoulescope_driver import Driver
        except ImportError:
            raise BoardError("pyjoulescope_driver is missing; type: pip install pyjoulescope_driver.") from None
        self.interval_s = 1 / MEANS_HZ
        self._clock, self._driver, self._lock = clock, Driver(), threading.Lock()
        self._begins, self._ends, self._watts = array("d"), array("d"), array("d")
        self._offset, self._heard = float("inf"), 0.0
        found = [path for path in self._driver.device_paths() if "/js220/" in path]
        if device and device not in found or len(found) != 1 and not device:
            self._driver.finalize()
            choice = f"; the driver sees {', '.join(found)}" if found else ", and the driver sees none"
            raise BoardError(
                f"there is no Joulescope JS220 {device!r:.60}{choice}: plug it in, or say which: --meter joulescope:u/js220/001234."
            )
        self._device = device or found[0]
        self.identity = {"model": "JS220", "serial": self._device.rpartition("/")[2]}

    def start(self) -> None:
        """Begins to sample."""
        self._driver.open(self._device)
        for topic, value in (("s/i/range/mode", "auto"), ("s/stats/scnt", SAMPLE_HZ // MEANS_HZ), ("s/stats/ctrl", 1)):
            self._driver.publish(f"{self._device}/{topic}", value)
        self._heard = self._clock()
        self._driver.subscribe(f"{self._device}/s/stats/value", "pub", self.hear)

    def hear(self, topic: str, value: dict) -> None:
        """Takes a message of the driver: the mean power of a span of the instrument's time."""
        begin, end = value["time"]["range"]["value"]
        with self._lock:
            self._heard = self._clock()
            self._offset = min(self._offset, self._heard - end)
            self._begins.append(begin)
            self._ends.append(end)
            self._watts.append(value["signals"]["power"]["avg"]["value"])

    def samples(self) -> Tuple[np.ndarray, np.ndarray]:
        """See Meter; the last sample of the call before comes again."""
        with self._lock:
            begins, ends, watts = (np.array(values) for values in (self._begins, self._ends, self._watts))
            for values in (self._begins, self._ends, self._watts):
                del values[:-1]
            silent = self._clock() - self._heard
        if silent > SILENT_SECONDS:
            raise BoardError(
                f"the Joulescope has sent nothing for {silent:.1f} s; plug it in again and type the same command: it goes on where this ends."
            )
        times = (begins + ends) / 2 + (self._offset if len(ends) else 0.0)
        return times, watts if self.calibration is None else self.calibration.apply(watts)

    def stop(self) -> None:
        """Ends sampling."""
        self._driver.unsubscribe_all(self.hear)
        self._driver.close(self._device)
        self._driver.finalize()
