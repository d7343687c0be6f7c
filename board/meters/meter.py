"""What every meter is: something that gives times and watts."""

from dataclasses import dataclass
from typing import Dict, Optional, Tuple

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """Two-point calibration: true power = gain · reading + offset_w.

    Attributes:
        points: ((read W, true W), (read W, true W)), of two known loads.
        date: ISO 8601.
    """

    points: Tuple[Tuple[float, float], Tuple[float, float]]
    date: str

    @property
    def gain(self) -> float:
        """W of true power per W of reading."""
        (low, true_low), (high, true_high) = self.points
        return (true_high - true_low) / (high - low)

    @property
    def offset_w(self) -> float:
        """True power at a reading of zero."""
        (low, true_low), _ = self.points
        return true_low - self.gain * low

    def apply(self, watts: np.ndarray) -> np.ndarray:
        """True power of readings."""
        return self.gain * watts + self.offset_w

    def as_json(self) -> dict:
        """The object in the log."""
        points = [list(point) for point in self.points]
        return {"gain": self.gain, "offset_w": self.offset_w, "date": self.date, "points": points}


class Meter:
    """A meter. Between `start` and `stop`, `samples` gives what came since it was called last.

    Attributes:
        name: in the log.
        kind: "measured", or "modelled" of what is no meter.
        identity: what it says of itself, for the log.
        calibration: None where there is none; `samples` has it applied.
        interval_s: seconds between samples, about; None of what is no meter.
        step_w: the step of its readings, in W.
        records: whether it records by itself, into a file that is read later; it gives no samples then.
    """

    name = ""
    kind = "measured"
    interval_s: Optional[float] = None
    step_w = 0.0
    records = False

    def __init__(self) -> None:
        self.identity: Dict[str, object] = {}
        self.calibration: Optional[Calibration] = None

    def start(self) -> None:
        """Begins to sample.

        Raises:
            BoardError: it does not answer.
        """

    def samples(self) -> Tuple[np.ndarray, np.ndarray]:
        """Times (float64 [N], s, of the measurement's clock, in order) and power (float64 [N], W).

        Raises:
            BoardError: the meter has gone.
        """
        return np.zeros(0), np.zeros(0)

    def ran(self, begin: float, end: float, tiles: int) -> None:
        """Is told what the accelerator did from one time to another, which a meter has no need of."""

    def stop(self) -> None:
        """Ends sampling."""


class Elsewhere(Meter):
    """A meter that records by itself while the board marks the windows (board/marker.py)."""

    name = "recorded"
    records = True
    interval_s = 0.1  # of the slowest meters; between two windows the mark is low for some of them
