"""How many channels of a layer were active for each image, from its ``Use``."""

from dataclasses import dataclass

import torch
from torch import Tensor

from flow.nn.spec import LayerSpec
from flow.nn.trace import Use


@dataclass(frozen=True)
class Activity:
    """Active channels of a layer that runs with n groups; float64, differentiable.

    Attributes:
        inputs, outputs: active channels per group, [N, n] or [1, n].
        hard: whether all decisions are 0 or 1.
    """

    inputs: Tensor
    outputs: Tensor
    hard: bool

    @property
    def pairs(self) -> Tensor:
        """Connected pairs of an active input and an active output, [N] or [1]: the sum over groups of their products."""
        return (self.inputs * self.outputs).sum(1)


def _per_group(mask: Tensor | None, channels: int, n: int, device) -> tuple[Tensor, bool]:
    if mask is None:
        return torch.full((1, n), channels / n, dtype=torch.float64, device=device), True
    hard = bool(((mask == 0) | (mask == 1)).all())
    return mask.double().reshape(len(mask), n, channels // n).sum(2), hard


def activity(spec: LayerSpec, use: Use) -> Activity:
    """Activity of the layer that ``spec`` describes in one forward pass."""
    device = next((t.device for t in (use.inputs, use.outputs, use.executed) if t is not None), None)
    inputs, hard_inputs = _per_group(use.inputs, spec.in_channels, use.n, device)
    outputs, hard_outputs = _per_group(use.outputs, spec.out_channels, use.n, device)
    return Activity(inputs, outputs, hard_inputs and hard_outputs)
