"""Building blocks of the convolutional gates."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.conv import SwitchableConv2d
from flow.nn.dynamic_group import DynamicGroupConv2d
from flow.nn.linear import SwitchableLinear
from flow.nn.quantisers import Activation
from flow.nn.spec import LayerSpec

# Maps inside a gate can become constant, and 1/sqrt(eps) is what their gradients are multiplied by.
EPS = 1e-3
# sigmoid(1) = 0.73: channels start above the threshold of one half.
INITIAL_BIAS = 1.0


class GateConv(nn.Module):
    """Convolution with 4-bit weights, batch normalisation, 4-bit ReLU: [N, Ci, H, W] to [N, Co, H', W']."""

    def __init__(self, conv: SwitchableConv2d | DynamicGroupConv2d):
        super().__init__()
        self.conv = conv
        self.norm = SwitchableBatchNorm2d(conv.out_channels, (1,), EPS)
        self.activation = Activation()

    @classmethod
    def dense(cls, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> "GateConv":
        """With a plain convolution."""
        return cls(SwitchableConv2d(in_channels, out_channels, kernel, stride, switchable=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.norm(self.conv(x), 1))

    def spec(self, name: str, in_size: int, source: str) -> LayerSpec:
        """The layer, reading a map of ``in_size`` pixels that layer ``source`` makes."""
        conv, stride = self.conv, self.conv.stride[0]
        out_size = -(-in_size // stride)
        return LayerSpec(
            name, "conv", conv.in_channels, conv.out_channels, conv.kernel_size[0], stride, in_size, out_size, (conv.n,), source
        )


class ConvGate(nn.Module):
    """Convolutions, global average, linear layer with 8-bit weights, sigmoid: map [N, C, H, W] to probabilities [N, K].

    Args:
        out_features: K.
        in_features: C, of a gate without convolutions.
        convolutions: ``GateConv`` by their names, in order.

    Attributes:
        exact: whether the hardware's integers are defined for it (docs/decisions/020): a chain of its layers, with squeeze-and-excitation in it or not.
    """

    exact = True

    def __init__(self, out_features: int, in_features: int | None = None, **convolutions: GateConv):
        super().__init__()
        for name, conv in convolutions.items():
            self.add_module(name, conv)
            in_features = conv.conv.out_channels
        self.convolutions = tuple(convolutions)
        self.linear = SwitchableLinear(in_features, out_features, switchable=False)
        nn.init.constant_(self.linear.bias, INITIAL_BIAS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.prepare(x)
        for name in self.convolutions:
            x = getattr(self, name)(x)
        return torch.sigmoid(self.linear(x.mean((2, 3))))

    def prepare(self, x: Tensor) -> Tensor:
        """What the first convolution reads of a map, in real numbers or integers."""
        return x

    def layers(self, in_size: int) -> list[LayerSpec]:
        """Its layers for maps of ``in_size`` pixels, named relative to the gate."""
        specs, size, source = [], in_size, "map"
        for name in self.convolutions:
            specs.append(getattr(self, name).spec(name, size, source))
            size, source = specs[-1].out_size, name
        specs[-1:] = [replace(spec, pool=True) for spec in specs[-1:]]
        linear = self.linear
        return [*specs, LayerSpec("linear", "linear", linear.in_features, linear.out_features, 1, 1, 1, 1, (1,), source)]
