"""What a network writes into the engine's memories (`flow.engine.network` makes one file of it).

    weights                  36-bit kernel words
    weights_1 … weights_3    those that the second to the fourth quarter of the lanes have of their own, where they do
    requant                  54 bits: {bias 29, scale 25}
    fc_weights, fc_bias      V·8 bits and 32 bits, of the classifier and then of the gates
    program                  descriptors
    products                 of an LSTM and of squeeze-and-excitation: 53 bits for each product, see `flow.engine.products`
    tables                   where layers have tables: 64 words of 10 bits for each, {residual 6, code 4}

Kernel word: tap t = 3·ky + kx in bits 4t+3…4t, two's complement; a 1×1 kernel is the centre tap, t = 4. Its
address is weight_base + o·stride + i, where i is the channel slot as stored (`flow.engine.plan.kernel_stride`). Where quarters of the lanes
have kernels of their own (`flow.engine.cost.packs`), output o lies in memory o mod 4 at weight_base + ⌊o / 4⌋·Ci + i. The first layer's i goes through passes over all planes:
the digits of its weights that count 16 times with the upper nibbles, then with the lower ones, the others with the upper ones,
then with the lower ones (see `Layer.weight_digits`); with weights of 4 bits these are the upper and the lower nibbles of R, G, B.

Tables: word w has what residual code w % 16 is worth, and the lowest level with it, in six bits, and the code of the sum w.
"""

import numpy as np

from flow.engine.config import EngineConfig
from flow.engine.cost import QUARTERS, quarters_of
from flow.engine.interface import load_interface
from flow.engine.memories import TABLE_BITS
from flow.engine.network import KERNEL_BITS
from flow.engine.plan import Plan, kernel_stride, residual_values
from flow.engine.products import ENTRY
from flow.engine.program import program_words
from flow.engine.requant import BIAS_BITS, BIAS_SHIFT, SCALE_BITS, SHIFT, Requantisation, Requantisations
from flow.errors import GatefoldError
from flow.graph.layers import ACTIVATION_MAX, IMAGE, SUM_VALUES, Layer, LayerGraph

TAPS = 9
CENTRE = 4
LARGEST_BIAS = 1 << 30
"""Above every sum of a gate."""


def kernel_words(layer: Layer) -> np.ndarray:
    """36-bit kernel words of a convolution, uint64 [Co · Ci], in address order."""
    weight = layer.weight
    if layer.input == IMAGE:
        digits = layer.weight_digits()
        passes = [kernels for high in (True, False) for _ in range(2) for shift, kernels in digits if (shift != 0) == high]
        weight = np.concatenate(passes, axis=1)
    taps = np.zeros((weight.shape[0] * weight.shape[1], TAPS), np.int64)
    if layer.kernel == 3:
        taps[:] = weight.reshape(-1, TAPS)
    else:
        taps[:, CENTRE] = weight.reshape(-1)
    shifts = 4 * np.arange(TAPS, dtype=np.uint64)
    return ((taps & 0xF).astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)


def requant_words(constants: Requantisation, lowest: int = 0) -> list[int]:
    """54-bit entries of one layer and group count.

    Args:
        lowest: level that shall come out as 0, in engines with tables.
    """
    scale_mask, bias_mask = (1 << SCALE_BITS) - 1, (1 << BIAS_BITS) - 1
    biases = constants.bias - (lowest << SHIFT - BIAS_SHIFT)
    if biases.min() < -(bias_mask >> 1) - 1 or biases.max() > bias_mask >> 1:
        raise GatefoldError("a requantisation's bias leaves its 29 bits; lower that batch norm's bias")
    return [
        (int(bias) & bias_mask) << SCALE_BITS | (int(scale) & scale_mask)
        for scale, bias in zip(constants.scale, biases, strict=True)
    ]


def table_words(layer: Layer) -> list[int]:
    """10-bit words of one convolution's tables, 64 integers."""
    worth = np.zeros(ACTIVATION_MAX + 1, np.int64)
    if layer.residual:
        worth = residual_values(layer) + layer.level_range[0]
    sums = np.arange(SUM_VALUES)
    codes = layer.sum_table
    if codes is None:
        codes = np.clip(np.where(sums < SUM_VALUES // 2, sums, sums - SUM_VALUES), 0, ACTIVATION_MAX)
    return [(int(worth[w % len(worth)]) & SUM_VALUES - 1) << 4 | int(codes[w]) for w in sums]


def fc_words(weight: np.ndarray, lanes: int) -> list[int]:
    """Words of the vector unit: word k·⌈Cin/V⌉ + j has input j·V + v in bits 8v+7…8v."""
    classes, inputs = weight.shape
    padded = np.zeros((classes, -(-inputs // lanes) * lanes), np.int64)
    padded[:, :inputs] = weight
    rows = padded.reshape(-1, lanes)
    return [sum((int(value) & 0xFF) << 8 * lane for lane, value in enumerate(row)) for row in rows]


def widths(config: EngineConfig) -> dict[str, int]:
    """Name of a memory -> bits of its words, in the order in which a network image writes them."""
    kernels = {f"weights_{quarter}" if quarter else "weights": KERNEL_BITS for quarter in range(QUARTERS)}
    vectors = {"fc_weights": 8 * config.v, "fc_bias": 32}
    rest = {"products": sum(ENTRY), "tables": TABLE_BITS, "program": load_interface().descriptor_width}
    return {**kernels, "requant": SCALE_BITS + BIAS_BITS, **vectors, **rest}


def bias_words(graph: LayerGraph, plan: Plan, on: bool = False) -> list[int]:
    """Words of the memory fc_bias, unsigned.

    Args:
        on: with biases that switch everything on which gates decide.
    """
    rows = list(plan.products.bias_rows)
    for layer in graph.layers:
        if layer.name in plan.biases:
            values = [layer.lstm.output_bias] if layer.kind == "lstm" else layer.bias
            rows.append((plan.biases[layer.name], [LARGEST_BIAS] * layer.decisions if on and layer.decisions else values))
    biases = [0] * max(first + len(values) for first, values in rows)
    for first, values in rows:
        biases[first : first + len(values)] = (int(value) & 0xFFFFFFFF for value in values)
    return biases


def network_memories(graph: LayerGraph, plan: Plan, table: Requantisations) -> dict[str, list[int]]:
    """Name of a memory -> its words, of a graph, its plan and its constants."""
    config = plan.config
    kernels = np.zeros((QUARTERS, config.weight_depth), np.uint64)
    requants, vectors = [0] * config.requant_depth, [0] * config.fc_depth
    kernels_end = packed_end = requants_end = vectors_end = 0
    products = [(plan.weights[layer.name], layer.weight) for layer in graph.layers if layer.kind in ("linear", "gate")]
    for first, weight in products + plan.products.weight_rows:
        rows = fc_words(weight, config.v)
        vectors[first : first + len(rows)] = rows
        vectors_end = max(vectors_end, first + len(rows))
    for layer in graph.layers:
        if layer.kind != "conv":
            continue
        base, words = plan.weights[layer.name], kernel_words(layer).reshape(layer.out_channels, -1)
        if quarters_of(layer, config) > 1:
            quarters = words.reshape(-1, QUARTERS, layer.in_channels).swapaxes(0, 1).reshape(QUARTERS, -1)
            kernels[:, base : base + quarters.shape[1]] = quarters
            packed_end = max(packed_end, base + quarters.shape[1])
            kernels_end = max(kernels_end, packed_end)
            continue
        outputs, inputs = np.indices(words.shape)
        groups = graph.used_groups(layer)[0]  # none of fewer groups
        kept = outputs * groups // layer.out_channels == inputs * groups // words.shape[1]
        places = base + outputs * kernel_stride(graph, layer) + inputs
        kernels[0, places[kept]] = words[kept]
        kernels_end = max(kernels_end, int(places[kept].max()) + 1)
    for (name, setting), base in plan.requants.items():
        words = requant_words(table[name, setting], graph[name].level_range[0] if config.tables else 0)
        requants[base : base + len(words)] = words
        requants_end = max(requants_end, base + len(words))
    found = {
        "weights": kernels[0, :kernels_end].tolist(),
        **{f"weights_{quarter}": kernels[quarter, :packed_end].tolist() for quarter in range(1, QUARTERS)},
        "requant": requants[:requants_end],
        "fc_weights": vectors[:vectors_end],
        "fc_bias": bias_words(graph, plan),
        "products": plan.products.words() if config.hidden or config.factors else [],
        "tables": [word for layer in graph.layers[:-1] for word in table_words(layer)] if config.tables else [],
        "program": _trimmed(program_words(graph, plan, table)),
    }
    return {name: words for name, words in found.items() if words}


def _trimmed(words):
    """Without the words of zero at the end."""
    return words[: max(place for place, word in enumerate(words, 1) if word)]
