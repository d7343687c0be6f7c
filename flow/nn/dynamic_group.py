"""Convolution that learns its group count: DGConv (Zhang et al., ICCV 2019) as used by ACS (Zou et al., 2023), section 3.2."""

import torch
from brevitas.nn import QuantConv2d
from torch import Tensor, nn
from torch.nn import functional as F

from flow.errors import GatefoldError
from flow.nn.quantisers import Int4WeightPerChannel

# Starts dense (g = 1 everywhere), close to the threshold 0 of the sign function.
INITIAL_GATE = 0.1


def _is_power_of_two(n: int) -> bool:
    return n > 0 and n & (n - 1) == 0


def relationship_matrix(g: Tensor) -> Tensor:
    """M of ACS, eq. (3) and (4): M = M_1 x ... x M_Z (Kronecker), M_z = g_z * ones + (1 - g_z) * identity.

    Args:
        g: [Z], binary.

    Returns:
        Tensor [2^Z, 2^Z] of 0 and 1, differentiable in g. Its rows fall into 2^(number of zeros in g) groups of equal size.
    """
    ones, identity = torch.ones(2, 2).to(g), torch.eye(2).to(g)
    m = torch.ones(1, 1).to(g)
    for g_z in g:
        m = torch.kron(m, g_z * ones + (1 - g_z) * identity)
    return m


class DynamicGroupConv2d(QuantConv2d):
    """Bias-free k x k convolution [N, C, H, W] to [N, C, H', W'] with 4-bit weights times the relationship matrix, eq. (2).

    Args:
        channels: C, a power of two.
        kernel_size, stride: of the convolution.
        groups: None to learn the gate vector; a power of two for a static grouping of adjacent channels (the comparison).

    Attributes:
        quantised: whether the 4-bit weights are used, or the floating-point ones.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1, groups: int | None = None):
        if not _is_power_of_two(channels):
            raise GatefoldError(f"A dynamic group convolution cannot have {channels} channels; use a power of two.")
        if groups is not None and not (_is_power_of_two(groups) and groups <= channels):
            raise GatefoldError(f"{channels} channels cannot form {groups} groups; use a power of two up to {channels}.")
        super().__init__(
            channels,
            channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=False,
            weight_quant=Int4WeightPerChannel,
        )
        factors = channels.bit_length() - 1
        if groups is None:
            self.gate = nn.Parameter(torch.full((factors,), INITIAL_GATE))
        else:
            zeros = groups.bit_length() - 1
            self.register_buffer("gate", torch.tensor([-1.0] * zeros + [1.0] * (factors - zeros)), persistent=False)
        self.quantised = True

    def binary_gate(self) -> Tensor:
        """g [Z] = sign(g-hat): 0 below 0, else 1; its gradient is that of g-hat (straight-through)."""
        return (self.gate >= 0).to(self.gate) + (self.gate - self.gate.detach())

    @property
    def n(self) -> int:
        """The group count."""
        return 2 ** int((self.gate < 0).sum())

    def density(self) -> Tensor:
        """Share 1/n of the connections that are left; scalar, differentiable in g-hat."""
        return ((1 + self.binary_gate()) / 2).prod()

    def convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        """Convolve with the given dense weights [C, C, k, k]."""
        return F.conv2d(x, weight, None, self.stride, self.padding)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.quant_weight().value if self.quantised else self.weight
        return self.convolve(x, weight * relationship_matrix(self.binary_gate())[:, :, None, None])

    @torch.no_grad()
    def integer_weight(self) -> tuple[Tensor, Tensor]:
        """Integer weights [C, C, k, k] as float32 in -7..7, zero where channels are not connected, and their scales, float32 [C]."""
        quant, m = self.quant_weight(), relationship_matrix(self.binary_gate())
        scale = quant.scale.reshape(-1)
        return torch.round(quant.value / quant.scale) * m[:, :, None, None], scale.expand(self.out_channels).clone()
