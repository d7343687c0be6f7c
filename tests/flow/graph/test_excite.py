"""Squeeze-and-excitation in integers, against one number at a time, and what contradicts it."""

import numpy as np
import pytest

from flow.errors import GatefoldError
from flow.graph.excite import Expand, excited, factors
from flow.graph.integer import run
from flow.graph.layers import Layer, LayerGraph, Setting
from flow.graph.lstm import Rescale, sigmoid
from flow.graph.random_graph import random_gated

EXCITE = "stage1.block1.gate1.excite"


def graph():
    return random_gated(1, (16, 16, 16), (1, 0, 0), ("acs",))


def test_factors_by_hand():
    rng = np.random.default_rng(0)
    expand = Expand(rng.integers(-127, 128, (6, 3)), rng.integers(-500, 500, 6), Rescale.of(0.9))
    layer = Layer(
        "e", "excite", rng.integers(-127, 128, (3, 6)), bias=np.array([90, -70, 500]), rescale=Rescale.of(0.01), expand=expand
    )
    sums = rng.integers(0, 30, (8, 6))
    made, seen = factors(layer, sums), set()
    for n in range(8):
        codes = []
        for row, bias in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True):
            total = sum(w * s for w, s in zip(row, sums[n].tolist(), strict=True)) + bias
            scaled = (total * layer.rescale.multiplier + 2 ** (layer.rescale.shift - 1)) >> layer.rescale.shift
            codes.append(max(0, min(15, scaled)))
        seen.update(codes)
        for channel in range(6):
            total = sum(w * c for w, c in zip(expand.weight[channel].tolist(), codes, strict=True)) + int(expand.bias[channel])
            value = (total * expand.rescale.multiplier + 2 ** (expand.rescale.shift - 1)) >> expand.rescale.shift
            assert made[n, channel] == sigmoid(np.array([value]))[0]
    assert {0, 15} < seen
    acc = np.arange(0, 64, 4)[None, None, None]
    levels = excited(acc, np.array([[77]]), 9)[0, 0, 0].tolist()
    assert levels == [(a * 77 * 2 + 512) // 1024 for a in range(0, 64, 4)]


def test_the_map_is_multiplied():
    made, images = graph(), np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    got, layer = run(made, images, "1/4"), made[f"{EXCITE}.output"]
    source = got.stations[made[EXCITE].input].astype(np.int64)
    expected = np.clip(excited(4 * source, got.stations[EXCITE], layer.factor_shift), 0, 15)
    assert np.array_equal(got.stations[layer.name], expected) and 0 < expected.mean() < 15
    assert made.groups("1/4", layer) == 4 and EXCITE not in run(made, images, "1/4 ungated").stations
    names = [each.name for each in made.executed("full", {"stage1.block1.gate1.linear": 0})]
    assert EXCITE not in names and "stage1.block1.gate2.excite" in names


@pytest.mark.parametrize(
    "name, changes, words",
    [
        (EXCITE, {"expand": None}, "needs a rescaling, and weights \\[8, 4\\] from its hidden units to factors"),
        (EXCITE, {"rescale": None}, "needs a rescaling, and weights"),
        (EXCITE, {"weight": np.full((4, 8), 128)}, "has weights beyond 127"),
        (EXCITE, {"when": "stage1.block1.gate1.linear"}, "makes factors in every frame"),
        (f"{EXCITE}.output", {"excite": "stem"}, "is multiplied by stem, which is no excite layer before it"),
        (f"{EXCITE}.output", {"clamp": (0, 7)}, "is a convolution of a gate with nothing else behind it"),
        (f"{EXCITE}.output", {"affine": {Setting(4): None}}, "is a convolution of a gate with nothing else behind it"),
        ("stage1.block1.conv1", {"excite": EXCITE}, "has 16 channels and stage1.block1.gate1.excite 8 factors"),
    ],
)
def test_what_contradicts_itself_is_refused(name, changes, words):
    made = graph()
    for key, value in changes.items():
        setattr(made[name], key, value)
    with pytest.raises(GatefoldError, match=words) as error:
        LayerGraph(made.name, made.layers, made.modes, ungated=made.ungated)
    assert "\n" not in str(error.value)
