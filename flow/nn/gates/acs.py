"""The gates of ACS (Zou et al., 2023): ACS-GN (section 3.1, Fig. 2d) and ACS (section 3.2, Fig. 2e)."""

from dataclasses import replace

import torch
from torch import Tensor

from flow.nn.dynamic_group import DynamicGroupConv2d
from flow.nn.gates.unit import ConvGate, GateConv
from flow.nn.spec import LayerSpec
from flow.nn.squeeze_excite import SqueezeExcite

# Static group counts that the paper compares the learned one with (table 2).
STATIC_GROUPS = (2, 4, 8)


class AcsGate(ConvGate):
    """Map [N, C, H, W] to one probability per channel of a convolution, [N, K].

    ACS-GN: 1x1 bottleneck, 3x3 with stride 2, 3x3, global average, linear, sigmoid. ACS replaces both 3x3 convolutions by
    dynamic group convolutions and puts a squeeze-and-excitation block between them.

    Args:
        in_channels, out_channels: C and K.
        width: channels of the bottleneck, a power of two; by default the largest up to K/share (the paper gives none).
        dynamic: ACS, or ACS-GN.
        groups: a static group count in place of the learned one, for comparison.
        share: see width.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        width: int | None = None,
        dynamic: bool = True,
        groups: int | None = None,
        share: int = 2,
    ):
        width = width or 1 << (max(out_channels // share, 1).bit_length() - 1)
        grouped = dynamic or groups is not None
        bottleneck, conv1 = GateConv.dense(in_channels, width, 1), self._conv(width, 2, grouped, groups)
        excite = SqueezeExcite(width, fixed=True) if dynamic else None
        super().__init__(out_channels, bottleneck=bottleneck, conv1=conv1, conv2=self._conv(width, 1, grouped, groups))
        self.excite = excite

    @staticmethod
    def _conv(width: int, stride: int, grouped: bool, groups: int | None) -> GateConv:
        return GateConv(DynamicGroupConv2d(width, 3, stride, groups)) if grouped else GateConv.dense(width, width, 3, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.excite is None:
            return super().forward(x)
        x = self.excite(self.conv1(self.bottleneck(x)))
        return torch.sigmoid(self.linear(self.conv2(x).mean((2, 3))))

    def layers(self, in_size: int) -> list[LayerSpec]:
        specs = super().layers(in_size)
        if self.excite is None:
            return specs
        bottleneck, conv1, conv2, linear = specs
        reduce, expand = self.excite.layers("conv1")
        return [
            bottleneck, conv1, replace(reduce, name="excite.reduce"), replace(expand, name="excite.expand", input="excite.reduce"),
            replace(conv2, input="excite.expand"), linear,
        ]  # fmt: skip
