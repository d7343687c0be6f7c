"""Brevitas quantisers of the network.

Weights of convolutions: 4-bit signed narrow (-7..7), one float scale per output channel.
Activations: 4-bit unsigned (0..15), one learned power-of-two scale per tensor.
Residual branch before the addition: 8-bit signed at the scale of the residual stream.
Weights of the classifier: 8-bit signed narrow, one float scale.
"""

import torch
from brevitas.core.function_wrapper import RoundSte
from brevitas.nn import QuantIdentity
from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFixedPointMinMaxInit,
    Uint8ActPerTensorFixedPointMaxInit,
)
from torch import Tensor, nn
from torch.nn import functional as F

from flow.nn.fake_quant import FusedIntQuant

ACTIVATION_BITS = 4
ACTIVATION_MAX = 2**ACTIVATION_BITS - 1
# 15 * 1/4 covers the positive half of a batch-normalised value (3.75 standard deviations).
INITIAL_SCALE = 0.25
# Brevitas' own least range of weights.
SMALLEST_SCALE = 1e-10


class Int4WeightPerChannel(Int8WeightPerChannelFloat):
    """4-bit signed narrow weights; scale = max|w| / 7 of each output channel."""

    bit_width = 4


class Int8WeightPerTensor(Int8WeightPerTensorFloat):
    """8-bit signed narrow weights; scale = max|w| / 127."""


def narrow(layer: nn.Module, reduced: tuple[int, ...]) -> Tensor:
    """The quantised weights of a Brevitas layer in real numbers.

    On a CUDA device they are computed without Brevitas, whose quantisers move constants there in every call, so that a step of
    training can be recorded. The numbers are the same.

    Args:
        layer: with one of the quantisers above for its weights.
        reduced: dimensions of the weights that share a scale.
    """
    if not layer.weight.is_cuda:
        return layer.quant_weight().value
    return _narrow(layer.weight, reduced, 7 if isinstance(layer, nn.Conv2d) else 127)


def _narrow(weight: Tensor, reduced: tuple[int, ...], top: int) -> Tensor:
    scale = weight.abs().amax(reduced, keepdim=True).clamp(min=SMALLEST_SCALE) / top
    x = weight / scale
    return (x + (x.round() - x).detach()) * scale


class Uint4ActPowerOfTwo(Uint8ActPerTensorFixedPointMaxInit):
    """4-bit unsigned activations, learned power-of-two scale."""

    bit_width = ACTIVATION_BITS
    max_val = INITIAL_SCALE * 2**ACTIVATION_BITS
    # Brevitas rounds the exponent up by default: the smallest step of the optimiser would double the scale.
    restrict_value_float_to_int_impl = RoundSte
    int_quant = FusedIntQuant


class Int8ActPowerOfTwo(Int8ActPerTensorFixedPointMinMaxInit):
    """8-bit signed values, learned power-of-two scale."""

    min_val = -INITIAL_SCALE * 2**ACTIVATION_BITS
    max_val = INITIAL_SCALE * 2**ACTIVATION_BITS
    restrict_value_float_to_int_impl = RoundSte
    int_quant = FusedIntQuant


class Stored(nn.Module):
    """8-bit signed quantiser of maps that are kept before their batch normalisation, as DenseNet does."""

    def __init__(self):
        super().__init__()
        self.quantiser = QuantIdentity(act_quant=Int8ActPowerOfTwo, return_quant_tensor=False)
        self.quantised = True

    def forward(self, x: Tensor) -> Tensor:
        return self.quantiser(x) if self.quantised else x


class Activation(nn.Module):
    """ReLU with a 4-bit unsigned quantiser: any shape to the same shape, values s*0 .. s*15.

    With ``quantised`` off it only caps at 15*s, so that a network trained in floating point starts fine-tuning inside the
    range of its quantisers.

    Attributes:
        held: scale to compute with instead in training with ``fused`` functions, see ``Held``.
    """

    def __init__(self):
        super().__init__()
        self.quantiser = QuantIdentity(act_quant=Uint4ActPowerOfTwo, return_quant_tensor=False)
        self.quantised = True
        self.held: Tensor | None = None

    @property
    def threshold(self) -> nn.Module:
        """The module that holds the learned range 16*s."""
        return self.quantiser.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl

    @property
    def scale(self) -> float:
        """The power of two s."""
        with torch.no_grad():
            return float(self.present())

    def present(self) -> Tensor:
        """s as a scalar tensor, the ``held`` one if there is one; learning changes it, where the network is quantised."""
        if self.held is not None:
            return self.held
        one = self.threshold.value.new_ones(1)  # by default Brevitas moves one to the device
        scale = self.threshold(one, one).reshape(()) / 2**ACTIVATION_BITS
        return scale if self.quantised else scale.detach()

    def forward(self, x: Tensor) -> Tensor:
        if self.quantised:
            return self.quantiser(x)
        return F.hardtanh(x, 0.0, ACTIVATION_MAX * self.scale)


class _SharedThreshold(nn.Module):
    """Reads the range of another quantiser without owning its parameter."""

    def __init__(self, owner: "Activation"):
        super().__init__()
        self._owner = (owner,)

    def forward(self, x: Tensor, threshold: Tensor | None = None) -> Tensor:
        # Looked up each time: Brevitas makes a new threshold whenever weights are loaded.
        return self._owner[0].threshold(x, threshold)


class _ActivationLevels(nn.Module):
    """Integer range that belongs to the shared threshold: 16, whatever the bit width."""

    def __init__(self):  # Brevitas' dependency injection reads this signature
        super().__init__()

    def forward(self, bit_width: Tensor, signed=None) -> Tensor:
        return torch.full_like(bit_width, 2.0**ACTIVATION_BITS)


class ResidualBranch(nn.Module):
    """8-bit signed quantiser before a residual addition; its scale is that of the given activation."""

    def __init__(self, stream: Activation):
        super().__init__()
        shared = _SharedThreshold(stream)

        class Int8ActShared(Int8ActPerTensorFixedPoint):
            scaling_impl = shared
            int_scaling_impl = _ActivationLevels
            int_quant = FusedIntQuant
            update_state_dict_impl = None

        self.quantiser = QuantIdentity(act_quant=Int8ActShared, return_quant_tensor=False)
        self.quantised = True

    def forward(self, x: Tensor) -> Tensor:
        return self.quantiser(x) if self.quantised else x
