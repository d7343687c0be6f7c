"""Building block of the convolutional gates."""

from torch import Tensor, nn

from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.conv import SwitchableConv2d
from flow.nn.dynamic_group import DynamicGroupConv2d
from flow.nn.quantisers import Activation
from flow.nn.spec import LayerSpec

# Maps inside a gate can become constant, and 1/sqrt(eps) is what their gradients are multiplied by.
EPS = 1e-3


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
