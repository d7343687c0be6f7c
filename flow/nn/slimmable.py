"""Layers of which only the first channels may be active (US-Net: Yu and Huang, arXiv:1903.05134).

A width is k/16 of every layer's channels, k = 4 ... 16: the lower bound of 0.25 is the paper's for ResNets.
"""

import torch
from brevitas.nn import QuantConv2d, QuantLinear
from torch import Tensor, nn
from torch.nn import functional as F

from flow.nn.batchnorm import normalise
from flow.nn.conv import SwitchableConv2d
from flow.nn.linear import SwitchableLinear

FULL_WIDTH = 16
SMALLEST_WIDTH = 4
WIDTHS = tuple(range(SMALLEST_WIDTH, FULL_WIDTH + 1))


def active(channels: int, width: int) -> int:
    """Channels of a layer at width k/16."""
    return channels * width // FULL_WIDTH


class SlimmableConv2d(SwitchableConv2d):
    """k x k convolution of the first active input channels to the first active output channels; 4-bit weights.

    Attributes:
        width: k; the weights of all widths share the scales of the full one.
        slim_input: whether the input has fewer channels too (not so for an image).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, slim_input: bool = True):
        super().__init__(in_channels, out_channels, kernel_size, stride, switchable=False)
        self.width = FULL_WIDTH
        self.slim_input = slim_input

    @property
    def active_channels(self) -> tuple[int, int]:
        """(input channels, output channels) in use."""
        inputs = active(self.in_channels, self.width) if self.slim_input else self.in_channels
        return inputs, active(self.out_channels, self.width)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve with the active part of the full weights [Co, Ci, k, k]."""
        inputs, outputs = self.active_channels
        stride = self.stride
        if self.kernel_size == (1, 1):
            # The same by hand: with few inputs, the gradient of a strided 1x1 convolution writes beyond its memory
            # (uxlfoundation/oneDNN issue 6035).
            x, stride = x[:, :, :: stride[0], :: stride[1]], 1
        return F.conv2d(x, weight[:outputs, :inputs], None, stride, self.padding)

    @torch.no_grad()
    def integer_weight(self) -> tuple[Tensor, Tensor]:
        """Full integer weights [Co, Ci, k, k], and the scales [active outputs]."""
        weight, scale = QuantConv2d.quant_weight(self).value, QuantConv2d.quant_weight(self).scale
        return torch.round(weight / scale), scale.reshape(-1)[: self.active_channels[1]]


class SlimmableBatchNorm2d(nn.Module):
    """Batch normalisation with one gain and bias per channel, and statistics per width.

    The statistics of a width are measured after training, as in the paper; those from training serve until then.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.norms = nn.ModuleDict({str(k): nn.BatchNorm2d(active(channels, k), affine=False) for k in WIDTHS})
        self.width = FULL_WIDTH

    def forward(self, x: Tensor, n: int = 1) -> Tensor:
        count = x.shape[1]
        y = normalise(x, self.norms[str(self.width)])
        return y * self.weight[:count, None, None] + self.bias[:count, None, None]

    def affine(self, n: int = 1) -> tuple[Tensor, Tensor]:
        """Eval at the active width as y = a*v + b: float64 tensors a, b [active channels]."""
        norm = self.norms[str(self.width)]
        count = norm.num_features
        a = self.weight.detach()[:count].double() / torch.sqrt(norm.running_var.double() + norm.eps)
        return a, self.bias.detach()[:count].double() - norm.running_mean.double() * a


class SlimmableLinear(SwitchableLinear):
    """Linear layer of the first active features; all its outputs stay."""

    def __init__(self, in_features: int, out_features: int):
        super().__init__(in_features, out_features, switchable=False)
        self.width = FULL_WIDTH

    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        """x [N, active features] times the active part of weights [K, C], without bias: [N, K]."""
        return F.linear(x, weight[:, : active(self.in_features, self.width)])

    @torch.no_grad()
    def integer_weight(self) -> tuple[Tensor, float]:
        """Active integer weights [K, active features], and their scale."""
        quant = QuantLinear.quant_weight(self)
        return torch.round(quant.value / quant.scale)[:, : active(self.in_features, self.width)], float(quant.scale)
