"""Integer requantisation that equals the float definition at every reachable accumulator.

The network defines an output as q(acc) = round_half_even(fl(fl(acc·A) + B)), float32, clamped. The engine
computes h(acc) = (g·acc·scale + bias·2^10) >> 26, clamped, where g is 16 in layers with `prescale` (their
accumulators are small and A may exceed a quarter) and 1 in the others. Where accumulators have more than 18 bits, as in a first layer
with weights of 8 bits, steps may lie so far apart that the scale needs more digits: with `fine` it is (acc·scale + bias·2^18) >> 34. Both are monotone in acc, so they agree
everywhere iff they step at the same accumulators. The steps of q are found by bisection; each gives linear
constraints on (scale, bias)

    g·T·scale + bias·2^10 ≥ k·2^26   and   g·(T − 1)·scale + bias·2^10 < k·2^26

for the smallest accumulator T with q ≥ k. Integer points of that polygon are searched scale by scale around
its middle. At last every reachable accumulator is compared, so that nothing rests on the derivation.

Where a layer is defined by thresholds, the steps are given and the rest is the same.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flow.errors import GatefoldError
from flow.graph.integer import Requantise, affine_round
from flow.graph.layers import ACTIVATION_MAX, Layer, LayerGraph, Setting

SHIFT = 26
BIAS_SHIFT = 10
PRESCALE_BITS = 4
SCALE_BITS = 25
BIAS_BITS = 29
ACCUMULATOR_BITS = 18
WIDE_ACCUMULATOR_BITS = 21
FINE_BITS = 8

_SCALE_MAX = (1 << (SCALE_BITS - 1)) - 1
_BIAS_MAX = (1 << (BIAS_BITS - 1)) - 1
_CANDIDATES = 257


@dataclass
class Requantisation:
    """Engine constants of one layer at one group count.

    Attributes:
        scale, bias: int64 [Co].
        matched: bool [Co], False where no pair of constants equals the float definition.
        prescale: the accumulator enters shifted left by 4 bits.
        fine: shift and unit of the bias have 8 bits more.
    """

    scale: np.ndarray
    bias: np.ndarray
    matched: np.ndarray
    prescale: bool = False
    fine: bool = False


Requantisations = dict[tuple[str, Setting], Requantisation]
"""(layer name, setting) -> constants."""


def apply(scale: np.ndarray, bias: np.ndarray, acc: np.ndarray, prescale: bool = False, fine: bool = False) -> np.ndarray:
    """h(acc) before the clamp; all int64, scale and bias broadcast against acc."""
    more = FINE_BITS if fine else 0
    return ((acc << PRESCALE_BITS if prescale else acc) * scale + (bias << BIAS_SHIFT + more)) >> SHIFT + more


def accumulator_bits(layer: Layer, groups: int) -> int:
    """Bits, sign included, that hold every reachable accumulator of a convolution."""
    low, high = layer.accumulator_range(groups)
    return int(max(-low.min() - 1, high.max(), 0)).bit_length() + 1


def float_steps(scale: np.ndarray, offset: np.ndarray, low: np.ndarray, high: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """T[c, k]: the smallest acc in [low, high] with q(acc) >= level k; high + 1 where there is none.

    Args:
        scale, offset: float32 [Co], scale >= 0.
        low, high: int64 [Co].
        levels: int64 [L].

    Returns:
        int64 [Co, L].
    """
    shape = (len(scale), len(levels))
    below = np.broadcast_to(low[:, None] - 1, shape).copy()
    above = np.broadcast_to(high[:, None] + 1, shape).copy()
    while True:
        active = above - below > 1
        if not active.any():
            return above
        middle = (below + above) >> 1
        reached = affine_round(middle, scale[:, None], offset[:, None]) >= levels
        above = np.where(active & reached, middle, above)
        below = np.where(active & ~reached, middle, below)


def _bias_interval(scale, steps, low, high, levels, gain, more):
    """(lowest, highest) bias allowed by every step, for candidate scales [c, s]; int64 [c, s] each."""
    one, shift = 1 << SHIFT + more, BIAS_SHIFT + more
    lowest = np.full(scale.shape, -_BIAS_MAX - 1)
    highest = np.full(scale.shape, _BIAS_MAX)
    for index, level in enumerate(levels):
        step = steps[:, index, None]
        at_least = -((step * gain * scale - level * one) >> shift)
        at_most = (level * one - 1 - (step - 1) * gain * scale) >> shift
        lowest = np.where(step <= high[:, None], np.maximum(lowest, at_least), lowest)
        highest = np.where(step > low[:, None], np.minimum(highest, at_most), highest)
    return lowest, highest


def _scale_interval(steps, low, high, levels, gain, more):
    """(lowest, highest) scale that leaves a real-valued bias, float64 [c] each."""
    lowest = np.zeros(len(steps))
    highest = np.full(len(steps), float(_SCALE_MAX))
    for j, level_j in enumerate(levels):
        for k, level_k in enumerate(levels):
            step_j, step_k = steps[:, j], steps[:, k]
            # level_j·2^26 - g·step_j·scale <= bias·2^10 <= level_k·2^26 - 1 - g·(step_k - 1)·scale; fine: 2^34, 2^18
            both = (step_j <= high) & (step_k > low)
            run = (step_k - 1 - step_j) * gain
            rise = float((int(level_k) - int(level_j)) * (1 << SHIFT + more) - 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                bound = rise / run
            highest = np.where(both & (run > 0), np.minimum(highest, bound), highest)
            lowest = np.where(both & (run < 0), np.maximum(lowest, bound), lowest)
    return lowest, highest


def solve(
    scale: np.ndarray,
    offset: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    lowest_level: int,
    prescale: bool = False,
    highest_level: int = ACTIVATION_MAX,
    fine: bool = False,
) -> Requantisation:
    """Engine constants for channels with accumulators in [low, high].

    Args:
        scale, offset: float32 [Co], A and B of the float definition.
        low, high: int64 [Co], reachable accumulators.
        lowest_level: the clamp below which results need not be told apart: 0, or -15 where a residual
            of 0…15 is added before the clamp.
        prescale: accumulators enter the requantiser times 16.
        highest_level: the clamp above.
        fine: with 8 more bits of shift.

    Returns:
        Channels that no constants match hold the nearest ones and are marked.
    """
    scale, offset = np.asarray(scale, np.float32), np.asarray(offset, np.float32)
    sign = np.where(scale < 0, -1, 1)
    magnitude = np.abs(scale)
    flipped_low, flipped_high = np.where(sign < 0, -high, low), np.where(sign < 0, -low, high)
    levels = np.arange(lowest_level + 1, highest_level + 1)
    steps = float_steps(magnitude, offset, flipped_low, flipped_high, levels)
    gain, more = 1 << PRESCALE_BITS if prescale else 1, FINE_BITS if fine else 0
    ideal = np.clip(np.rint(magnitude.astype(np.float64) * (1 << SHIFT + more) / gain), 0, _SCALE_MAX)
    near_bias = np.rint((offset.astype(np.float64) + 0.5) * (1 << (SHIFT - BIAS_SHIFT)))
    chosen, bias = _choose(steps, flipped_low, flipped_high, levels, gain, more, ideal, near_bias)
    constants = Requantisation(chosen * sign, bias, np.empty(len(scale), bool), prescale, fine)

    def expected(channel, acc):
        return affine_round(acc, scale[channel], offset[channel])

    constants.matched[:] = verify(constants, expected, low, high, lowest_level, highest_level)
    return constants


def solve_thresholds(
    thresholds: np.ndarray, low: np.ndarray, high: np.ndarray, lowest_level: int, prescale: bool = False, fine: bool = False
) -> Requantisation:
    """Engine constants for channels that step from lowest_level upwards at given accumulators.

    Args:
        thresholds: int64 [Co, L], ascending.
        low, high, lowest_level, prescale, fine: as for `solve`.

    Returns:
        Channels that no constants match are marked.
    """
    count = thresholds.shape[1]
    levels = np.arange(lowest_level + 1, lowest_level + count + 1)
    steps = np.clip(thresholds, low[:, None], high[:, None] + 1)
    gain, more = 1 << PRESCALE_BITS if prescale else 1, FINE_BITS if fine else 0
    # The rise over the run of all thresholds, for want of an ideal scale.
    ideal = np.rint((1 << SHIFT + more) * (count - 1) / np.maximum(thresholds[:, -1] - thresholds[:, 0], 1) / gain)
    chosen, bias = _choose(steps, low, high, levels, gain, more, np.clip(ideal, 0, _SCALE_MAX), np.zeros(len(steps)))
    constants = Requantisation(chosen, bias, np.empty(len(steps), bool), prescale, fine)

    def expected(channel, acc):
        return np.searchsorted(thresholds[channel], acc, side="right") + lowest_level

    constants.matched[:] = verify(constants, expected, low, high, lowest_level, lowest_level + count)
    return constants


def _choose(steps, low, high, levels, gain, more, ideal, near_bias):
    """(scale, bias), int64 [c] each: of all candidates those with the widest range of biases; `ideal` and `near_bias` where no
    candidate has a bias at all."""
    limits = steps, low, high, levels, gain, more
    first, last = _scale_interval(*limits)
    middle = np.clip(np.rint((first + last) / 2), 0, _SCALE_MAX)
    first = np.clip(np.ceil(first), 0, _SCALE_MAX)
    last = np.clip(np.floor(last), 0, _SCALE_MAX)
    spread = np.linspace(0.0, 1.0, _CANDIDATES)
    near = np.arange(_CANDIDATES) - _CANDIDATES // 2
    candidates = np.concatenate(
        [
            ideal[:, None],
            middle[:, None] + near,
            np.rint(first[:, None] + (last - first)[:, None] * spread),
        ],
        axis=1,
    )
    candidates = np.clip(candidates, 0, _SCALE_MAX).astype(np.int64)
    bias_low, bias_high = _bias_interval(candidates, *limits)
    slack = bias_high - bias_low
    best = slack.argmax(axis=1)
    row = np.arange(len(steps))
    chosen_scale = candidates[row, best]
    chosen_bias = (bias_low[row, best] + bias_high[row, best]) >> 1
    unmatched = slack[row, best] < 0
    chosen_scale = np.where(unmatched, ideal.astype(np.int64), chosen_scale)
    chosen_bias = np.where(unmatched, np.clip(near_bias, -_BIAS_MAX - 1, _BIAS_MAX), chosen_bias).astype(np.int64)
    return chosen_scale, chosen_bias


def verify(
    constants: Requantisation,
    expected: Callable[[int, np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    lowest_level: int,
    highest_level: int,
) -> np.ndarray:
    """Compare h, clamped, with expected(channel, acc), clamped, at every accumulator in [low, high], int64 [Co] each; returns bool [Co]."""
    equal = np.empty(len(low), bool)
    for channel in range(len(low)):
        acc = np.arange(low[channel], high[channel] + 1)
        got = apply(constants.scale[channel], constants.bias[channel], acc, constants.prescale, constants.fine)
        wanted = np.clip(expected(channel, acc), lowest_level, highest_level)
        equal[channel] = np.array_equal(np.clip(got, lowest_level, highest_level), wanted)
    return equal


def requantise_layer(layer: Layer, setting: Setting) -> Requantisation:
    """Constants of one convolution in one setting; prescaled, or fine where accumulators are wide, where only that matches
    every channel.

    Raises:
        GatefoldError: an accumulator can leave its 21 bits.
    """
    groups = setting.groups
    low, high = layer.accumulator_range(groups)
    bits = accumulator_bits(layer, groups)
    if bits > WIDE_ACCUMULATOR_BITS:
        raise GatefoldError(
            f"layer {layer.name} with {groups} groups can reach accumulator {max(-low.min(), high.max())}, beyond "
            f"{WIDE_ACCUMULATOR_BITS} bits; use fewer input channels or smaller weights"
        )
    constants = _solve_layer(layer, setting, low, high)
    other = {"fine": True} if bits > ACCUMULATOR_BITS else {"prescale": True}
    if not constants.matched.all() and (bits > ACCUMULATOR_BITS or bits <= ACCUMULATOR_BITS - PRESCALE_BITS):
        again = _solve_layer(layer, setting, low, high, **other)
        if again.matched.sum() > constants.matched.sum():
            return again
    return constants


def _solve_layer(layer, setting, low, high, prescale=False, fine=False):
    lowest, highest = layer.level_range
    if layer.thresholds:
        return solve_thresholds(layer.thresholds[setting], low, high, lowest, prescale, fine)
    return solve(*layer.affine[setting], low, high, lowest, prescale, highest, fine)


def requantise(graph: LayerGraph) -> Requantisations:
    """Constants of every convolution in every setting that a mode uses; `check_matched` tells whether they are usable."""
    table = {}
    for layer in graph.layers:
        if layer.kind == "conv" and not layer.excite:
            for setting in graph.used_settings(layer):
                table[layer.name, setting] = requantise_layer(layer, setting)
    return table


def unmatched(table: Requantisations) -> list[tuple[str, Setting, int]]:
    """(layer name, setting, channel) of every channel whose constants differ from the definition."""
    return [
        (name, setting, int(channel))
        for (name, setting), constants in table.items()
        for channel in np.flatnonzero(~constants.matched)
    ]


def check_matched(graph: LayerGraph, table: Requantisations) -> None:
    """Raise GatefoldError where a channel is unmatched; the sentence counts them and names the first."""
    bad = unmatched(table)
    if not bad:
        return
    name, setting, channel = bad[0]
    modes = [mode for mode in graph.modes if graph.setting(mode, graph[name]) == setting]
    total = sum(len(constants.scale) for constants in table.values())
    layer = graph[name]
    if layer.thresholds:
        inside = layer.thresholds[setting][channel]
        what, found = "its thresholds", f"thresholds {inside[0]} to {inside[-1]}"
    else:
        what, found = "batch norm", f"A = {layer.affine[setting][0][channel]:.6g}"
    raise GatefoldError(
        f"{len(bad)} of {total} channels of {graph.name} have no integer requantisation that equals {what} at "
        f"every accumulator; the first is channel {channel} of layer {name} with {setting.groups} groups "
        f"(mode {', '.join(modes)}, {found}); lower that batch norm's weight or train on"
    )


def hardware(table: Requantisations) -> Requantise:
    """The engine's requantisation as the `requantise` argument of `flow.graph.integer.run`."""

    def requantise_accumulators(layer, setting, acc):
        constants = table[layer.name, setting]
        return apply(constants.scale[:, None, None], constants.bias[:, None, None], acc, constants.prescale, constants.fine)

    return requantise_accumulators
