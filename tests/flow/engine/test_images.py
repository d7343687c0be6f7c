"""What a network writes into the memories, read back bit by bit."""

import numpy as np
import pytest

from flow.engine.compile import compile_graph
from flow.engine.config import Folding
from flow.graph.random_graph import random_resnet


@pytest.fixture(scope="module")
def compiled():
    return compile_graph(random_resnet(6), Folding(v=8))


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


def test_kernels(compiled):
    kernels = compiled.memories["weights"]
    assert 0 <= compiled.plan.config.weight_depth - len(kernels) < 1024
    for layer in compiled.graph.layers[:-1]:
        base, inputs = compiled.plan.weights[layer.name], 6 if layer.input == "image" else layer.in_channels
        for o, i in ((0, 0), (3, inputs - 1), (layer.out_channels - 1, inputs // 2)):
            address = base + o * inputs + i
            taps = np.array([signed(kernels[address] >> 4 * t & 15, 4) for t in range(9)]).reshape(3, 3)
            kernel = layer.weight[o, i % 3 if layer.input == "image" else i]
            expected = kernel if layer.kernel == 3 else np.pad(kernel, 1)
            assert np.array_equal(taps, expected), (layer.name, o, i)


def test_requantisation_entries(compiled):
    entries = compiled.memories["requant"]
    assert 0 <= compiled.plan.config.requant_depth - len(entries) < 512
    for key, base in compiled.plan.requants.items():
        constants = compiled.table[key]
        for channel in (0, len(constants.scale) - 1):
            entry = entries[base + channel]
            assert signed(entry & (1 << 25) - 1, 25) == constants.scale[channel]
            assert signed(entry >> 25, 29) == constants.bias[channel]


def test_classifier(compiled):
    layer = compiled.graph.layers[-1]
    rows = compiled.memories["fc_weights"]
    per_class = layer.in_channels // 8
    assert len(rows) == compiled.plan.config.fc_depth == 10 * per_class
    for k, c in ((0, 0), (9, 63), (4, 21)):
        assert signed(rows[k * per_class + c // 8] >> 8 * (c % 8) & 255, 8) == layer.weight[k, c]
    assert [signed(value, 32) for value in compiled.memories["fc_bias"]] == layer.bias.tolist()


def test_memories_follow_from_the_graph_alone(compiled):
    again = compile_graph(random_resnet(6), Folding(v=8))
    assert again.memories == compiled.memories
