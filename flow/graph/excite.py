"""Squeeze-and-excitation in integers: the definition to the bit (docs/decisions/023).

Sums over the pixels of a map become 4-bit codes of hidden units, these an 8-bit factor for each channel, in units of 1/256, by the
sigmoid of `flow.graph.lstm`. A convolution that leaves the map as it is multiplies it by them.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flow.graph.lstm import Rescale, sigmoid

if TYPE_CHECKING:
    from flow.graph.layers import Layer

CODE_MAX = 15


@dataclass(frozen=True, eq=False)
class Expand:
    """From codes of J hidden units to C factors: weight int64 [C, J] in −127…127, bias int64 [C], and from sums to units of 1/256."""

    weight: np.ndarray
    bias: np.ndarray
    rescale: Rescale

    def same(self, other: "Expand") -> bool:
        """Whether both compute the same."""
        equal = np.array_equal(self.weight, other.weight) and np.array_equal(self.bias, other.bias)
        return equal and self.rescale == other.rescale


def factors(layer: "Layer", sums: np.ndarray) -> np.ndarray:
    """Factors 0…256, int64 [N, C], of an "excite" layer, from sums over pixels, int64 [N, C]."""
    codes = np.clip(layer.rescale(sums @ layer.weight.T + layer.bias), 0, CODE_MAX)
    expand = layer.expand
    return sigmoid(expand.rescale(codes @ expand.weight.T + expand.bias))


def excited(acc: np.ndarray, factor: np.ndarray, shift: int) -> np.ndarray:
    """Levels of accumulators [N, C, H, W] times factors [N, C] by 2^−shift, rounded half up, before the clamp."""
    return (acc * factor[:, :, None, None] + (1 << (shift - 1))) >> shift
