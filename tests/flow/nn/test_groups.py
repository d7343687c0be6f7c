"""Group modes and channel shuffle."""

import pytest
import torch

from flow.errors import GatefoldError
from flow.models import create
from flow.nn.groups import block_diagonal, group_counts, group_mask
from flow.nn.modes import MODES, group_vector
from flow.nn.shuffle import ChannelShuffle, shuffle_permutation


@pytest.mark.parametrize("co, ci, n", [(16, 16, 4), (32, 16, 16), (64, 32, 8), (16, 16, 1)])
def test_mask_connects_equal_groups(co, ci, n):
    mask = group_mask(co, ci, n)
    for o in range(co):
        for i in range(ci):
            assert bool(mask[o, i]) == (o * n // co == i * n // ci)
    assert int(mask.sum()) == co * ci // n


def test_group_counts_divide_both_sides():
    assert group_counts(16, 64) == (1, 2, 4, 8, 16)
    assert group_counts(3, 16) == (1,)
    assert group_counts(24, 64) == (1, 2, 4, 8)


@pytest.mark.parametrize("n", [2, 4, 16])
def test_block_diagonal_holds_the_connected_weights(n):
    weight = torch.randn(32, 16, 3, 3)
    blocks = block_diagonal(weight, n)
    assert blocks.shape == (32, 16 // n, 3, 3)
    for o in (0, 7, 31):
        group = o * n // 32
        assert torch.equal(blocks[o], weight[o, group * 16 // n : (group + 1) * 16 // n])


@pytest.mark.parametrize("channels", [8, 16, 32, 64, 128])
def test_shuffle_is_the_paper_transposition(channels):
    # WeNet, section III-B: reshape into (g, n), transpose to (n, g), flatten.
    g = min(16, channels)
    order = torch.arange(channels).reshape(g, channels // g).t().reshape(-1)
    x = torch.randn(2, channels, 3, 3)
    assert torch.equal(ChannelShuffle(channels)(x), x[:, order])
    assert torch.equal(ChannelShuffle(channels)(x[:, :, 0, 0]), x[:, order, 0, 0])  # between dense layers
    permutation = shuffle_permutation(channels)
    assert torch.equal(order[permutation], torch.arange(channels))


def test_shuffle_of_16_channels_is_the_identity():
    assert shuffle_permutation(16).tolist() == list(range(16))


def test_shuffle_spreads_every_group_over_all_groups():
    permutation = shuffle_permutation(64)
    first_group = permutation[:16]  # of 4 groups
    assert sorted({int(c) * 4 // 64 for c in first_group}) == [0, 1, 2, 3]


def test_modes_give_every_layer_its_group_count():
    model = create("resnet8")
    for mode, n in zip(MODES, (1, 2, 4, 8, 16)):
        vector = group_vector(model, mode)
        assert vector["stem"] == 1 and vector["classifier"] == 1
        assert {vector[name] for name in vector if name not in ("stem", "classifier")} == {n}


def test_unknown_mode_names_the_modes():
    with pytest.raises(GatefoldError, match="1/3.*full, 1/2, 1/4, 1/8, 1/16"):
        group_vector(create("resnet8"), "1/3")


def test_unknown_group_count_and_layer():
    model = create("resnet8")
    with pytest.raises(GatefoldError, match="3 groups"):
        model.set_mode({"stage1.block1.conv1": 3})
    with pytest.raises(GatefoldError, match="no layer 'stage9'"):
        model.set_mode({"stage9": 2})
