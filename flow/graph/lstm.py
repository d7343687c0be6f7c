"""One step of a gate's LSTM in fixed point: the definition to the bit (docs/decisions/020).

Projections, gates of the LSTM, hidden and cell values are integers in units of 1/256. Sigmoid and tanh are piecewise linear with slopes
of powers of two (PLAN: Amin, Curtis and Hayes-Gill, IEE Proc. Circuits, Devices and Systems 144(6), 1997), so shifts and additions.
"""

from dataclasses import dataclass
from math import frexp

import numpy as np

FRACTION = 8
ONE = 1 << FRACTION
LIMIT = (1 << 15) - 1
"""Values saturate at ± this."""
MULTIPLIER_BITS = 15
SEGMENTS = ((5 * ONE, 8, ONE), (19 * ONE // 8, 5, 27 * ONE // 32), (ONE, 3, 5 * ONE // 8), (0, 2, ONE // 2))
"""(from this magnitude on, shift of the magnitude, what is added) of the sigmoid, the steepest at last."""


@dataclass(frozen=True)
class Rescale:
    """x -> ⌊(x · multiplier + 2^(shift − 1)) / 2^shift⌋, saturated; the multiplier has 15 bits."""

    multiplier: int
    shift: int

    @classmethod
    def of(cls, factor: float) -> "Rescale":
        """The nearest to multiplication by a positive factor below 2^14."""
        mantissa, exponent = frexp(factor)
        multiplier = round(mantissa * (1 << MULTIPLIER_BITS))
        if multiplier == 1 << MULTIPLIER_BITS:
            multiplier, exponent = multiplier >> 1, exponent + 1
        return cls(multiplier, MULTIPLIER_BITS - exponent)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        scaled = (values * self.multiplier + (1 << (self.shift - 1))) >> self.shift
        return np.clip(scaled, -LIMIT, LIMIT)


@dataclass(frozen=True, eq=False)
class Lstm:
    """The weights that all steps share, H hidden units.

    Attributes:
        weight: int64 [4H, 2H] in −127…127, of the projection and then the hidden values, for the gates enter, forget, candidate and
            leave; bias: int64 [4H], of the sums.
        rescale: from sums to units of 1/256.
        output: int64 [H] in −127…127, output_bias: int64; the decision is output·hidden + output_bias >= 0.
    """

    weight: np.ndarray
    bias: np.ndarray
    rescale: Rescale
    output: np.ndarray
    output_bias: int

    @property
    def hidden(self) -> int:
        """H."""
        return len(self.output)

    def same(self, other: "Lstm") -> bool:
        """Whether both compute the same."""
        mine, theirs = ((each.weight, each.bias, each.output) for each in (self, other))
        equal = all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))
        return equal and (self.rescale, self.output_bias) == (other.rescale, other.output_bias)

    def start(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Hidden and cell values [N, H] at the start of a frame."""
        return np.zeros((count, self.hidden), np.int64), np.zeros((count, self.hidden), np.int64)

    def step(self, projected: np.ndarray, state: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
        """From projections int64 [N, H] and the state to decisions, uint8 [N, 1], and the next state."""
        hidden, cell = state
        sums = np.concatenate([projected, hidden], axis=1) @ self.weight.T + self.bias
        enter, forget, candidate, leave = np.split(self.rescale(sums), 4, axis=1)
        cell = _product(sigmoid(forget) * cell + sigmoid(enter) * tanh(candidate))
        hidden = _product(sigmoid(leave) * tanh(cell))
        return (self.score((hidden, cell)) >= 0).astype(np.uint8)[:, None], (hidden, cell)

    def score(self, state: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """What a step that leaves this state decides by, int64 [N]."""
        return state[0] @ self.output + self.output_bias


def _product(values: np.ndarray) -> np.ndarray:
    """Sums of products of two values in units of 1/256."""
    return np.clip((values + ONE // 2) >> FRACTION, -LIMIT, LIMIT)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """0…256, of integers in units of 1/256."""
    size = np.abs(values)
    made = np.select(
        [size >= start for start, _, _ in SEGMENTS],
        [(size >> shift if shift < FRACTION else 0) + added for _, shift, added in SEGMENTS],
    )
    return np.where(values < 0, ONE - made, made)


def tanh(values: np.ndarray) -> np.ndarray:
    """−256…256: 2·sigmoid(2x) − 1."""
    return 2 * sigmoid(2 * values) - ONE
