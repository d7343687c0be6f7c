"""The energy in a trace of power, over the samples' actual times, and what is wrong with a trace."""

from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

RATE = 350.0  # samples/s from which on the rate's own error is of no account for loads of this kind
LONGEST_GAP, GAP_SECONDS = 0.05, 0.1  # share of a window, without samples; so much is never too long
STILL_SECONDS, STILL_SAMPLES = 1.0, 20  # that a reading may stand still
COARSE = 0.01  # step of a meter, as a share of its reading, from which on it may stand still for long
DROPPED = 3.0  # usual intervals, from which on samples count as dropped


class Unusable(Exception):
    """What is wrong with a trace, in words."""


@dataclass(frozen=True)
class Energy:
    """Energy in a window; all None where a file of the meter is still to come.

    Attributes:
        joules: of the whole window.
        samples: in it.
        samples_per_s: actual mean; None of a model.
        sampling_error: half width of the 95 % interval that the samples' number and the meter's step leave, as a share of the energy; None
            of a model.
        problems: sentences.
    """

    joules: Optional[float]
    samples: Optional[int]
    samples_per_s: Optional[float]
    sampling_error: Optional[float]
    problems: Tuple[str, ...] = ()


def integrate(times: np.ndarray, watts: np.ndarray, begin: float, end: float) -> float:
    """Energy from `begin` to `end` in J: trapezoids between samples in order, the ends interpolated.

    Args:
        times, watts: float64 [N], s and W; times do not fall, and reach from `begin` or before it to `end` or behind it.
    """
    inside = (times >= begin) & (times <= end)
    t, p = times[inside], watts[inside]
    if not len(t) or t[0] > begin:
        t, p = np.append(begin, t), np.append(np.interp(begin, times, watts), p)
    if t[-1] < end:
        t, p = np.append(t, end), np.append(p, np.interp(end, times, watts))
    return float((np.diff(t) * (p[1:] + p[:-1])).sum() / 2)


def metered(times: np.ndarray, watts: np.ndarray, begin: float, end: float, step_w: float = 0.0) -> Energy:
    """The energy that a meter saw from `begin` to `end`.

    Readings of zero or less are dropped: a board that runs draws power, and libraries give zero where a reading failed. Gaps are bridged
    by a straight line up to `LONGEST_GAP`. A clock of the meter that steps back is mended by the usual interval.

    Args:
        times, watts: float64 [N], s and W, as they came.
        step_w: the step of the meter's readings.

    Raises:
        Unusable: no, too few or only zero readings, a reading that stands still, or a gap that is too long.
    """
    problems: List[str] = []
    good = np.isfinite(watts) & np.isfinite(times) & (watts > 0)
    if len(watts) and not good.any():
        raise Unusable("it reads zero all the time")
    if not good.all():
        problems.append(f"{int((~good).sum())} of {len(good)} readings were zero or none and are left out")
    times, watts = times[good], watts[good]
    inside = (times >= begin) & (times <= end)
    if inside.sum() < 2:
        raise Unusable("it gave no samples")
    if (np.diff(times) < 0).any():
        raise Unusable("its clock stepped back")
    covered = np.concatenate([[begin], times[inside], [end]])
    if times[0] <= begin:
        covered[0] = times[times <= begin][-1]
    if times[-1] >= end:
        covered[-1] = times[times >= end][0]
    gaps = np.diff(covered)
    longest = float(gaps.max())
    if longest > max(LONGEST_GAP * (end - begin), GAP_SECONDS) and longest > DROPPED * float(np.median(gaps)):
        raise Unusable(f"it gave no sample for {longest:.3g} s of a window of {end - begin:.3g} s")
    dropped = gaps > DROPPED * float(np.median(gaps))
    if dropped.any():
        problems.append(f"{int(dropped.sum())} gaps without samples, {float(gaps[dropped].sum()):.3g} s in all, are bridged")
    t, p = times[inside], watts[inside]
    mean = float(p.mean())
    still = _longest_still(t, p)
    if still and step_w < COARSE * mean:
        raise Unusable(f"its reading stands still at {still:.6g} W")
    rate = len(t) / (end - begin)
    spread = 1.96 * float(p.std()) / len(p) ** 0.5 + step_w / 12**0.5
    return Energy(integrate(times, watts, begin, end), len(t), rate, spread / mean, tuple(problems))


def modelled(times: np.ndarray, watts: np.ndarray, begin: float, end: float) -> Energy:
    """The energy of a model from `begin` to `end`."""
    return Energy(integrate(times, watts, begin, end), 0, None, None)


def _longest_still(times, watts):
    """The reading that stands still for longer than it may, or None."""
    changes = np.flatnonzero(np.diff(watts)) + 1
    first, last = np.append(0, changes), np.append(changes, len(watts))
    long = (last - first >= STILL_SAMPLES) & (times[last - 1] - times[first] >= STILL_SECONDS)
    whole = len(first) == 1 and len(watts) >= STILL_SAMPLES
    return float(watts[first[long][0]]) if long.any() else float(watts[0]) if whole else None
