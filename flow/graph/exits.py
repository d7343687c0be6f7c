"""Early exits: classifiers of maps inside the network, at which a frame may end (DDI, Wang et al., JSTSP 2020, section III-B)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from flow.errors import GatefoldError

if TYPE_CHECKING:
    from flow.graph.layers import Layer, LayerGraph

OFF = (1 << 32) - 1
"""A limit that no frame reaches, and the margin of an exit whose logits are not looked at."""


@dataclass(frozen=True)
class Halting:
    """Where frames stop, for each exit in order.

    A frame that comes to an exit after `limits[e]` cycles or more takes its branch and stops there. Else, where `margins[e]` is not OFF, it
    takes the branch and stops if the best logit leads the second by so much. Else the branch is not computed.

    Attributes:
        limits: cycles, 0…2^32−1.
        margins: integer logits, 0…2^32−1.
    """

    limits: tuple[int, ...] = ()
    margins: tuple[int, ...] = ()

    def __post_init__(self):
        if len(self.limits) != len(self.margins) or not all(0 <= value <= OFF for value in (*self.limits, *self.margins)):
            raise GatefoldError(
                f"limits {self.limits} and margins {self.margins} are no two lists of 32-bit integers, one per exit"
            )

    @classmethod
    def nowhere(cls, exits: int) -> Self:
        """All frames pass `exits` exits."""
        return cls((OFF,) * exits, (OFF,) * exits)

    @classmethod
    def at(cls, number: int, exits: int) -> Self:
        """All frames stop at one exit, or with `number == exits` at none."""
        return cls(tuple(0 if exit == number else OFF for exit in range(exits)), (OFF,) * exits)

    @classmethod
    def sure(cls, exit_logits: Sequence[Mapping[str, np.ndarray]], share: float) -> Self:
        """Frames stop by their margins alone: at each exit a share of those whose logits are given does not.

        Args:
            exit_logits: of some batches, name of an exit's classifier -> int64 [N, K].
        """
        leads = [np.concatenate([lead(batch[name]) for batch in exit_logits]) for name in exit_logits[0]]
        return cls((OFF,) * len(leads), tuple(int(np.quantile(found, share)) for found in leads))


def lead(logits: np.ndarray) -> np.ndarray:
    """By how much the best logit leads the second: int64 [N, K] -> [N]."""
    second, best = np.partition(logits, -2, axis=1)[:, -2:].T
    return best - second


class Course:
    """The way of one frame past its exits.

    Args:
        leads: name of an exit's classifier -> lead of its best logit; of exits that are looked at.

    Attributes:
        exit: number of the exit at hand; in the end that where the frame stopped.
        stopped: whether it did.
        looks: whether the exit at hand is looked at without being due.
        arrived: cycles of the frame when it came to each exit.
    """

    def __init__(self, halting: Halting, leads: Mapping[str, int] | None = None):
        self.halting, self.leads = halting, leads or {}
        self.exit, self.stopped, self.looks = 0, False, False
        self.arrived: list[int] = []
        self._branch = None

    def takes(self, layer: "Layer", cycles: int) -> bool:
        """Whether a layer of a branch is computed; the first one decides, after `cycles` cycles of the frame."""
        if layer.exit != self._branch:
            self.arrived.append(cycles)
            due = cycles >= self.halting.limits[self.exit]
            self._branch, self.looks = layer.exit, not due and self.halting.margins[self.exit] != OFF
            self._taken = due or self.looks
            self.exit += not self._taken
        return self._taken

    def end(self, layer: "Layer") -> None:
        """The classifier of an exit whose branch was taken has its logits."""
        self.stopped = not self.looks or self.leads[layer.name] >= self.halting.margins[self.exit]
        self.exit += not self.stopped


def reached(graph: "LayerGraph", exit: int) -> list["Layer"]:
    """The layers up to the classifier of an exit, with `exit == len(graph.exits)` all, those of branches among them."""
    if exit == len(graph.exits):
        return graph.layers
    return graph.layers[: graph.layers.index(graph.exits[exit]) + 1]


def check_exits(graph: "LayerGraph") -> None:
    """Raise GatefoldError, naming the layer, where branches of exits contradict each other."""
    for index, layer in enumerate(graph.layers):
        where = f"layer {layer.name} of {graph.name}"
        last = index == len(graph.layers) - 1
        if layer.kind == "linear" and not last and layer.exit != layer.name:
            raise GatefoldError(f"{where} is a classifier before the last one and no exit's; give it its own name as exit")
        if layer.exit is None:
            continue
        branch = [number for number, other in enumerate(graph.layers) if other.exit == layer.exit]
        end = graph.layers[branch[-1]]
        if branch != list(range(branch[0], branch[-1] + 1)) or end.name != layer.exit or end.kind != "linear" or last:
            raise GatefoldError(
                f"{where} belongs to exit {layer.exit}, whose layers do not follow one another up to its classifier; reorder the layers"
            )
        if layer.kind not in ("conv", "linear") or layer.mask or layer.when or layer.gate or layer.residual:
            raise GatefoldError(
                f"{where} belongs to an exit and is a gate, decided by one or adds a map; an exit is convolutions and a classifier"
            )
        if layer is end and layer.out_channels != graph.classes:
            raise GatefoldError(
                f"{where} tells {layer.out_channels} classes apart and the network {graph.classes}; make them equal"
            )
        if layer is end and len(branch) < 2:
            raise GatefoldError(f"{where} is an exit without a convolution; put one with a global pool before the classifier")
        readers: Sequence[Layer] = [other for other in graph.layers if layer.name in (other.input, other.residual)]
        other = next((each for each in readers if each.exit != layer.exit), None)
        if other:
            raise GatefoldError(
                f"{where} belongs to an exit and {other.name}, which runs without it too, reads it; read another layer"
            )
