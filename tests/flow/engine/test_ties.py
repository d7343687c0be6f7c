"""Halves go to the even neighbour, in every place that requantises; the values are written out, not computed by a library."""

import numpy as np
import pytest
import torch

from flow.engine.requant import apply, check_matched, hardware, requantise, solve
from flow.explore.evaluator import Evaluator
from flow.graph.integer import affine_round, run
from flow.graph.layers import Setting
from flow.graph.random_graph import random_resnet
from flow.models import create, initialise
from flow.nn.quantisers import Activation, ResidualBranch

# acc/8 + 1/2 is exact in binary; every multiple of 8 gives a half.
SCALE, OFFSET = 0.125, 0.5
TIES = {-40: -4, -32: -4, -24: -2, -16: -2, -8: 0, 0: 0, 8: 2, 16: 2, 24: 4, 32: 4, 40: 6, 48: 6, 56: 8, 104: 14, 112: 14}
BESIDE = {-25: -3, -23: -2, -17: -2, -15: -1, 7: 1, 9: 2, 15: 2, 17: 3, 23: 3, 25: 4}
ACC, VALUES = (np.array(part) for part in zip(*(TIES | BESIDE).items()))

# A stem whose accumulator is four times the green value of its pixel: p/2 + 1/2.
PIXELS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 25, 26, 27, 28]
LEVELS = [0, 1, 2, 2, 2, 3, 4, 4, 4, 13, 14, 14, 14]


def planes():
    """uint8 [1, 3, 32, 32] whose first row holds the pixels."""
    images = np.zeros((1, 3, 32, 32), np.uint8)
    images[0, 1, 0, : len(PIXELS)] = PIXELS
    return images


def stem_weight(channels):
    weight = np.zeros((channels, 3, 3, 3), np.int64)
    weight[:, 1, 1, 1] = 4
    return weight


def constants(channels):
    return np.full(channels, SCALE, np.float32), np.full(channels, OFFSET, np.float32)


def test_integer_definition():
    assert np.array_equal(affine_round(ACC, SCALE, OFFSET), VALUES)
    assert np.array_equal(affine_round(-ACC, -SCALE, OFFSET), VALUES)


@pytest.mark.parametrize("prescale", [False, True])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("low, high", [(-7, 15), (1, 23), (9, 31), (-23, -9), (97, 119)])
def test_requantiser(low, high, sign, prescale):
    """Accumulators with two halves in their reach: one goes up and the other one down."""
    reach = (low, high) if sign > 0 else (-high, -low)
    found = solve([sign * SCALE], [OFFSET], *(np.array([limit]) for limit in reach), -15, prescale)
    assert found.matched.all()
    inside = (ACC >= low) & (ACC <= high)
    assert inside.sum() >= 2
    assert np.array_equal(apply(found.scale[0], found.bias[0], sign * ACC[inside], prescale), VALUES[inside])


@pytest.mark.parametrize("low, high", [(-7, 23), (1, 31), (-200, 200)])
def test_three_halves_in_a_row_have_no_constants(low, high):
    """Levels 7, 9, 7 accumulators long, and no straight line has such; half up would have levels of 8."""
    assert not solve([SCALE], [OFFSET], np.array([low]), np.array([high]), -15).matched.any()


def test_integer_run_of_all_halves():
    graph = random_resnet(2)
    stem = graph["stem"]
    stem.weight, stem.affine[Setting()] = stem_weight(stem.out_channels), constants(stem.out_channels)
    for channel in run(graph, planes(), "full").stations["stem"][0]:
        assert channel[0, : len(PIXELS)].tolist() == LEVELS


# (A, B) to the outputs of accumulators 0 to 15.
CHANNELS = {
    (0.125, 0.5): [0] + [1] * 7 + [2] * 8,
    (0.125, 1.5): [2] * 9 + [3] * 7,
    (0.125, 2.5): [2] + [3] * 7 + [4] * 8,
    (0.125, 13.5): [14] * 9 + [15] * 7,
    (-0.125, 2.5): [2] * 9 + [1] * 7,
    (-0.125, 3.5): [4] + [3] * 7 + [2] * 8,
}


def test_integer_run_and_requantiser_table():
    """The stem hands 0 to 15 through; each channel of the next layer has two halves."""
    graph = random_resnet(2)
    stem, layer = graph["stem"], graph["stage1.block1.conv1"]
    stem.weight = stem_weight(16) // 4
    stem.affine[Setting()] = np.ones(16, np.float32), np.zeros(16, np.float32)
    layer.weight = np.zeros_like(layer.weight)
    layer.weight[:, 0, 1, 1] = 1
    scale, offset = np.resize(list(CHANNELS), (16, 2)).astype(np.float32).T
    layer.affine = dict.fromkeys(layer.affine, (scale, offset))
    images = np.zeros((1, 3, 32, 32), np.uint8)
    images[0, 1, 0, :16] = range(16)
    table = requantise(graph)
    check_matched(graph, table)
    for result in (run(graph, images, "full"), run(graph, images, "full", hardware(table))):
        assert [channel[0, :16].tolist() for channel in result.stations[layer.name][0]] == [
            list(CHANNELS.values())[c % len(CHANNELS)] for c in range(16)
        ]


class Stem:
    """A layer's integers with the constants above."""

    def __init__(self, integers):
        self.weight = stem_weight(len(integers.weight))

    def affine(self, n, mode=None):
        return constants(len(self.weight))

    def recalibrated(self, *_):
        return {}

    def affine_of_state(self, *_):
        return constants(len(self.weight))


@pytest.fixture
def model(monkeypatch):
    model = initialise(create("resnet8")).eval()
    of = model.integer_layer
    monkeypatch.setattr(model, "integer_layer", lambda name: Stem(of(name)) if name == "stem" else of(name), raising=False)
    return model


def test_network(model):
    for channel in model.integer_stations(planes().transpose(0, 2, 3, 1))["stem"][0]:
        assert channel[0, : len(PIXELS)].tolist() == LEVELS


def test_search(model):
    evaluator = Evaluator(model, planes().transpose(0, 2, 3, 1), np.zeros(1, np.int64), planes().transpose(0, 2, 3, 1))
    (images,) = evaluator._images[evaluator._calibrated :]
    stem = next(spec for spec in model.layers() if spec.name == "stem")
    (_, outputs), _ = evaluator._convolution(stem, 1, [images, images])
    assert all(channel[0, : len(PIXELS)].tolist() == LEVELS for channel in outputs[0])


@pytest.mark.parametrize("scale", [0.25, 1.0])
def test_fake_quantisation(scale):
    activation = Activation()
    activation.threshold.value.data.fill_(torch.log2(torch.tensor(scale * 16)))
    halves = torch.tensor([0.5, 1.5, 2.5, 3.5, 13.5, 14.5])
    assert (activation(halves * scale) / scale).tolist() == [0, 2, 2, 4, 14, 14]
    signed = torch.cat([-halves, halves]) * scale
    assert (ResidualBranch(activation)(signed) / scale).tolist() == [0, -2, -2, -4, -14, -14, 0, 2, 2, 4, 14, 14]
