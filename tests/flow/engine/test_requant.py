"""Integer requantisation against the float definition."""

import numpy as np
import pytest

from flow.engine.requant import (
    accumulator_bits,
    check_matched,
    hardware,
    requantise,
    requantise_layer,
    solve,
    solve_thresholds,
)
from flow.errors import GatefoldError
from flow.graph.integer import run
from flow.graph.layers import Layer, Setting
from flow.graph.random_graph import random_resnet


def reference(acc, scale, offset):
    """One value of the definition, operation by operation."""
    return int(np.rint(np.float32(np.float32(acc) * np.float32(scale)) + np.float32(offset)))


@pytest.mark.parametrize("lowest", [0, -15])
def test_every_accumulator_of_random_channels(lowest):
    rng = np.random.default_rng(lowest + 20)
    channels = 60
    scale = (rng.choice([-1, 1], channels) * 10 ** rng.uniform(-3, -0.61, channels)).astype(np.float32)
    offset = rng.normal(2, 6, channels).astype(np.float32)
    scale[0], offset[0] = 0, 7.5  # constant channels, one of them a tie
    scale[1], offset[1] = 0, -3
    half = np.minimum(30000, 40 / np.maximum(np.abs(scale), 1e-3)).astype(np.int64)
    low, high = -half, half // 2
    constants = solve(scale, offset, low, high, lowest)
    assert constants.matched.all()
    assert np.abs(constants.scale).max() < 1 << 24 and np.abs(constants.bias).max() < 1 << 28
    for channel in range(0, channels, 7):
        for acc in range(low[channel], high[channel] + 1, 3):
            got = (acc * int(constants.scale[channel]) + (int(constants.bias[channel]) << 10)) // (1 << 26)
            want = reference(acc, scale[channel], offset[channel])
            assert np.clip(got, lowest, 15) == np.clip(want, lowest, 15)


def layer_with(weight, scale):
    affine = {Setting(): (np.full(4, scale, np.float32), np.arange(4, dtype=np.float32))}
    return Layer("a", "conv", np.full((4, 8, 3, 3), weight), input="b", affine=affine)


def test_large_scales_are_prescaled_where_accumulators_are_small():
    for weight, scale, prescale, matched in ((1, 0.2, False, 4), (1, 0.7, True, 4), (8, 0.7, False, 0), (1, 5.0, False, 0)):
        constants = requantise_layer(layer_with(weight, scale), Setting())
        assert (constants.prescale, constants.matched.sum()) == (prescale, matched)


def test_unmatched_channel_names_layer_mode_and_channel():
    graph = random_resnet(2)
    graph["stage3.block1.conv1"].affine[Setting()][0][5] = 5.0
    with pytest.raises(GatefoldError, match=r"1 of .* channel 5 of layer stage3.block1.conv1 with 1 groups \(mode full"):
        check_matched(graph, requantise(graph))


def test_accumulators_beyond_21_bits_are_refused():
    assert not requantise_layer(layer_with(900, 0.1), Setting()).matched.all()
    with pytest.raises(GatefoldError, match="layer a .* beyond 21 bits"):
        requantise_layer(layer_with(1000, 0.1), Setting())


def test_wide_accumulators_take_a_finer_step():
    """Fifteen steps some thousand apart: 13 bits of scale miss one of them, 21 do not."""
    rng = np.random.default_rng(3)
    weight = rng.integers(-127, 128, (12, 3, 3, 3))
    weight[:, 0] = 127
    layer = Layer("a", "conv", weight, in_size=32, out_size=32)
    first = rng.uniform(0, 40000, 12)
    layer.thresholds = {Setting(): np.ceil(first[:, None] + rng.uniform(3000, 6000, (12, 1)) * np.arange(15)).astype(np.int64)}
    assert 18 < accumulator_bits(layer, 1) <= 21
    constants = requantise_layer(layer, Setting())
    assert constants.fine and constants.matched.all() and not constants.prescale
    assert not solve_thresholds(layer.thresholds[Setting()], *layer.accumulator_range(1), 0).matched.all()
    low, high = layer.accumulator_range(1)
    for channel in range(12):
        acc = np.arange(low[channel], high[channel] + 1)
        got = (acc * constants.scale[channel] + (constants.bias[channel] << 18)) >> 34
        assert np.array_equal(np.clip(got, 0, 15), np.searchsorted(layer.thresholds[Setting()][channel], acc, side="right"))


@pytest.mark.parametrize("mode", ["full", "1/16"])
def test_hardware_requantisation_gives_the_same_network(mode):
    graph = random_resnet(3)
    table = requantise(graph)
    check_matched(graph, table)
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    expected, got = run(graph, images, mode), run(graph, images, mode, hardware(table))
    for name, station in expected.stations.items():
        assert np.array_equal(station, got.stations[name]), name


@pytest.mark.parametrize("levels, lowest", [(1, 0), (3, 0), (7, -4), (15, 0), (15, -8), (30, -15)])
def test_constants_step_where_thresholds_step(levels, lowest):
    rng = np.random.default_rng(levels)
    channels = 40
    step = 10 ** rng.uniform(0.7, 3, channels)
    middle = rng.normal(0, 200, channels)
    thresholds = np.ceil(middle[:, None] + step[:, None] * (np.arange(levels) - levels / 2)).astype(np.int64)
    thresholds[0], thresholds[1] = -5000, 5000  # constants
    low, high = np.full(channels, -4000), np.full(channels, 6000)
    high[1] = 4999
    constants = solve_thresholds(thresholds, low, high, lowest)
    assert constants.matched.all()
    for channel in range(0, channels, 3):
        for acc in range(-4000, high[channel] + 1, 7):
            got = (acc * int(constants.scale[channel]) + (int(constants.bias[channel]) << 10)) >> 26
            assert np.clip(got, lowest, lowest + levels) == lowest + sum(acc >= threshold for threshold in thresholds[channel])


def test_steps_of_unequal_width_are_unmatched_and_named():
    graph = random_resnet(2)
    layer = graph["stage2.block1.conv1"]
    layer.affine, layer.clamp = {}, (0, 3)
    layer.thresholds = {Setting(n): np.tile([-30, 0, 30], (32, 1)) for n in (1, 2, 4, 8, 16)}
    table = requantise(graph)
    check_matched(graph, table)
    layer.thresholds[Setting()][7] = -30, -29, 30
    with pytest.raises(GatefoldError, match="its thresholds at .* channel 7 of layer stage2.block1.conv1 .*thresholds -30 to 30"):
        check_matched(graph, requantise(graph))


def test_codes_of_fewer_bits_are_clamped():
    layer = layer_with(1, 0.2)
    layer.clamp = (0, 3)
    constants = requantise_layer(layer, Setting())
    assert constants.matched.all()
    acc = np.arange(-50, 1081)
    for channel in range(4):
        got = (acc * int(constants.scale[channel]) + (int(constants.bias[channel]) << 10)) >> 26
        want = np.rint(acc.astype(np.float32) * np.float32(0.2) + np.float32(channel))
        assert np.array_equal(np.clip(got, 0, 3)[50:], np.clip(want, 0, 3)[50:])
