"""Squeeze-and-excitation block (Hu et al., CVPR 2018, arXiv:1709.01507), in 4-bit maps and 8-bit weights."""

import torch
from torch import Tensor, nn

from flow.nn import fixed_point
from flow.nn.linear import SwitchableLinear
from flow.nn.quantisers import Activation
from flow.nn.spec import LayerSpec

REDUCTION = 16
# Few-channel gates would be left with one hidden unit.
LEAST_HIDDEN = 4
# Codes times factors often lie in the middle of two codes, where the hardware rounds up: far less than what lies between two products.
HALF_UP = 1 + 2**-20
# The means of a map are small against the first scale of a quantiser: without it most hidden units would start at 0 and stay.
INITIAL_BIAS = 0.5


class SqueezeExcite(nn.Module):
    """Scales each channel of a non-negative map [N, C, H, W] by a number 0..1 computed from the means of all channels.

    s = sigmoid(W_2 relu(W_1 mean(x))), hidden units C/16, at least 4; the result is quantised to 4 bits again.

    Args:
        fixed: where the network is quantised, s is fixed point in units of 1/256, as ``flow.graph.excite`` defines it.
    """

    def __init__(self, channels: int, reduction: int = REDUCTION, fixed: bool = False):
        super().__init__()
        self.fixed, self.quantised = fixed, True
        hidden = max(channels // reduction, LEAST_HIDDEN)
        self.reduce = SwitchableLinear(channels, hidden, switchable=False)
        nn.init.kaiming_normal_(self.reduce.weight)
        nn.init.constant_(self.reduce.bias, INITIAL_BIAS)
        self.hidden = Activation()
        self.expand = SwitchableLinear(hidden, channels, switchable=False)
        self.output = Activation()

    def excitation(self, x: Tensor) -> Tensor:
        """Scales [N, C] in 0..1."""
        scores = self.expand(self.hidden(self.reduce(x.mean((2, 3)))))
        if self.fixed and self.quantised:
            return fixed_point.sigmoid(fixed_point.fixed(scores))
        return torch.sigmoid(scores)

    def forward(self, x: Tensor) -> Tensor:
        scaled = x * self.excitation(x)[:, :, None, None]
        return self.output(scaled * HALF_UP if self.fixed and self.quantised else scaled)

    def layers(self, source: str) -> list[LayerSpec]:
        """Its two linear layers; ``source`` is the layer that makes the map."""
        channels, hidden = self.reduce.in_features, self.reduce.out_features
        return [
            LayerSpec("reduce", "linear", channels, hidden, 1, 1, 1, 1, (1,), source),
            LayerSpec("expand", "linear", hidden, channels, 1, 1, 1, 1, (1,), "reduce"),
        ]
