"""The LSTM of layer gates on the engine: what it takes, where it lies, and its memory images.

The vector unit makes the three products of a step one after the other (`hw/rtl/engine_recurrent.sv`): the projection of a map's sums,
the four gates of every unit from (projection | hidden), and the sum that decides. Weights and biases of the last two are there once,
projections that are alike too.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flow.errors import GatefoldError
from flow.graph.layers import ACTIVATION_MAX, Layer, LayerGraph
from flow.graph.lstm import LIMIT, MULTIPLIER_BITS, ONE, Rescale

HIDDEN = range(2, 65)
"""Hidden units."""
SHIFTS = range(1, 48)
SUM_LIMIT = 1 << 31
ENTRY = (17, 15, 6, 15)
"""Bits of an entry of the table: first weight word, first bias, shift, multiplier."""
FIRST_STEP = 2
"""Entries before those of the projections: of the gates, and of the sum that decides."""


@dataclass(frozen=True)
class Steps:
    """Where the constants of the steps lie.

    Attributes:
        entries: name of a step -> its entry in the table.
        weights, biases: first words in the vector unit's memories, of every entry.
        rescales: of every entry; that of the deciding sum has none and never uses it.
        weight_rows, bias_rows: (first word, weights [K, C] or biases [K]) of what lies there.
    """

    entries: dict[str, int]
    weights: list[int]
    biases: list[int]
    rescales: list[Rescale]
    weight_rows: list[tuple[int, np.ndarray]]
    bias_rows: list[tuple[int, np.ndarray]]

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


def steps_of(graph: LayerGraph) -> list[Layer]:
    """The steps of a graph's LSTM, in their order."""
    return [layer for layer in graph.layers if layer.kind == "lstm"]


def shared_weights(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the gates and of the deciding sum, int64 [4H, 2H] and [1, 2H]: four rows of a hidden unit, enter, forget, candidate
    and leave, behind one another; the sum takes nothing of the projection."""
    lstm = layer.lstm
    output = np.concatenate([np.zeros(lstm.hidden, np.int64), lstm.output])
    return _by_unit(lstm.weight), output[None]


def shared_biases(layer: Layer) -> np.ndarray:
    """Biases of the gates, int64 [4H], in the order of `shared_weights`."""
    return _by_unit(layer.lstm.bias)


def _by_unit(rows):
    return rows.reshape(4, -1, *rows.shape[1:]).swapaxes(0, 1).reshape(rows.shape)


def check_step(graph: LayerGraph, layer: Layer) -> None:
    """Raise GatefoldError, naming the layer, where a sum or a rescaling of its step leaves what the engine has for it."""
    lstm, source = layer.lstm, graph[layer.input]
    if lstm.hidden not in HIDDEN:
        _refuse(layer, f"is a step of an LSTM of {lstm.hidden} hidden units; the engine has {HIDDEN[0]} to {HIDDEN[-1]}")
    for what, rescale in (("projection", layer.rescale), ("LSTM", lstm.rescale)):
        if not 0 <= rescale.multiplier < 1 << MULTIPLIER_BITS or rescale.shift not in SHIFTS:
            _refuse(
                layer,
                f"rescales its {what} by {rescale.multiplier}·2^-{rescale.shift}; the engine's multipliers have {MULTIPLIER_BITS} bits "
                f"and its shifts are {SHIFTS[0]} to {SHIFTS[-1]}: scale the weights",
            )
    pixels = ACTIVATION_MAX * source.valid_size[0] * source.valid_size[1]
    hidden = np.full(lstm.hidden, ONE)
    for weight, bias, most in (
        (layer.weight, layer.bias, np.full(layer.in_channels, pixels)),
        (lstm.weight, lstm.bias, np.concatenate([np.full(lstm.hidden, LIMIT), hidden])),
        (lstm.output[None], np.array([lstm.output_bias]), hidden),
    ):
        reached = int((np.abs(weight) @ most + np.abs(bias)).max())
        if reached >= SUM_LIMIT:
            _refuse(layer, f"makes sums up to {reached}; the engine's have 32 bits: train on with smaller biases")


def _refuse(layer, why):
    raise GatefoldError(f"layer {layer.name} {why}.")


def place_steps(steps: Iterable[Layer], lanes: int, words: int, biases: int) -> tuple[Steps, int, int]:
    """Lay the constants of the steps out behind those of the other layers of the vector unit.

    Args:
        lanes: V.
        words, biases: that are taken already.

    Returns:
        (Steps, words and biases that are taken then).
    """
    steps, known, weight_rows = list(steps), {}, []

    def weight(rows):
        nonlocal words
        key = rows.shape, rows.tobytes()
        if key not in known:
            known[key] = words
            weight_rows.append((words, rows))
            words += len(rows) * -(-rows.shape[1] // lanes)
        return known[key]

    first = steps[0]
    shared = [weight(rows) for rows in shared_weights(first)], [biases, 0], [first.lstm.rescale, Rescale(0, 0)]
    placed = Steps({}, *shared, weight_rows, [(biases, shared_biases(first))])
    biases += len(first.lstm.bias)
    for number, layer in enumerate(steps, FIRST_STEP):
        placed.entries[layer.name] = number
        placed.weights.append(weight(layer.weight))
        placed.biases.append(biases)
        placed.bias_rows.append((biases, layer.bias))
        placed.rescales.append(layer.rescale)
        biases += len(layer.bias)
    return placed, words, biases
