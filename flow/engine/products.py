"""Layers that are several products of the vector unit, one after the other: a step of the LSTM of layer gates, squeeze-and-excitation.

What they take of the engine, where their constants lie, and the table of these. A step (`hw/rtl/engine_recurrent.sv`) is the projection of
a map's sums, the four gates of every unit from (projection | hidden), and the sum that decides; weights and biases of the last two are there
once. Squeeze-and-excitation (`hw/rtl/engine_excite.sv`) is hidden units from a map's sums, and factors from these. Weights that are alike
are there once.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flow.errors import GatefoldError
from flow.graph.excite import CODE_MAX
from flow.graph.layers import ACTIVATION_MAX, Layer, LayerGraph
from flow.graph.lstm import LIMIT, MULTIPLIER_BITS, ONE, Rescale

KINDS = ("lstm", "excite")
HIDDEN = range(2, 65)
"""Hidden units of an LSTM."""
SHIFTS = range(1, 48)
FACTOR_SHIFTS = range(7, 23)
"""Of a convolution that is multiplied by factors."""
SUM_LIMIT = 1 << 31
ENTRY = (17, 15, 6, 15)
"""Bits of an entry of the table: first weight word, first bias, shift, multiplier."""
SHARED = 2
"""Entries that all steps of an LSTM share, the first ones: of the gates, and of the sum that decides."""


@dataclass
class Products:
    """Where the constants of these layers lie.

    Attributes:
        entries: name of a layer -> its first entry in the table: of its projection, or of its hidden units and then its factors.
        weights, biases: first words in the vector unit's memories, of every entry.
        rescales: of every entry; that of the deciding sum has none and never uses it.
        weight_rows, bias_rows: (first word, weights [K, C] or biases [K]) of what lies there.
    """

    entries: dict[str, int] = field(default_factory=dict)
    weights: list[int] = field(default_factory=list)
    biases: list[int] = field(default_factory=list)
    rescales: list[Rescale] = field(default_factory=list)
    weight_rows: list[tuple[int, np.ndarray]] = field(default_factory=list)
    bias_rows: list[tuple[int, np.ndarray]] = field(default_factory=list)

    def words(self) -> list[int]:
        """The table."""
        made = []
        for fields in zip(self.weights, self.biases, self.rescales, strict=True):
            *bases, rescale = fields
            word = 0
            for value, width in zip((*bases, rescale.shift, rescale.multiplier), ENTRY, strict=True):
                word = word << width | value
            made.append(word)
        return made


def several(graph: LayerGraph) -> list[Layer]:
    """The layers of a graph that are several products, in their order."""
    return [layer for layer in graph.layers if layer.kind in KINDS]


def shared_weights(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the gates of an LSTM and of the deciding sum, int64 [4H, 2H] and [1, 2H]: four rows of a hidden unit, enter, forget,
    candidate and leave, behind one another; the sum takes nothing of the projection."""
    lstm = layer.lstm
    output = np.concatenate([np.zeros(lstm.hidden, np.int64), lstm.output])
    return _by_unit(lstm.weight), output[None]


def shared_biases(layer: Layer) -> np.ndarray:
    """Biases of the gates, int64 [4H], in the order of `shared_weights`."""
    return _by_unit(layer.lstm.bias)


def _by_unit(rows):
    return rows.reshape(4, -1, *rows.shape[1:]).swapaxes(0, 1).reshape(rows.shape)


def check_products(graph: LayerGraph, layer: Layer) -> None:
    """Raise GatefoldError, naming the layer, where a sum or a rescaling leaves what the engine has for it."""
    lstm, expand, source = layer.lstm, layer.expand, graph[layer.input]
    pixels = np.full(layer.in_channels, ACTIVATION_MAX * source.valid_size[0] * source.valid_size[1])
    if layer.kind == "lstm":
        if lstm.hidden not in HIDDEN:
            _refuse(layer, f"is a step of an LSTM of {lstm.hidden} hidden units; the engine has {HIDDEN[0]} to {HIDDEN[-1]}")
        if any(other.kind == "excite" for other in graph.layers):
            _refuse(
                layer,
                "is a step of an LSTM in a network with squeeze-and-excitation; an engine has one of them: choose other gates",
            )
        hidden = np.full(lstm.hidden, ONE)
        rescales = {"projection": layer.rescale, "LSTM": lstm.rescale}
        sums = (
            (layer.weight, layer.bias, pixels),
            (lstm.weight, lstm.bias, np.concatenate([np.full(lstm.hidden, LIMIT), hidden])),
            (lstm.output[None], np.array([lstm.output_bias]), hidden),
        )
    else:
        rescales = {"hidden units": layer.rescale, "factors": expand.rescale}
        sums = (
            (layer.weight, layer.bias, pixels),
            (expand.weight, expand.bias, np.full(layer.out_channels, CODE_MAX)),
        )
    for what, rescale in rescales.items():
        if not 0 <= rescale.multiplier < 1 << MULTIPLIER_BITS or rescale.shift not in SHIFTS:
            _refuse(
                layer,
                f"rescales its {what} by {rescale.multiplier}·2^-{rescale.shift}; the engine's multipliers have {MULTIPLIER_BITS} bits "
                f"and its shifts are {SHIFTS[0]} to {SHIFTS[-1]}: scale the weights",
            )
    for weight, bias, most in sums:
        reached = int((np.abs(weight) @ most + np.abs(bias)).max())
        if reached >= SUM_LIMIT:
            _refuse(layer, f"makes sums up to {reached}; the engine's have 32 bits: train on with smaller biases")


def check_excited(layer: Layer) -> None:
    """Raise GatefoldError where a convolution is multiplied by factors in a way that the engine's requantiser has not."""
    if layer.factor_shift not in FACTOR_SHIFTS:
        _refuse(
            layer,
            f"shifts by {layer.factor_shift} behind its factors; the engine does {FACTOR_SHIFTS[0]} to {FACTOR_SHIFTS[-1]}: train on "
            "until the scales before and behind come nearer",
        )


def _refuse(layer, why):
    raise GatefoldError(f"layer {layer.name} {why}.")


def place_products(layers: Iterable[Layer], lanes: int, words: int, biases: int) -> tuple[Products, int, int]:
    """Lay the constants of these layers out behind those of the other layers of the vector unit.

    Args:
        lanes: V.
        words, biases: that are taken already.

    Returns:
        (Products, words and biases that are taken then).
    """
    placed, known = Products(), {}

    def add(weight, rescale, bias=None):
        nonlocal words, biases
        key = weight.shape, weight.tobytes()
        if key not in known:
            known[key] = words
            placed.weight_rows.append((words, weight))
            words += len(weight) * -(-weight.shape[1] // lanes)
        placed.weights.append(known[key])
        placed.rescales.append(rescale)
        placed.biases.append(0 if bias is None else biases)
        if bias is not None:
            placed.bias_rows.append((biases, bias))
            biases += len(bias)

    for layer in layers:
        if layer.kind == "lstm" and not placed.entries:
            gates, output = shared_weights(layer)
            add(gates, layer.lstm.rescale, shared_biases(layer))
            add(output, Rescale(0, 0))  # its bias is the decision's
        placed.entries[layer.name] = len(placed.weights)
        add(layer.weight, layer.rescale, layer.bias)
        if layer.kind == "excite":
            add(layer.expand.weight, layer.expand.rescale, layer.expand.bias)
    return placed, words, biases
