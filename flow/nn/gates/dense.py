"""Channel gate for DenseNet (DDI: Wang et al., JSTSP 2020, section III-A3, Fig. 4b)."""

import torch
from torch import Tensor, nn

from flow.nn.gates.acs import INITIAL_BIAS
from flow.nn.gates.unit import GateConv
from flow.nn.linear import SwitchableLinear
from flow.nn.spec import LayerSpec


class DenseGate(nn.Module):
    """A dense layer made small: 1x1 convolution with stride 2 and half the channels, 3x3, global average, linear, sigmoid.

    Map [N, C, H, W] to the probabilities [N, K] of a dense layer's K new channels; about 1/8 of the layer's products.

    Args:
        in_channels, out_channels: C and K.
        bottleneck: output channels of the dense layer's own 1x1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, bottleneck: int):
        super().__init__()
        self.conv1 = GateConv.dense(in_channels, bottleneck // 2, 1, 2)
        self.conv2 = GateConv.dense(bottleneck // 2, out_channels, 3)
        self.linear = SwitchableLinear(out_channels, out_channels, switchable=False)
        nn.init.constant_(self.linear.bias, INITIAL_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(self.conv2(self.conv1(x)).mean((2, 3))))

    def layers(self, in_size: int) -> list[LayerSpec]:
        """Its layers for maps of ``in_size`` pixels, named relative to the gate."""
        conv1 = self.conv1.spec("conv1", in_size, "map")
        conv2 = self.conv2.spec("conv2", conv1.out_size, "conv1")
        channels = self.linear.out_features
        return [conv1, conv2, LayerSpec("linear", "linear", channels, channels, 1, 1, 1, 1, (1,), "conv2")]
