"""The integers of a quantised layer: the definition that every later stage of the flow reproduces bit for bit."""

import numpy as np
import torch
from torch import Tensor

from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.conv import SwitchableConv2d
from flow.nn.linear import SwitchableLinear


class IntegerConv:
    """A convolution on integers.

    With integer inputs x and acc = conv(x, weight), the output is clamp(round(fl(fl(acc*A) + B)) [+ residual], 0, 15): float32
    multiplication and addition, each rounded; round half to even.

    Attributes:
        weight: int64 [Co, Ci, k, k] in -7..7, dense; group modes use its block-diagonal part.
    """

    def __init__(self, conv: SwitchableConv2d, norm: SwitchableBatchNorm2d, input_scale: float, output_scale: float):
        weight, scale = conv.integer_weight()
        self.weight = weight.cpu().numpy().astype(np.int64)
        self._weight_scale = scale.cpu().numpy().astype(np.float64)
        self._norm = norm
        self._input_scale = input_scale
        self._output_scale = output_scale

    def affine(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """(A, B) of group count n: float32 [Co] each, in units of the output scale."""
        a, b = (t.cpu().numpy() for t in self._norm.affine(n))
        scale = a * self._weight_scale * self._input_scale / self._output_scale
        return scale.astype(np.float32), (b / self._output_scale).astype(np.float32)


class IntegerLinear:
    """A linear layer on integers: logits = weight @ x + bias.

    Attributes:
        weight: int64 [K, C] in -127..127.
        bias: int64 [K].
        logit_scale: one unit of the logits.
    """

    def __init__(self, linear: SwitchableLinear, input_scale: float):
        weight, scale = linear.integer_weight()
        self.weight = weight.cpu().numpy().astype(np.int64)
        self.logit_scale = float(scale * input_scale)
        bias = linear.bias.detach().cpu().numpy().astype(np.float64)
        self.bias = np.round(bias / self.logit_scale).astype(np.int64)


def convolve_exactly(conv: SwitchableConv2d, x: Tensor, weight: np.ndarray) -> Tensor:
    """Convolution of integer-valued float32 maps in the active group mode, without rounding errors.

    Every sum is below 2^24, so float32 is exact in any order on a processor. Elsewhere reduced-precision or transformed
    kernels may be chosen, so float64 is used.
    """
    dtype = torch.float32 if x.device.type == "cpu" else torch.float64
    dense = torch.from_numpy(weight).to(x.device, dtype)
    return conv.convolve(x.to(dtype), dense).float()
