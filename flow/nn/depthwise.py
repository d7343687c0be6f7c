"""Depthwise convolution: one filter per channel, in every group mode."""

from brevitas.nn import QuantConv2d
from torch import Tensor
from torch.nn import functional as F

from flow.errors import GatefoldError
from flow.nn.quantisers import Int4WeightPerChannel


class DepthwiseConv2d(QuantConv2d):
    """Bias-free k x k convolution of each channel by itself, [N, C, H, W] to [N, C, H', W'], with 4-bit weights.

    Its only group count is C; attributes otherwise as in ``SwitchableConv2d``.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1):
        super().__init__(
            channels,
            channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            groups=channels,
            bias=False,
            weight_quant=Int4WeightPerChannel,
        )
        self.group_counts = (channels,)
        self.n = channels
        self.quantised = True

    def set_groups(self, n: int) -> None:
        """GatefoldError unless n is the number of channels."""
        if n != self.n:
            raise GatefoldError(f"A depthwise convolution of {self.n} channels cannot run with {n} groups; leave it at {self.n}.")

    def forward(self, x: Tensor) -> Tensor:
        weight = self.quant_weight().value if self.quantised else self.weight
        return F.conv2d(x, weight, None, self.stride, self.padding, 1, self.n)
