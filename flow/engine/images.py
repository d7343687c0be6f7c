"""Memory images: the text files that $readmemh loads into the engine's memories, one hexadecimal word a line.

    weights_0.mem … weights_3.mem   column j holds bits 9j+8…9j of the 36-bit kernel word
    requant.mem                     54 bits: {bias 29, scale 25}
    fc_weights.mem, fc_bias.mem     V·8 bits and 32 bits
    program.mem                     128-bit descriptors

Kernel word: tap t = 3·ky + kx in bits 4t+3…4t, two's complement; a 1×1 kernel is the centre tap, t = 4. Its
address is weight_base + o·Ci + i, where i is the channel slot as stored. The first layer has Ci = 6 nibble
channels (upper nibbles of R, G, B, then the lower ones) and kernel i % 3.
"""

import numpy as np

from flow.engine.plan import NIBBLE_CHANNELS
from flow.engine.program import program_words
from flow.engine.requant import BIAS_BITS, SCALE_BITS
from flow.graph.layers import IMAGE

COLUMNS = 4
COLUMN_BITS = 9
TAPS = 9
CENTRE = 4


def kernel_words(layer):
    """36-bit kernel words of a convolution, uint64 [Co · Ci], in address order."""
    weight = layer.weight
    if layer.input == IMAGE:
        weight = weight[:, np.arange(NIBBLE_CHANNELS) % 3]
    taps = np.zeros((weight.shape[0] * weight.shape[1], TAPS), np.int64)
    if layer.kernel == 3:
        taps[:] = weight.reshape(-1, TAPS)
    else:
        taps[:, CENTRE] = weight.reshape(-1)
    shifts = 4 * np.arange(TAPS, dtype=np.uint64)
    return ((taps & 0xF).astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)


def requant_words(constants):
    """54-bit entries of one layer and group count as a list of integers."""
    scale_mask, bias_mask = (1 << SCALE_BITS) - 1, (1 << BIAS_BITS) - 1
    return [
        (int(bias) & bias_mask) << SCALE_BITS | (int(scale) & scale_mask)
        for scale, bias in zip(constants.scale, constants.bias, strict=True)
    ]


def fc_words(layer, lanes):
    """Words of the vector unit: word k·⌈Cin/V⌉ + j has input j·V + v in bits 8v+7…8v."""
    classes, inputs = layer.weight.shape
    padded = np.zeros((classes, -(-inputs // lanes) * lanes), np.int64)
    padded[:, :inputs] = layer.weight
    rows = padded.reshape(-1, lanes)
    return [sum((int(value) & 0xFF) << 8 * lane for lane, value in enumerate(row)) for row in rows]


def _text(words, bits, depth):
    digits = -(-bits // 4)
    words = list(words) + [0] * (depth - len(words))
    return "".join(f"{int(word):0{digits}x}\n" for word in words)


def program_image(words):
    """Text of program.mem."""
    return _text(words, 128, len(words))


def memory_images(graph, plan, table):
    """File name -> text of every memory image.

    Args:
        graph: LayerGraph.
        plan: its Plan.
        table: (layer name, group count) -> Requantisation.
    """
    config = plan.config
    kernels = np.zeros(config.weight_depth, np.uint64)
    requants = [0] * config.requant_depth
    for layer in graph.layers:
        if layer.kind == "linear":
            classifier = layer
            continue
        base = plan.weights[layer.name]
        words = kernel_words(layer)
        kernels[base : base + len(words)] = words
    for (name, setting), base in plan.requants.items():
        words = requant_words(table[name, setting])
        requants[base : base + len(words)] = words
    mask = np.uint64((1 << COLUMN_BITS) - 1)
    images = {
        f"weights_{j}.mem": _text(kernels >> np.uint64(COLUMN_BITS * j) & mask, COLUMN_BITS, config.weight_depth)
        for j in range(COLUMNS)
    }
    images["requant.mem"] = _text(requants, SCALE_BITS + BIAS_BITS, config.requant_depth)
    images["fc_weights.mem"] = _text(fc_words(classifier, config.v), 8 * config.v, config.fc_depth)
    images["fc_bias.mem"] = _text([int(b) & 0xFFFFFFFF for b in classifier.bias], 32, config.classes)
    images["program.mem"] = program_image(program_words(graph, plan, table))
    return images
