"""Dynamic group convolutions of a gate as grouped ones: an order of their channels in which what is connected lies together."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from flow.nn.dynamic_group import DynamicGroupConv2d

MOST = 16
"""Groups at most."""


def arrange(first: "DynamicGroupConv2d", second: "DynamicGroupConv2d") -> tuple[np.ndarray, tuple[int, int]]:
    """The order of the channels between two convolutions of C channels, and of all before and behind, and the group count of each.

    Position p of a map holds channel order[p]. Two channels are connected where they agree in the bits of their number whose factor of the
    relationship matrix is the identity, so channels ordered by these bits first form groups that lie together. One order serves
    both convolutions where one's bits are among the other's. Else the one with fewer bits takes those that they share, and its
    groups have zeros in them.

    Returns:
        (order int64 [C], group counts).
    """
    apart = [{int(z) for z in np.flatnonzero(conv.gate.detach().cpu().numpy() < 0)} for conv in (first, second)]
    finer = max((0, 1), key=lambda index: len(apart[index]))
    shared = apart[0] & apart[1]
    groups = [1 << len(shared)] * 2
    groups[finer] = 1 << len(apart[finer])
    channels, factors = first.in_channels, len(first.gate)
    bits = [*sorted(shared), *sorted(apart[finer] - shared), *sorted(set(range(factors)) - apart[finer])]
    numbers = np.arange(channels)
    keys = [numbers >> (factors - 1 - z) & 1 for z in bits]  # the first factor is the highest bit
    order = np.lexsort(keys[::-1])
    return order, tuple(scheduled(count, channels) for count in groups)


def scheduled(groups: int, channels: int) -> int:
    """Groups that the engine is given for so many: a tile has two outputs, so groups of one channel would take twice as long as half as
    many of two, with zeros in them."""
    return max(1, min(groups, channels // 2, MOST))
