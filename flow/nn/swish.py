"""Swish (Ramachandran et al., arXiv:1710.05941) with a 4-bit signed quantiser."""

from brevitas.nn import QuantIdentity
from torch import Tensor, nn
from torch.nn import functional as F

from flow.nn.quantisers import Int8ActPowerOfTwo


class Int4ActPowerOfTwo(Int8ActPowerOfTwo):
    """4-bit signed values, learned power-of-two scale."""

    bit_width = 4


class Signed(nn.Module):
    """4-bit signed quantiser: any shape to the same shape; the identity with ``quantised`` off."""

    def __init__(self):
        super().__init__()
        self.quantiser = QuantIdentity(act_quant=Int4ActPowerOfTwo, return_quant_tensor=False)
        self.quantised = True

    def forward(self, x: Tensor) -> Tensor:
        return self.quantiser(x) if self.quantised else x


class Swish(Signed):
    """x * sigmoid(x), quantised."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.silu(x))
