"""Linear layer whose group count is chosen at run time (WeNet, section III-A)."""

import torch
from brevitas.nn import QuantLinear
from torch import Tensor
from torch.nn import functional as F

from flow.errors import GatefoldError
from flow.nn.groups import block_diagonal, group_counts, group_mask
from flow.nn.quantisers import Int8WeightPerTensor, narrow


class SwitchableLinear(QuantLinear):
    """Linear layer [N, C] to [N, K] with 8-bit weights and n groups; attributes as in ``SwitchableConv2d``."""

    def __init__(self, in_features: int, out_features: int, switchable: bool = True):
        super().__init__(in_features, out_features, bias=True, weight_quant=Int8WeightPerTensor)
        self.group_counts = group_counts(in_features, out_features) if switchable else (1,)
        for n in self.group_counts:
            self.register_buffer(f"mask{n}", group_mask(out_features, in_features, n).float(), persistent=False)
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

    def multiply(self, x: Tensor, weight: Tensor) -> Tensor:
        """x [N, C] times dense weights [K, C] in the active group mode, without bias: [N, K]."""
        if self.n == 1:
            return F.linear(x, weight)
        if self.grouped:
            blocks = block_diagonal(weight, self.n).reshape(self.n, -1, x.shape[1] // self.n)
            parts = torch.einsum("ngc,gkc->ngk", x.reshape(x.shape[0], self.n, -1), blocks)
            return parts.reshape(x.shape[0], -1)
        return F.linear(x, weight * getattr(self, f"mask{self.n}").to(weight.dtype))

    def present(self) -> Tensor:
        """Dense weights [K, C] of this step: ``held`` ones, else those of the parameter, quantised if the network is."""
        if self.held is not None:
            return self.held
        return narrow(self, (0, 1)) if self.quantised else self.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.multiply(x, self.present()) + self.bias

    @torch.no_grad()
    def integer_weight(self) -> tuple[Tensor, float]:
        """Integer weights [K, C] as float32 in -127..127, and their scale."""
        quant = self.quant_weight()
        return torch.round(quant.value / quant.scale), float(quant.scale)
