"""Integer fake quantisation with few passes over memory.

Brevitas' ``IntQuant`` runs about eight element-wise operations forwards and as many backwards. Feature maps of a small
network do not fit in a processor's cache, so these passes cost more than the convolutions. ``FusedIntQuant`` is the same
quantiser (same arguments, same result) as one autograd function.
"""

import math

import torch
from brevitas.core.quant import IntQuant
from torch import Tensor


def _flat(x: Tensor) -> Tensor:
    """All elements as a vector, without a copy for dense layouts."""
    if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last):
        x = x.permute(0, 2, 3, 1)
    return x.reshape(-1)


class _FakeQuantise(torch.autograd.Function):
    """y = s * clamp(round(x/s), low, high); straight-through gradient for x, LSQ gradient for s (arXiv:1902.08153)."""

    @staticmethod
    def forward(ctx, x: Tensor, scale: Tensor, low: float, high: float) -> Tensor:
        s = float(scale)
        # 1/s is exact for a power of two, and multiplying is cheaper than dividing.
        y = (x * (1 / s)).round_() if math.frexp(s)[0] == 0.5 else (x / scale).round_()
        y.clamp_(low, high).mul_(s)
        ctx.save_for_backward(x, y, scale)
        ctx.limits = (low, high)
        return y

    @staticmethod
    def backward(ctx, grad: Tensor):
        x, y, scale = ctx.saved_tensors
        low, high = ctx.limits
        s = float(scale)
        grad_x = torch.ops.aten.hardtanh_backward(grad, x, (low - 0.5) * s, (high + 0.5) * s)
        grad_scale = None
        if ctx.needs_input_grad[1]:
            if grad.stride() != y.stride():
                grad = grad.contiguous(memory_format=torch.channels_last)
            inside = torch.dot(_flat(grad_x), _flat(x)) if grad_x.stride() == x.stride() else (grad_x * x).sum()
            grad_scale = ((torch.dot(_flat(grad), _flat(y)) - inside) / s).reshape(scale.shape)
        return grad_x, grad_scale, None, None


class FusedIntQuant(IntQuant):
    """Drop-in ``IntQuant`` for a scalar scale and zero point 0.

    Args:
        scale: scalar tensor; zero_point: must be 0; bit_width: scalar tensor; x: any shape.

    Returns:
        Dequantised tensor of the shape of x.
    """

    def forward(self, scale: Tensor, zero_point: Tensor, bit_width: Tensor, x: Tensor) -> Tensor:
        low, high = float(self.min_int(bit_width)), float(self.max_int(bit_width))
        return _FakeQuantise.apply(x, scale, low, high)
