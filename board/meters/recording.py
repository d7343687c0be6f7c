"""What a meter recorded by itself while the board measured: a trace, and the pulses of the marker, which find the windows in it."""

from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import numpy as np

from board.errors import BoardError

TOLERANCE = (
    0.002  # share of a window's length by which a pulse may differ from it: clocks of two machines, and a serial port's delay
)
SLACK_S = 0.005


@dataclass(frozen=True)
class Recording:
    """A recording.

    Attributes:
        times, watts: float64 [N], s and W, in the order in which they were recorded.
        mark_times, marks: float64 [M] and bool [M]: the marker, high where a window lasts, from each time to the next.
        step_w: step of the readings, in W; 0 where it is not known.
        identity: of the meter, for the log; its key `name` is the meter's.
    """

    times: np.ndarray
    watts: np.ndarray
    mark_times: np.ndarray
    marks: np.ndarray
    step_w: float
    identity: dict


@dataclass(frozen=True)
class Piece:
    """One window in a recording: its own times and watts, with a sample before and behind, and what was mended."""

    times: np.ndarray
    watts: np.ndarray
    begin: float
    end: float
    problems: Tuple[str, ...]


def mend_steps_back(times: np.ndarray) -> Tuple[np.ndarray, int]:
    """Times that do not fall, and how many steps back were taken out, each by the usual interval."""
    steps = np.diff(times)
    back = steps < 0
    if not back.any():
        return times, 0
    steps[back] = np.median(steps[~back]) if (~back).any() else 0.0
    return times[0] + np.concatenate([[0.0], np.cumsum(steps)]), int(back.sum())


def pieces(recording: Recording, seconds: Sequence[float]) -> List[Piece]:
    """The pulses of a recording that are windows of these lengths, in order.

    A pulse of another length is left out: of a window that was given up. One that is too long by a single gap between two samples is one
    in which the meter's clock stepped forward; the step is taken out.

    Raises:
        BoardError: a window has no pulse.
    """
    # One clock: marks and samples are put in their order of recording before steps are mended, or share them.
    times, steps_back = mend_steps_back(recording.times)
    mark_times = recording.mark_times
    if steps_back:
        if len(mark_times) != len(times):
            raise BoardError("the clock of the recording steps back, and its marks are not in its samples; record again.")
        mark_times = times
    high = np.concatenate([[False], recording.marks, [False]])
    edges = np.flatnonzero(high[1:] != high[:-1])
    ends = [index for index in edges[1::2] if index < len(mark_times)]  # a pulse that does not end is none
    pulses = [(float(mark_times[begin]), float(mark_times[end])) for begin, end in zip(edges[::2], ends)]
    found: List[Piece] = []
    at = 0
    for number, length in enumerate(seconds):
        piece: Optional[Piece] = None
        while piece is None:
            if at == len(pulses):
                raise BoardError(
                    f"the recording has {len(pulses)} pulses of the marker and none for window {number + 1} of {len(seconds)} ({length:.3f} s); "
                    "record from before the measurement to behind its end, and name the marker's column."
                )
            piece = _piece(times, recording.watts, pulses[at], length, steps_back)
            at += 1
        found.append(piece)
    return found


def _piece(times, watts, pulse, seconds, steps_back):
    """The Piece of a pulse, or None where its length is another window's."""
    begin, end = pulse
    first, last = np.searchsorted(times, begin, "right") - 1, np.searchsorted(times, end, "left") + 1
    t, p = times[max(first, 0) : last].copy(), watts[max(first, 0) : last]
    tolerance = TOLERANCE * seconds + SLACK_S
    problems: Tuple[str, ...] = (f"the meter's clock stepped back {steps_back} times, which is mended",) if steps_back else ()
    excess = end - begin - seconds
    if abs(excess) > tolerance:
        steps = np.diff(t)
        if excess < 0 or not len(steps):
            return None
        jump = int(steps.argmax())
        usual = float(np.median(steps))
        if abs(steps[jump] - usual - excess) > tolerance:
            return None
        t[jump + 1 :] -= steps[jump] - usual
        end -= steps[jump] - usual
        problems += (f"the meter's clock stepped forward by {steps[jump] - usual:.3f} s, which is mended",)
    return Piece(t, p, begin, end, problems)
