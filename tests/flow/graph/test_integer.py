"""Integer execution against convolution with masked dense weights in PyTorch."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from flow.errors import GatefoldError
from flow.graph.integer import accumulate, finish, levels, run
from flow.graph.layers import ImageInput, Layer, LayerGraph, Setting, check, shuffle_slots
from flow.graph.random_graph import random_resnet


@pytest.fixture(scope="module")
def graph():
    return random_resnet(5)


def masked_convolution(layer, groups, inputs):
    o = np.arange(layer.out_channels)[:, None] * groups // layer.out_channels
    i = np.arange(layer.in_channels)[None, :] * groups // layer.in_channels
    weight = torch.from_numpy(layer.weight * (o == i)[:, :, None, None]).double()
    return conv2d(torch.from_numpy(inputs).double(), weight, stride=layer.stride, padding=layer.kernel // 2).numpy()


@pytest.mark.parametrize("name", ["stage1.block1.conv1", "stage2.block1.shortcut", "stage2.block1.conv1"])
@pytest.mark.parametrize("groups", [1, 4, 16])
def test_accumulators_equal_masked_dense_weights(graph, name, groups):
    layer = graph[name]
    inputs = np.random.default_rng(0).integers(0, 16, (2, layer.in_channels, layer.in_size, layer.in_size))
    acc = accumulate(layer, groups, inputs)
    assert np.array_equal(acc, masked_convolution(layer, groups, inputs))
    low, high = layer.accumulator_range(groups)
    assert (acc.min(axis=(0, 2, 3)) >= low).all() and (acc.max(axis=(0, 2, 3)) <= high).all()


def test_shuffle_moves_channel_a_n_b_to_slot_b_16_a():
    slots = shuffle_slots(64)
    for a in range(16):
        for b in range(4):
            assert slots[a * 4 + b] == b * 16 + a
    assert np.array_equal(shuffle_slots(16), np.arange(16))


def test_batch_and_single_images_agree(graph):
    images = np.random.default_rng(1).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    batch = run(graph, images, "1/4")
    for number in range(3):
        assert np.array_equal(run(graph, images[number : number + 1], "1/4").logits[0], batch.logits[number])
    assert len(np.unique(batch.stations["stage3.block1.conv1"])) > 4, "the random network must use its range"


def test_wrong_images_and_modes_are_refused(graph):
    images = np.zeros((1, 3, 32, 32), np.uint8)
    with pytest.raises(GatefoldError, match="uint8 images"):
        run(graph, images[:, :, :16], "full")
    with pytest.raises(GatefoldError, match="unknown mode '1/3'"):
        run(graph, images, "1/3")


def reference(layer, level, residual=None):
    """A stored pixel at a time, from levels [C, H, W]."""
    low, high = layer.level_range
    size = 2 if layer.pool2 else 1
    stored = np.zeros((layer.out_channels, layer.out_size, layer.out_size), np.uint8)
    height, width = layer.valid
    for channel in range(layer.out_channels):
        for y in range(height):
            for x in range(width):
                sums = []
                for dy in range(size):
                    for dx in range(size):
                        total = min(max(int(level[channel, size * y + dy, size * x + dx]), low), high)
                        if residual is not None:
                            total += int(layer.residual_table[residual[channel, size * y + dy, size * x + dx]])
                        sums.append(total)
                if layer.pool2 == "sum":
                    sums = [sum(sums)]
                stored[channel, y, x] = max(int(layer.sum_table[total % 64]) for total in sums)
    return stored


@pytest.mark.parametrize("pool2, residual", [(None, True), ("max", True), ("max", False), ("sum", False), (None, False)])
def test_tables_pools_and_valid_pixels(pool2, residual):
    rng = np.random.default_rng(8)
    table = np.zeros(64, np.int64)
    low, high = (-8, 7) if residual else (0, 15)
    index = np.arange(61) if pool2 == "sum" else np.arange(-16, 32) if residual else np.arange(16)
    table[index % 64] = np.sort(rng.integers(0, 16, len(index)))
    layer = Layer(
        "a", "conv", np.zeros((3, 2, 3, 3), np.int64), 1, 16, 8 if pool2 else 16, input="b", residual="b" if residual else None,
        clamp=(low, high), residual_table=np.sort(rng.integers(-8, 17, 16)), sum_table=table, pool2=pool2, valid=(5, 6) if pool2 else (11, 13),
    )  # fmt: skip
    level = rng.integers(low - 3, high + 4, (2, 3, 16, 16))
    codes = rng.integers(0, 16, (2, 3, 16, 16)).astype(np.uint8) if residual else None
    got = finish(layer, level, codes)
    for number in range(2):
        assert np.array_equal(got[number], reference(layer, level[number], codes[number] if residual else None))


def test_levels_count_the_thresholds_that_are_reached():
    layer = Layer("a", "conv", np.zeros((2, 1, 1, 1), np.int64), input="b", residual="b", clamp=(-4, 3))
    layer.thresholds = {Setting(): np.array([[-10, -5, -5, 0, 1, 2, 30], [7, 8, 9, 10, 11, 12, 13]])}
    acc = np.arange(-20, 40).reshape(1, 1, 6, 10).repeat(2, axis=1)
    for channel, steps in enumerate(layer.thresholds[Setting()]):
        expected = [-4 + sum(value >= step for step in steps) for value in range(-20, 40)]
        assert levels(layer, Setting(), acc)[0, channel].reshape(-1).tolist() == expected


def test_weights_of_eight_bits_are_passes_of_four_bits():
    weight = np.arange(-128, 128).reshape(4, 1, 8, 8)
    digits = Layer("a", "conv", weight).weight_digits()
    assert [shift for shift, _ in digits] == [4, 4, 0, 0]
    assert all(kernels.min() >= -7 and kernels.max() <= 7 for _, kernels in digits)
    assert np.array_equal(sum(kernels << shift for shift, kernels in digits), weight)
    narrow = weight[weight % 16 != 8].reshape(4, 1, 6, 10)  # an 8 takes two kernels
    assert [shift for shift, _ in Layer("a", "conv", np.clip(narrow, -119, 119)).weight_digits()] == [4, 0]
    assert [shift for shift, _ in Layer("a", "conv", np.clip(weight, -8, 7)).weight_digits()] == [0, 0]
    assert [shift for shift, _ in Layer("a", "conv", np.clip(weight, -7, 7)).weight_digits()] == [0]


def test_signed_inputs_are_two_planes_of_every_colour():
    table = np.stack([np.arange(256) - 100, np.arange(256) // 2], axis=1)
    images = np.random.default_rng(2).integers(0, 256, (2, 2, 9, 12), dtype=np.uint8)
    planes = ImageInput((9, 12), table).planes(images, 16)
    assert planes.shape == (2, 4, 16, 16) and not planes[:, :, 9:].any() and not planes[..., 12:].any()
    difference = planes[:, :2, :9, :12].astype(int) - planes[:, 2:, :9, :12]
    assert np.array_equal(difference[:, 0], images[:, 0].astype(int) - 100) and np.array_equal(difference[:, 1], images[:, 1] // 2)
    assert ImageInput((9, 12), np.arange(256)[:, None]).planes(images[:, :1], 16).shape == (2, 1, 16, 16)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"clamp": (-1, 15)}, "levels from -1 but adds nothing"),
        ({"pool2": "mean"}, "a pool 'mean'; choose max or sum"),
        ({"pool2": "sum"}, "takes a sum table and no residual"),
        ({"sum_table": np.full(64, 16)}, "64 codes from 0 to 15"),
        (
            {"residual": "stem", "clamp": (-16, 15), "residual_table": np.arange(16) + 3, "sum_table": np.zeros(64, int)},
            "sums from -13 to 33",
        ),
        ({"pool2": "sum", "clamp": (0, 16), "sum_table": np.zeros(64, int)}, "sums from 0 to 64; its table takes 0 to 63"),
    ],
)
def test_tables_that_contradict_themselves_are_refused(changes, words):
    graph = random_resnet(5)
    layer = graph["stage1.block1.conv1"]
    for name, value in changes.items():
        setattr(layer, name, value)
    with pytest.raises(GatefoldError, match=f"stage1.block1.conv1 of random5 .*{words}"):
        check(graph)


def test_a_setting_is_a_group_count_and_statistics():
    """In files a number; in order the group counts' own statistics come first, as the requantisation memory has them."""
    settings = [Setting(16), Setting(2, 1), Setting(1), Setting(1, 2), Setting(4, 1)]
    assert sorted(settings) == [Setting(1), Setting(16), Setting(2, 1), Setting(4, 1), Setting(1, 2)]
    assert [setting.code for setting in settings] == [16, 34, 1, 65, 36]
    assert [Setting.of_code(setting.code) for setting in settings] == settings


def test_a_mode_with_statistics_of_its_own():
    """Two modes of one group count with two batch norms, and a third whose batch norm is missing."""
    graph = random_resnet(2)
    layer = graph["stage1.block1.conv1"]
    own = Setting(4, 1)
    scale, offset = layer.affine[Setting(4)]
    layer.affine[own] = scale, offset + np.float32(3)
    modes = {**graph.modes, "own": {**graph.modes["1/4"], layer.name: own}}
    found = LayerGraph(graph.name, graph.layers, modes)
    assert (found.groups("own", layer), found.used_settings(layer)[-1]) == (4, own)
    images = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    ours, theirs = (run(found, images, mode).stations[layer.name].astype(int).sum() for mode in ("own", "1/4"))
    assert ours > theirs
    modes["own"][layer.name] = Setting(4, 2)
    with pytest.raises(GatefoldError, match=r"conv1 of random2 has no batch norm for 4 groups \(it has \[1, 2, 4, 8, 16\]\)"):
        LayerGraph(graph.name, graph.layers, modes)
