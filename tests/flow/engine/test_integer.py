"""Integer execution against convolution with masked dense weights in PyTorch."""

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from flow.engine.graph import shuffle_slots
from flow.engine.integer import accumulate, run
from flow.engine.random_graph import random_resnet
from flow.errors import GatefoldError


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
