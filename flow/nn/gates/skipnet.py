"""The feed-forward layer gates of SkipNet (Wang et al., ECCV 2018), which ACS (Zou et al., 2023, Fig. 2a, b) compares with."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flow.nn.gates.acs import INITIAL_BIAS
from flow.nn.gates.unit import GateConv
from flow.nn.linear import SwitchableLinear
from flow.nn.spec import LayerSpec


class _FeedForwardGate(nn.Module):
    """Convolutions, global average and a linear layer; SkipNet's softmax over two outputs is a sigmoid of one."""

    pooled = False

    def __init__(self, channels: int, strides: tuple[int, ...]):
        super().__init__()
        for i, stride in enumerate(strides):
            self.add_module(f"conv{i + 1}", GateConv.dense(channels, channels, 3, stride))
        self._convolutions = [f"conv{i + 1}" for i in range(len(strides))]
        self.linear = SwitchableLinear(channels, 1, switchable=False)
        nn.init.constant_(self.linear.bias, INITIAL_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        if self.pooled:
            x = F.max_pool2d(x, 2, ceil_mode=True)
        for name in self._convolutions:
            x = getattr(self, name)(x)
        return torch.sigmoid(self.linear(x.mean((2, 3)))[:, 0])

    def layers(self, in_size: int) -> list[LayerSpec]:
        """Its layers for maps of ``in_size`` pixels, named relative to the gate."""
        size, source = -(-in_size // 2) if self.pooled else in_size, "map"
        specs = []
        for name in self._convolutions:
            specs.append(getattr(self, name).spec(name, size, source))
            size, source = specs[-1].out_size, name
        return [*specs, LayerSpec("linear", "linear", self.linear.in_features, 1, 1, 1, 1, 1, (1,), source)]


class FFGate1(_FeedForwardGate):
    """FFGate-I: 2x2 maximum, two 3x3 convolutions (stride 1, then 2), average, linear; [N, C, H, W] to [N]."""

    pooled = True

    def __init__(self, channels: int):
        super().__init__(channels, (1, 2))


class FFGate2(_FeedForwardGate):
    """FFGate-II: one 3x3 convolution of stride 2, average, linear; [N, C, H, W] to [N]."""

    def __init__(self, channels: int):
        super().__init__(channels, (2,))
