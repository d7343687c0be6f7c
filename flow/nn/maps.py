"""Feature maps on their way through a network whose topology is written once.

A network's ``topology`` says which layer reads which map. It is run on different things: on images in real numbers, on integers as
the hardware has them, and on shapes alone, from which the description of the layers follows. A ``Map`` is one of these, and its
``Execution`` knows what the layers do to it.
"""

from dataclasses import dataclass
from typing import Any

from torch import nn

from flow.errors import GatefoldError
from flow.graph.layers import IMAGE, IMAGE_MAX
from flow.nn.quantisers import Activation

IMAGE_SCALE = 1 / IMAGE_MAX


class Execution:
    """What the layers of one network do to maps.

    Args:
        names: layers and blocks to their paths in the network.
    """

    def __init__(self, names: dict[nn.Module, str]):
        self.names = names

    def conv(self, unit: nn.Module, x: "Map", activation: Activation, residual: "Map | None" = None) -> "Map":
        """activation(normalised convolution of x + residual); ``unit`` is a ``flow.nn.layers.ConvUnit``."""
        raise NotImplementedError

    def shuffle(self, module: nn.Module, x: "Map") -> "Map":
        """x with its channels in the order in which the next layer reads them."""
        raise NotImplementedError

    def enter(self, block: nn.Module, x: "Map") -> None:
        """A residual block starts with x."""

    def inside(self, block: nn.Module, x: "Map") -> "Map":
        """What goes on of x, which the first convolution of a residual block has made."""
        return x

    def leave(self, block: nn.Module, x: "Map", residual: "Map") -> "Map":
        """What goes on of the output x of a whole residual block, or of what is left without it."""
        return x


@dataclass(frozen=True, eq=False)
class Map:
    """What layers read and make.

    Attributes:
        run: what computes with it.
        value: float [N, C, H, W] in real numbers or in units of ``scale``; in a description (C, H).
        source: name of the layer that made it, or ``"image"``.
        activation: the activation that made it, whose scale it has; None for the image.
    """

    run: Execution
    value: Any
    source: str = IMAGE
    activation: Activation | None = None

    @property
    def scale(self) -> float:
        """One unit of the integers."""
        return IMAGE_SCALE if self.activation is None else self.activation.scale

    def through(self, unit: nn.Module, activation: Activation, residual: "Map | None" = None) -> "Map":
        """``Execution.conv`` on this map."""
        return self.run.conv(unit, self, activation, residual)

    def __add__(self, other: Any) -> "Map":
        raise GatefoldError(
            f"The map of {self.source} is added to something; maps are added by Residual, or by Conv(x, residual=y)."
        )

    __radd__ = __add__

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        maps = [value for value in args if isinstance(value, cls)]
        source = maps[0].source if maps else "a layer"
        name = getattr(function, "__name__", str(function))
        raise GatefoldError(
            f"{name} reads the map of {source}; the engine has no such layer, so use Conv, Residual and Classifier of flow.nn.layers."
        )
