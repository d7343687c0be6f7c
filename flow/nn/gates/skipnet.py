"""The feed-forward layer gates of SkipNet (Wang et al., ECCV 2018), which ACS (Zou et al., 2023, Fig. 2a, b) compares with.

SkipNet's softmax over two outputs is a sigmoid of one.
"""

from dataclasses import replace

from torch import Tensor
from torch.nn import functional as F

from flow.nn.gates.unit import ConvGate, GateConv
from flow.nn.spec import LayerSpec


class FFGate1(ConvGate):
    """FFGate-I: 2x2 maximum, two 3x3 convolutions (stride 1, then 2), average, linear; [N, C, H, W] to [N, 1]."""

    def __init__(self, channels: int):
        super().__init__(1, conv1=GateConv.dense(channels, channels, 3), conv2=GateConv.dense(channels, channels, 3, 2))

    def prepare(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, 2, ceil_mode=True)

    def layers(self, in_size: int) -> list[LayerSpec]:
        conv1, *others = super().layers(-(-in_size // 2))
        return [replace(conv1, max_pool=True), *others]


class FFGate2(ConvGate):
    """FFGate-II: one 3x3 convolution of stride 2, average, linear; [N, C, H, W] to [N, 1]."""

    def __init__(self, channels: int):
        super().__init__(1, conv1=GateConv.dense(channels, channels, 3, 2))
