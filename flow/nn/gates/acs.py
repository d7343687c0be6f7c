"""The gates of ACS (Zou et al., 2023): ACS-GN (section 3.1, Fig. 2d) and ACS (section 3.2, Fig. 2e)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from flow.nn.dynamic_group import DynamicGroupConv2d
from flow.nn.gates.unit import GateConv
from flow.nn.linear import SwitchableLinear
from flow.nn.spec import LayerSpec
from flow.nn.squeeze_excite import SqueezeExcite

# sigmoid(1) = 0.73: channels start above the threshold of one half.
INITIAL_BIAS = 1.0
# Static group counts that the paper compares the learned one with (table 2).
STATIC_GROUPS = (2, 4, 8)


class AcsGate(nn.Module):
    """Map [N, C, H, W] to one probability per channel of a convolution, [N, K].

    ACS-GN: 1x1 bottleneck, 3x3 with stride 2, 3x3, global average, linear, sigmoid. ACS replaces both 3x3 convolutions by
    dynamic group convolutions and puts a squeeze-and-excitation block between them.

    Args:
        in_channels, out_channels: C and K.
        width: channels of the bottleneck, a power of two; by default the largest up to K/2 (the paper gives none).
        dynamic: ACS, or ACS-GN.
        groups: a static group count in place of the learned one, for comparison.
    """

    def __init__(
        self, in_channels: int, out_channels: int, width: int | None = None, dynamic: bool = True, groups: int | None = None
    ):
        super().__init__()
        width = width or 1 << (max(out_channels // 2, 1).bit_length() - 1)
        grouped = dynamic or groups is not None
        self.bottleneck = GateConv.dense(in_channels, width, 1)
        self.conv1 = self._conv(width, 2, grouped, groups)
        self.excite = SqueezeExcite(width) if dynamic else None
        self.conv2 = self._conv(width, 1, grouped, groups)
        self.linear = SwitchableLinear(width, out_channels, switchable=False)
        nn.init.constant_(self.linear.bias, INITIAL_BIAS)

    @staticmethod
    def _conv(width: int, stride: int, grouped: bool, groups: int | None) -> GateConv:
        return GateConv(DynamicGroupConv2d(width, 3, stride, groups)) if grouped else GateConv.dense(width, width, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(self.bottleneck(x))
        if self.excite is not None:
            x = self.excite(x)
        return torch.sigmoid(self.linear(self.conv2(x).mean((2, 3))))

    def layers(self, in_size: int) -> list[LayerSpec]:
        """Its layers for maps of ``in_size`` pixels, named relative to the gate."""
        bottleneck = self.bottleneck.spec("bottleneck", in_size, "map")
        conv1 = self.conv1.spec("conv1", bottleneck.out_size, "bottleneck")
        specs = [bottleneck, conv1]
        if self.excite is not None:
            excite = self.excite.layers("conv1")
            specs += [replace(excite[0], name="excite.reduce"), replace(excite[1], name="excite.expand", input="excite.reduce")]
        conv2 = self.conv2.spec("conv2", conv1.out_size, specs[-1].name)
        linear = LayerSpec("linear", "linear", self.linear.in_features, self.linear.out_features, 1, 1, 1, 1, (1,), "conv2")
        return [*specs, conv2, linear]
