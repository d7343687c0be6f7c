"""What the tensors of a streamlined network hold: integers of some kind, times a scale, until the image has become logits."""

from dataclasses import dataclass
from typing import NoReturn

import numpy as np
from onnx import NodeProto

from flow.errors import GatefoldError
from flow.graph.layers import Layer


def title(node: NodeProto) -> str:
    """What a node is called in a sentence: its module in the network where the file tells it, else its own name."""
    return node.doc_string or node.name


def refuse(node: NodeProto, why: str) -> NoReturn:
    """Raise GatefoldError: node so-and-so `why`."""
    raise GatefoldError(f"Node {title(node)} ({node.op_type}) {why}.")


@dataclass
class Map:
    """A stored map (channels, height, width): `values[code]` is the integer that a code is worth. The image has no table."""

    layer: str
    shape: tuple[int, int, int]
    values: np.ndarray | None
    depth: int
    out_max: int
    size: int


@dataclass
class Accumulators:
    """The accumulators of a convolution; `offset` [Co] is what the thresholds move by."""

    node: NodeProto
    layer: Layer
    shape: tuple[int, int, int]
    depth: int
    offset: np.ndarray
    pool2: str | None = None


@dataclass
class Open:
    """A layer that still grows.

    Attributes:
        layer: Layer as far as it is known.
        shape: (channels, height, width) of the map as it is now, in real pixels.
        zero: integer that the lowest level, or code 0 of a sum table, is worth.
        awaits: the node that made a sum which still needs its table, or None.
        added: the map that is added.
    """

    node: NodeProto
    layer: Layer
    shape: tuple[int, int, int]
    depth: int
    zero: int = 0
    awaits: NodeProto | None = None
    added: Map | None = None


@dataclass
class Pooled:
    """Sums over all `pixels` of the map of `layer`, divided by them; code 0 is worth `zero`. `also`: what else reads that map."""

    layer: str
    zero: int
    pixels: int
    channels: int
    also: NodeProto | None = None


@dataclass
class Logits:
    """integer [K, C] weights, the real value of one unit, and the real bias [K]."""

    node: NodeProto
    source: Pooled
    weight: np.ndarray
    scale: float = 1.0
    bias: np.ndarray | None = None


@dataclass
class Score:
    """What the step `layer` of an LSTM decides by."""

    layer: Layer


@dataclass
class State:
    """What the step `layer` of an LSTM leaves."""

    layer: Layer


@dataclass
class Factors:
    """What the layer `layer` of kind "excite" makes."""

    layer: Layer


@dataclass
class Decisions:
    """What the gate `layer` decides on `count` things."""

    layer: Layer
    count: int


@dataclass
class Scaled:
    """Integers of one kind, times a scale."""

    what: Map | Accumulators | Open | Pooled | Logits | Score | State | Factors | Decisions
    scale: float = 1.0
