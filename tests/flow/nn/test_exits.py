"""Exit branches."""

import pytest
import torch

from flow.nn.exits import ExitBranch, exit_positions


@pytest.mark.parametrize("blocks, positions", [(8, [2, 6]), (12, [3, 9]), (6, [2, 5]), (3, [1, 2]), (1, [1])])
def test_positions_at_a_quarter_and_three_quarters(blocks, positions):
    assert exit_positions(blocks) == positions


@pytest.mark.parametrize("channels, size, pools", [(16, 32, 2), (32, 16, 1), (64, 8, 0)])
def test_branch_runs_the_layers_it_describes_with_more_pooling_early(channels, size, pools):
    branch = ExitBranch(channels, size, 10)
    seen = {}
    for name in ("conv1", "conv2", "classifier"):
        branch.get_submodule(name).register_forward_hook(lambda m, a, y, name=name: seen.update({name: (a[0].shape, y.shape)}))
    assert branch(torch.rand(2, channels, size, size)).shape == (2, 10)
    specs = branch.layers(size)
    for spec in specs[:2]:
        assert seen[spec.name] == (
            (2, spec.in_channels, spec.in_size, spec.in_size),
            (2, spec.out_channels, spec.out_size, spec.out_size),
        )
    assert seen["classifier"] == ((2, specs[2].in_channels), (2, specs[2].out_channels))
    assert specs[0].in_size == size >> pools
