"""The layers of which a network with group modes is written; see ``flow.models.network``."""

import torch
from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.graph.layers import SHUFFLE_GROUPS
from flow.nn.batchnorm import SwitchableBatchNorm2d, track
from flow.nn.conv import SwitchableConv2d
from flow.nn.fused import normalise_and_activate
from flow.nn.linear import SwitchableLinear
from flow.nn.maps import Map
from flow.nn.quantisers import ACTIVATION_MAX, Activation
from flow.nn.shuffle import ChannelShuffle


class ConvUnit(nn.Module):
    """Switchable convolution and its switchable batch normalisation.

    Attributes:
        fused: type of the maps with which training computes what follows the convolution as one function, or None.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, switchable: bool = True):
        super().__init__()
        self.conv = SwitchableConv2d(in_channels, out_channels, kernel, stride, switchable)
        self.norm = SwitchableBatchNorm2d(out_channels, self.conv.group_counts)
        self.fused: torch.dtype | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x), self.conv.n)

    def activate(self, x: Tensor, activation: Activation, residual: Tensor | None = None) -> Tensor:
        """``activation(self(x) + residual)``; with ``fused``, training computes it with maps of that type (see ``fused``)."""
        norm = self.norm.active(self.conv.n) if self.fused else None
        if norm is None or not (norm.training or self.training and x.is_cuda):
            y = self(x)
            return activation(y if residual is None else y + residual)
        v = self.conv.convolve(x.to(self.fused), self.conv.present().to(self.fused))
        scale = activation.present()
        if not norm.training:
            return _activate_frozen(v, norm, scale, residual, activation.quantised)
        y, mean, inv_std = normalise_and_activate(v, norm, scale, residual, activation.quantised)
        track(norm, mean, inv_std, v.numel() // v.shape[1])
        return y


def _activate_frozen(v: Tensor, norm: nn.BatchNorm2d, scale: Tensor, residual: Tensor | None, quantised: bool) -> Tensor:
    """``normalise_and_activate`` with the running statistics, without a look at the scale from the host."""
    z = norm(v.float())
    z = ((z if residual is None else z + residual.float()) / scale).clamp(0, ACTIVATION_MAX)
    return ((z + (z.round() - z).detach() if quantised else z) * scale).to(v.dtype)


def _shuffle(channels: int, wanted: bool) -> nn.Module:
    if not wanted:
        return nn.Identity()
    if channels % SHUFFLE_GROUPS:
        raise GatefoldError(
            f"{channels} channels cannot be shuffled; give a multiple of {SHUFFLE_GROUPS} channels, or shuffle=False to this layer."
        )
    return ChannelShuffle(channels)


class Conv(ConvUnit):
    """k x k convolution, batch normalisation and 4-bit ReLU, in every group mode: a map to a map.

    Args:
        in_channels, out_channels: group counts are the powers of two up to 16 that divide both.
        kernel: 1 or 3 for the engine.
        stride: 1 or 2.
        shuffle: whether the next layer reads the output channels shuffled, so that groups exchange information.
        switchable: whether the layer has group modes.
        activation: whose scale the output shall have; None: one of its own.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 3,
        stride: int = 1,
        shuffle: bool = False,
        switchable: bool = True,
        activation: Activation | None = None,
    ):
        super().__init__(in_channels, out_channels, kernel, stride, switchable)
        if activation is None:
            self.activation = activation = Activation()
        self._activation = (activation,)
        self.shuffle = _shuffle(out_channels, shuffle)

    def forward(self, x: Map | Tensor, residual: Map | None = None) -> Map | Tensor:
        """The layer on a map, to whose output ``residual`` is added before the activation, which must be that of ``residual``;
        on a tensor, convolution and batch normalisation alone."""
        if not isinstance(x, Map):
            return super().forward(x)
        (activation,) = self._activation
        return x.run.shuffle(self.shuffle, x.through(self, activation, residual))


class Residual(nn.Module):
    """Residual block: two 3x3 convolutions, channels shuffled between them, and a shortcut that is added. A map to a map.

    The shortcut is the identity, or a 1x1 convolution where the shape changes. What is added has one scale: that of the map which
    the block reads, or behind a convolution one that begins with this block.

    Args:
        in_channels, channels: of the map it reads and of those it makes.
        stride: 1 or 2.
        shuffle: whether channels are shuffled.
        stream: activation whose scale a block with a shortcut adds at; None: one of its own.
    """

    def __init__(self, in_channels: int, channels: int, stride: int = 1, shuffle: bool = True, stream: Activation | None = None):
        super().__init__()
        self.conv1 = ConvUnit(in_channels, channels, 3, stride)
        self.activation = Activation()
        self.shuffle = _shuffle(channels, shuffle)
        self.conv2 = ConvUnit(channels, channels, 3, 1)
        projected = stride != 1 or in_channels != channels
        self.shortcut = ConvUnit(in_channels, channels, 1, stride) if projected else None
        if projected and stream is None:
            self.stream = stream = Activation()
        self._stream = (stream if projected else None,)

    def forward(self, x: Map) -> Map:
        run, stream = x.run, self._stream[0] or x.activation
        if stream is None:
            raise GatefoldError(f"The residual block {run.names[self]} reads the image; put a Conv before it.")
        run.enter(self, x)
        residual = x if self.shortcut is None else x.through(self.shortcut, stream)
        inside = run.inside(self, x.through(self.conv1, self.activation))
        out = run.shuffle(self.shuffle, inside).through(self.conv2, stream, residual)
        return run.leave(self, out, residual)


class Classifier(SwitchableLinear):
    """The last layer: pooled features [N, C] to logits [N, classes], 8-bit weights, without group modes."""

    def __init__(self, in_features: int, num_classes: int):
        super().__init__(in_features, num_classes, switchable=False)
