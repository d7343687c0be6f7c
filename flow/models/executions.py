"""What the topology of a network is run on: images in real numbers, the hardware's integers, and shapes alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.models.integer import IntegerConv, convolve_exactly, requantise
from flow.nn.gates.gating import BlockShape
from flow.nn.layers import ConvUnit, Residual
from flow.nn.maps import IMAGE_SCALE, Execution, Map
from flow.nn.quantisers import Activation, ResidualBranch
from flow.nn.shuffle import ChannelShuffle
from flow.nn.spec import LayerSpec

RESERVED = ("image", "pool", "logits")


class Visit(Protocol):
    """What gates and exits do while one batch passes through the layers, in real numbers or in integers.

    ``scale`` is one unit of the map: 1 for real numbers. All maps are [N, C, H, W].
    """

    def layer(self, name: str) -> None:
        """A layer runs."""

    def enter(self, block: Residual, x: Tensor, scale: float) -> None:
        """x: what the block reads."""

    def inside(self, block: Residual, x: Tensor, scale: float) -> Tensor:
        """x: output of the first convolution, before the shuffle; gives what of it goes on."""

    def leave(self, block: Residual, out: Tensor, residual: Tensor, scale: float) -> Tensor:
        """out: output of the whole block; residual: what is left without the block; gives what goes on."""


class Real(Execution):
    """In real numbers, with fake quantisation where the network is quantised; all that training needs.

    Args:
        names: see ``Execution``.
        visit: what accompanies the batch, or None.
    """

    def __init__(self, names: dict[nn.Module, str], visit: Visit | None = None):
        super().__init__(names)
        self.visit = visit

    def conv(self, unit: ConvUnit, x: Map, activation: Activation, residual: Map | None = None) -> Map:
        name = self.names[unit]
        if self.visit:
            self.visit.layer(name)
        if residual is None or unit.training:
            # The residual lies on the grid of the activation: rounding the sum rounds the branch, so training saves one pass.
            y = unit.activate(x.value, activation, residual and residual.value)
        else:
            y = activation(_branch(unit(x.value), activation) + residual.value)
        return Map(self, y, name, activation)

    def shuffle(self, module: nn.Module, x: Map) -> Map:
        return replace(x, value=module(x.value))

    def enter(self, block: Residual, x: Map) -> None:
        if self.visit:
            self.visit.enter(block, x.value, self.unit(x))

    def inside(self, block: Residual, x: Map) -> Map:
        return self._keep(x, self.visit.inside(block, x.value, self.unit(x))) if self.visit else x

    def leave(self, block: Residual, x: Map, residual: Map) -> Map:
        return self._keep(x, self.visit.leave(block, x.value, residual.value, self.unit(x))) if self.visit else x

    def unit(self, x: Map) -> float:
        """What 1 in the map stands for."""
        return 1.0

    def _keep(self, x: Map, value: Tensor) -> Map:
        return replace(x, value=value)


def _branch(x: Tensor, activation: Activation) -> Tensor:
    """What is added to a residual, rounded before the addition."""
    return ResidualBranch(activation).to(x.device)(x) if activation.quantised else x


class Integer(Real):
    """In the integers of the hardware, in every mode (see ``IntegerConv``).

    Args:
        names, visit: see ``Real``.
        integers: gives those of a layer by its name.
        stations: filled with the output of every layer by its name, int64 [N, C, H, W] before the shuffle; None: not.
    """

    def __init__(
        self,
        names: dict[nn.Module, str],
        integers: Callable[[str], IntegerConv],
        visit: Visit | None = None,
        stations: dict[str, np.ndarray] | None = None,
    ):
        super().__init__(names, visit)
        self.integers = integers
        self.stations = stations

    def conv(self, unit: ConvUnit, x: Map, activation: Activation, residual: Map | None = None) -> Map:
        name = self.names[unit]
        if self.visit:
            self.visit.layer(name)
        integers = self.integers(name)
        acc = convolve_exactly(unit.conv, x.value, integers.weight)
        y = requantise(acc, *integers.affine(unit.conv.n), residual and residual.value)
        return self._keep(Map(self, y, name, activation), y)

    def unit(self, x: Map) -> float:
        return x.scale

    def _keep(self, x: Map, value: Tensor) -> Map:
        if self.stations is not None:
            self.stations[x.source] = value.cpu().numpy().astype(np.int64)
        return replace(x, value=value)


@dataclass
class Description:
    """What follows from a topology.

    Attributes:
        names: layers and blocks to their paths in the network.
        specs: layer name to its ``LayerSpec``, in execution order.
        ends: layer name to the activations of its input (None: the image) and of its output.
        blocks: the residual blocks in execution order.
    """

    names: dict[nn.Module, str]
    specs: dict[str, LayerSpec] = field(default_factory=dict)
    ends: dict[str, tuple[Activation | None, Activation]] = field(default_factory=dict)
    blocks: list[BlockShape] = field(default_factory=list)

    def scales(self, name: str) -> tuple[float, float]:
        """Input and output scale of a layer; of the classifier, twice that of the map which is pooled."""
        before, after = self.ends[name]
        return IMAGE_SCALE if before is None else before.scale, after.scale


class Describe(Execution):
    """On shapes (C, H): finds the description of the layers, and what contradicts itself.

    Args:
        names: see ``Execution``.
        model: name of the network, for messages.

    Attributes:
        description: of what was run.
    """

    def __init__(self, names: dict[nn.Module, str], model: str):
        super().__init__(names)
        self.model = model
        self.description = Description(names)

    def _refuse(self, name: str, why: str) -> None:
        raise GatefoldError(f"Layer {name} of {self.model} {why}.")

    def conv(self, unit: ConvUnit, x: Map, activation: Activation, residual: Map | None = None) -> Map:
        name = self.names.get(unit)
        if name is None:
            raise GatefoldError(
                f"{self.model} uses a {type(unit).__name__} that it does not keep; make it an attribute in __init__."
            )
        known = self.description.specs
        if name in known:
            self._refuse(name, "is used twice; make a layer of its own for each place")
        if name in RESERVED:
            self._refuse(name, "has a name that the engine gives away; call it otherwise")
        conv, (channels, size) = unit.conv, x.value
        if conv.in_channels != channels:
            self._refuse(name, f"reads {conv.in_channels} channels and {x.source} has {channels}; make them equal")
        stride = conv.stride[0]
        shape = (conv.out_channels, size // stride)
        if residual is not None:
            if residual.value != shape:
                self._refuse(name, f"adds {residual.source}, whose map has another shape; add maps of one shape")
            if residual.activation is not activation:
                self._refuse(name, f"adds {residual.source} at another scale; give both the same activation")
        known[name] = LayerSpec(
            name, "conv", conv.in_channels, conv.out_channels, conv.kernel_size[0], stride, size, size // stride,
            conv.group_counts, x.source, residual and residual.source,
        )  # fmt: skip
        self.description.ends[name] = (x.activation, activation)
        return Map(self, shape, name, activation)

    def shuffle(self, module: nn.Module, x: Map) -> Map:
        if isinstance(module, ChannelShuffle):
            known = self.description.specs
            known[x.source] = replace(known[x.source], shuffle=True)
        return x

    def leave(self, block: Residual, x: Map, residual: Map) -> Map:
        first = self.description.specs[self.names[block.conv1]]
        channels = (first.in_channels, first.out_channels, first.in_size, first.out_size)
        self.description.blocks.append(BlockShape(self.names[block], *channels, first.input))
        return x
