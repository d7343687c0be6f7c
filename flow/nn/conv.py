"""Convolution whose group count is chosen at run time (WeNet, section III-B)."""

import torch
from brevitas.nn import QuantConv2d
from torch import Tensor
from torch.nn import functional as F

from flow.errors import GatefoldError
from flow.nn.groups import block_diagonal, group_counts, group_mask
from flow.nn.quantisers import Int4WeightPerChannel, narrow


class SwitchableConv2d(QuantConv2d):
    """Bias-free k x k convolution [N, Ci, H, W] to [N, Co, H', W'] with 4-bit weights and n groups.

    The weights are those of the full network (n = 1); a group mode uses the block-diagonal part of them, quantised with the
    scales of the full network.

    Attributes:
        n: the active group count.
        grouped: how a group mode is computed: True for a real grouped convolution, False for masked dense weights, None for
            whichever is faster for these shapes. All agree exactly on integers.
        quantised: whether the 4-bit weights are used, or the floating-point ones.
        held: weights to compute with instead, see ``Held``.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, switchable: bool = True):
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=False,
            weight_quant=Int4WeightPerChannel,
        )
        self.group_counts = group_counts(in_channels, out_channels) if switchable else (1,)
        for n in self.group_counts:
            mask = group_mask(out_channels, in_channels, n)[:, :, None, None].float()
            self.register_buffer(f"mask{n}", mask, persistent=False)
        self.n = 1
        self.grouped: bool | None = None
        self.quantised = True
        self.held: Tensor | None = None

    def set_groups(self, n: int) -> None:
        """Select group count n; GatefoldError if the layer does not have it."""
        if n not in self.group_counts:
            allowed = ", ".join(str(count) for count in self.group_counts)
            raise GatefoldError(f"A layer cannot run with {n} groups; choose one of {allowed}.")
        self.n = n

    def _use_grouped(self) -> bool:
        if self.grouped is not None:
            return self.grouped
        if self.weight.is_cuda:
            return False
        # Measured with oneDNN on one core: narrow groups are slower than the dense kernel unless depthwise.
        ci, co, n = self.in_channels, self.out_channels, self.n
        return self.kernel_size[0] > 1 and n > 1 and (ci // n >= (4 if co >= 64 else 8) or n == ci == co)

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve with the given dense weights [Co, Ci, k, k] in the active group mode."""
        if self._use_grouped():
            return F.conv2d(x, block_diagonal(weight, self.n), None, self.stride, self.padding, 1, self.n)
        if self.n > 1:
            weight = weight * getattr(self, f"mask{self.n}").to(weight.dtype)
        return F.conv2d(x, weight, None, self.stride, self.padding)

    def present(self) -> Tensor:
        """Dense weights [Co, Ci, k, k] of this step: ``held`` ones, else those of the parameter, quantised if the network is."""
        if self.held is not None:
            return self.held
        return narrow(self, (1, 2, 3)) if self.quantised else self.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(x, self.present())

    @torch.no_grad()
    def integer_weight(self) -> tuple[Tensor, Tensor]:
        """Integer weights [Co, Ci, k, k] as float32 in -7..7, and their scales, float32 [Co]."""
        quant = self.quant_weight()
        scale = quant.scale.reshape(-1)
        return torch.round(quant.value / quant.scale), scale.expand(self.out_channels).clone()
