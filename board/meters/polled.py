"""Meters that are asked for each reading, by a thread of their own."""

import threading
import time
from array import array
from typing import Callable, Optional, Tuple

import numpy as np

from board.errors import BoardError
from board.meters.meter import Meter

LOST_SECONDS = 0.5  # without an answer, after which a meter counts as gone; shorter gaps are dropped samples


class Polled(Meter):
    """A meter that answers one reading at a time.

    Args:
        interval_s: from reading to reading; a reading that takes longer delays the next.
        clock, sleep: for tests that need no real time.
    """

    def __init__(
        self,
        interval_s: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        super().__init__()
        self.interval_s = interval_s
        self._clock, self._sleep = clock, sleep
        self._times, self._watts = array("d"), array("d")
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._failure: Optional[str] = None
        self._answered = 0.0
        self._thread: Optional[threading.Thread] = None

    def read(self) -> float:
        """One reading in W.

        Raises:
            OSError, ValueError: there is none.
        """
        raise NotImplementedError

    def start(self) -> None:
        """Begins to sample; BoardError where the first reading fails."""
        try:
            self.read()
        except (OSError, ValueError) as problem:
            raise BoardError(f"{self.name} gives no reading ({problem}); check its wiring and its driver, and try again.") from None
        self._failure, self._answered = None, self._clock()
        self._over.clear()
        self._thread = threading.Thread(target=self.sample, name=f"gatefold {self.name}", daemon=True)
        self._thread.start()

    def sample(self) -> None:
        """Takes samples until `stop`, or until the meter is gone."""
        due = self._clock()
        while not self._over.is_set() and self.poll():
            due = max(due + self.interval_s, self._clock())
            self._sleep(max(due - self._clock(), 0))

    def poll(self) -> bool:
        """Takes one sample, at the middle of the time that its reading takes; returns False when the meter is gone."""
        before = self._clock()
        try:
            watts = self.read()
        except (OSError, ValueError) as problem:
            if self._clock() - self._answered > LOST_SECONDS:
                self._failure = str(problem) or type(problem).__name__
            return self._failure is None
        self._answered = self._clock()
        with self._lock:
            self._times.append((before + self._answered) / 2)
            self._watts.append(watts)
        return True

    def samples(self) -> Tuple[np.ndarray, np.ndarray]:
        """See Meter; the last sample of the call before comes again, so that no time lies between two calls."""
        with self._lock:
            times, watts = np.array(self._times, np.float64), np.array(self._watts, np.float64)
            del self._times[:-1]
            del self._watts[:-1]
        if self._failure is not None:
            raise BoardError(
                f"{self.name} has stopped answering ({self._failure}); plug it in again and type the same command: it goes on where this ends."
            )
        return times, watts if self.calibration is None else self.calibration.apply(watts)

    def stop(self) -> None:
        """Ends sampling."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(5)
            self._thread = None
