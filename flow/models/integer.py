"""The integers of a quantised layer: the definition that every later stage of the flow reproduces bit for bit."""

import math

import numpy as np
import torch
from torch import Tensor

from flow.graph.integer import rounded
from flow.graph.layers import ACTIVATION_MAX
from flow.models.requantisation import MULTIPLIER_LIMIT
from flow.nn.batchnorm import SwitchableBatchNorm2d, affine_of
from flow.nn.conv import SwitchableConv2d
from flow.nn.dynamic_group import DynamicGroupConv2d
from flow.nn.linear import SwitchableLinear

ALWAYS = 1 << 30
"""Beyond every sum of a gate."""


class IntegerConv:
    """A convolution on integers.

    With integer inputs x and acc = conv(x, weight), the output is clamp(round(fl(fl(acc*A) + B)) [+ residual], 0, 15): float32
    multiplication and addition, each rounded; round half to even.

    Attributes:
        weight: int64 [Co, Ci, k, k] in -7..7, dense; group modes use its block-diagonal part.
    """

    def __init__(
        self, conv: SwitchableConv2d | DynamicGroupConv2d, norm: SwitchableBatchNorm2d, input_scale: float, output_scale: float
    ):
        weight, scale = conv.integer_weight()
        self.weight = weight.cpu().numpy().astype(np.int64)
        self._weight_scale = scale.cpu().numpy().astype(np.float64)
        self._norm = norm
        self._input_scale = input_scale
        self._output_scale = output_scale

    def affine(self, n: int, mode: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(A, B): float32 [Co] each, in units of the output scale.

        Args:
            n: group count.
            mode: a searched mode, for its own statistics, or a uniform one, for those of the group count; None: the active one.
        """
        a, b = (t.cpu().numpy() for t in (self._norm.affine(n, mode) if mode else self._norm.affine(n)))
        return self._in_output_units(a, b)

    def recalibrated(self, n: int, mean: np.ndarray, variance: np.ndarray) -> dict[str, torch.Tensor]:
        """Batch normalisation of group count n with other statistics.

        Args:
            mean, variance: of the integer accumulators, float64 [Co].

        Returns:
            State of the ``nn.BatchNorm2d``; where the multiplier would leave the requantiser's range, the weight is lower.
        """
        norm = self._norm.norms[str(n)]
        unit = self._weight_scale * self._input_scale
        state = {name: value.detach().clone() for name, value in norm.state_dict().items()}
        state["running_mean"] = torch.from_numpy(mean * unit).to(state["running_mean"])
        state["running_var"] = torch.from_numpy(variance * unit**2).to(state["running_var"])
        multiplier = np.abs(self._in_output_units(*(t.cpu().numpy() for t in affine_of(state, norm.eps)))[0])
        state["weight"] *= torch.from_numpy(np.minimum(1, MULTIPLIER_LIMIT / np.maximum(multiplier, 1e-30))).to(state["weight"])
        return state

    def affine_of_state(self, state: dict[str, torch.Tensor], n: int) -> tuple[np.ndarray, np.ndarray]:
        """(A, B) of a state from ``recalibrated``."""
        return self._in_output_units(*(t.cpu().numpy() for t in affine_of(state, self._norm.norms[str(n)].eps)))

    def _in_output_units(self, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
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


class IntegerGate(IntegerLinear):
    """The linear layer of a gate: it decides to run where weight @ sums + bias >= 0.

    Args:
        threshold: probability from which on a unit runs; it is part of the bias.
    """

    def __init__(self, linear: SwitchableLinear, input_scale: float, threshold: float):
        super().__init__(linear, input_scale)
        if threshold != 0.5:
            odds = math.log(threshold / (1 - threshold)) if 0 < threshold < 1 else math.copysign(math.inf, threshold - 0.5)
            self.bias = self.bias - int(np.clip(np.ceil(odds / self.logit_scale), -ALWAYS, ALWAYS))


def requantise(acc: Tensor, scale: np.ndarray, bias: np.ndarray, residual: Tensor | None = None) -> Tensor:
    """Outputs of a convolution, integer-valued float32 [N, Co, H, W] in 0..15, from accumulators as ``convolve_exactly`` gives them.

    Args:
        scale, bias: A and B of ``IntegerConv``.
        residual: integers as the accumulators', which are added before the clamp.
    """
    y = rounded(acc, *(torch.from_numpy(value).to(acc)[None, :, None, None] for value in (scale, bias)))
    return (y if residual is None else y.add_(residual)).clamp_(0, ACTIVATION_MAX)


def convolve_exactly(conv: SwitchableConv2d | DynamicGroupConv2d, x: Tensor, weight: np.ndarray) -> Tensor:
    """Convolution of integer-valued float32 maps in the active group mode, without rounding errors.

    Every sum is below 2^24, so float32 is exact in any order on a processor. Elsewhere reduced-precision or transformed
    kernels may be chosen, so float64 is used.
    """
    dtype = torch.float32 if x.device.type == "cpu" else torch.float64
    dense = torch.from_numpy(weight).to(x.device, dtype)
    return conv.convolve(x.to(dtype), dense).float()
