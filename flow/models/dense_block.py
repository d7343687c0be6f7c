"""Dense blocks whose layers and channels can be skipped, and the exits after their layers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.conv import SwitchableConv2d
from flow.nn.exits import ExitBranch
from flow.nn.gates.gating import Decision
from flow.nn.quantisers import Activation, Stored

Ask = Callable[[Tensor, Tensor | None], Decision]
Leave = Callable[[str, "Features"], None]


@dataclass(frozen=True)
class Features:
    """Concatenated maps of a block.

    Attributes:
        maps: [N, C, H, W], before batch normalisation.
        active: [N, C], which of them were computed (None: all). The others are zero for every layer that reads them, after
            its batch normalisation and ReLU: a skipped channel costs nothing later on either.
    """

    maps: Tensor
    active: Tensor | None = None

    def masked(self, x: Tensor) -> Tensor:
        """x [N, C, H, W], made from ``maps``, without the channels that were skipped."""
        return x if self.active is None else x * self.active[:, :, None, None]

    def newest(self, channels: int) -> "Features":
        """The last so many channels: the output of the last dense layer."""
        return Features(self.maps[:, -channels:], None if self.active is None else self.active[:, -channels:])

    def with_new(self, new: "Features") -> "Features":
        """With the output of one more layer."""
        maps = torch.cat([self.maps, new.maps], 1)
        if self.active is None and new.active is None:
            return Features(maps)
        known = [part.maps.new_ones(part.maps.shape[:2]) if part.active is None else part.active for part in (self, new)]
        return Features(maps, torch.cat(known, 1))


class DenseLayer(nn.Module):
    """BN, ReLU, 1x1 convolution, BN, ReLU, 3x3 convolution."""

    def __init__(self, channels: int, growth: int, bottleneck: int):
        super().__init__()
        self.growth = growth
        self.norm1 = SwitchableBatchNorm2d(channels, (1,))
        self.activation1 = Activation()
        self.conv1 = SwitchableConv2d(channels, bottleneck, 1, switchable=False)
        self.norm2 = SwitchableBatchNorm2d(bottleneck, (1,))
        self.activation2 = Activation()
        self.conv2 = SwitchableConv2d(bottleneck, growth, 3, switchable=False)

    def forward(self, features: Features, stored: Stored, ask: Ask) -> Features:
        """Output of this layer alone.

        Args:
            features: everything made before in the block.
            stored: quantiser of the block's maps.
            ask: gives the decision for the 4-bit map that the layer reads (ACS, eq. 1) and its active channels.
        """
        x = features.masked(self.activation1(self.norm1(features.maps, 1)))
        decision = ask(x, features.active)
        new = stored(self.conv2(self.activation2(self.norm2(self.conv1(x), 1))))
        if decision.executed is None:
            return Features(new, decision.conv2)
        return or_previous(decision.executed, Features(new, decision.conv2), features.newest(self.growth))


def or_previous(execute: Tensor, new: Features, previous: Features) -> Features:
    """A skipped layer's output is that of the dense layer before it (DDI, section III-A3, Fig. 3).

    Args:
        execute: [N].
    """
    maps = execute[:, None, None, None] * new.maps + (1 - execute)[:, None, None, None] * previous.maps
    if new.active is None and previous.active is None:
        return Features(maps)
    run, kept = (1.0 if part.active is None else part.active for part in (new, previous))
    return Features(maps, execute[:, None] * run + (1 - execute)[:, None] * kept)


class DenseExit(ExitBranch):
    """Exit branch that normalises the maps of its block anew, as every reader of them does."""

    def __init__(self, channels: int, size: int, num_classes: int):
        super().__init__(channels, size, num_classes)
        self.norm = SwitchableBatchNorm2d(channels, (1,))
        self.activation = Activation()

    def forward(self, features: Features) -> Tensor:
        return super().forward(features.masked(self.activation(self.norm(features.maps, 1))))


class DenseBlock(nn.Module):
    """Dense layers on maps of one size.

    Args:
        channels: of the map that enters.
        growth: channels that each layer adds.
        layers: their number.
        bottleneck: output channels of the 1x1 convolutions.
    """

    def __init__(self, channels: int, growth: int, layers: int, bottleneck: int):
        super().__init__()
        self.stored = Stored()
        for i in range(layers):
            self.add_module(f"layer{i + 1}", DenseLayer(channels + i * growth, growth, bottleneck))
        self.out_channels = channels + layers * growth

    def layers(self) -> list[tuple[str, DenseLayer]]:
        """(name, layer) in order."""
        return [(name, module) for name, module in self.named_children() if name.startswith("layer")]

    def forward(self, x: Tensor, asks: dict[str, Ask], leave: Leave = lambda *_: None) -> Features:
        """All maps of the block, its input first.

        Args:
            x: [N, C, H, W].
            asks: ``ask`` of ``DenseLayer.forward`` by layer name.
            leave: called after each layer with its name and all maps made so far.
        """
        features = Features(self.stored(x))
        for name, layer in self.layers():
            features = features.with_new(layer(features, self.stored, asks[name]))
            leave(name, features)
        return features
