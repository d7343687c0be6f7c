"""Fixed point in units of 1/256 to train through: that of `flow.graph.lstm`, with the gradients of its segments."""

import torch
from torch import Tensor

from flow.graph.lstm import FRACTION, LIMIT, ONE, SEGMENTS


def fixed(x: Tensor) -> Tensor:
    """Rounded to units of 1/256 and saturated, with the gradient of x."""
    return x + (torch.floor(x * ONE + 0.5).clamp(-LIMIT, LIMIT) / ONE - x).detach()


def sigmoid(x: Tensor) -> Tensor:
    """That of ``flow.graph.lstm``, of multiples of 1/256, with the gradient of its segments."""
    size, made = x.abs(), torch.zeros_like(x)
    for start, shift, added in reversed(SEGMENTS):
        line = size * (0.5**shift if shift < FRACTION else 0.0) + added / ONE
        line = line + (torch.floor(line * ONE) / ONE - line).detach()
        made = torch.where(size >= start / ONE, line, made)
    return torch.where(x < 0, 1 - made, made)


def tanh(x: Tensor) -> Tensor:
    return 2 * sigmoid(2 * x) - 1
