"""Channel gate of DDI (Wang et al., JSTSP 2020, section III-A2, Fig. 2b)."""

import torch
from torch import Tensor, nn

from flow.nn.gates.acs import INITIAL_BIAS
from flow.nn.gates.unit import GateConv
from flow.nn.linear import SwitchableLinear
from flow.nn.spec import LayerSpec


class ChannelGate(nn.Module):
    """Map [N, C, H, W] to one probability per output channel of a block, [N, K].

    3x3 convolution with stride 2, global average, linear layer with 8-bit weights, sigmoid.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = GateConv.dense(in_channels, in_channels, 3, 2)
        self.linear = SwitchableLinear(in_channels, out_channels, switchable=False)
        nn.init.constant_(self.linear.bias, INITIAL_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(self.conv(x).mean((2, 3))))

    def layers(self, in_size: int) -> list[LayerSpec]:
        """Its layers for maps of ``in_size`` pixels, named relative to the gate."""
        linear = self.linear
        return [
            self.conv.spec("conv", in_size, "map"),
            LayerSpec("linear", "linear", linear.in_features, linear.out_features, 1, 1, 1, 1, (1,), "conv"),
        ]
