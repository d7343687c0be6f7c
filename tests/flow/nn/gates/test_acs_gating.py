"""ACS gates in a residual network: eq. (1) in integers, for both convolutions of a block, and what it costs."""

import pytest
import torch

from flow.costs import Accounting
from flow.models import create, initialise
from flow.nn.dynamic_group import DynamicGroupConv2d


def network(gates: str):
    return initialise(create("resnet8", gates=gates))


@pytest.mark.parametrize("conv, others", [("conv1", "conv2"), ("conv2", "conv1")])
def test_skipped_channel_is_not_needed(conv, others):
    """F_out = C(G(F_in)) F_in: weights of channels that the gate skips change nothing; the block adds nothing there."""
    model = network("acs")
    with torch.no_grad():
        getattr(model.gates, conv)["stage2_block1"].linear.bias[:5] = -1e3
        getattr(model.gates, conv)["stage2_block1"].linear.bias[5:] = 1e3
    x = torch.rand(3, 3, 32, 32)
    before = model(x)
    uses = {use.name: use for use in model.trace}
    assert uses[f"stage2.block1.{conv}"].outputs.tolist() == [[0.0] * 5 + [1.0] * 27] * 3
    weight = model.get_submodule(f"stage2.block1.{conv}.conv").weight
    with torch.no_grad():
        weight[:5] *= -1
    assert torch.equal(model(x), before)
    with torch.no_grad():
        weight[5:] *= -1
    assert not torch.equal(model(x), before)


def test_second_convolution_and_its_gate_read_what_the_first_made():
    model = network("acs-gn")
    with torch.no_grad():
        model.gates.conv1["stage2_block1"].linear.bias[:5] = -1e3
        model.gates.conv1["stage2_block1"].linear.bias[5:] = 1e3
    model(torch.rand(1, 3, 32, 32))
    uses = {use.name: use for use in model.trace}
    assert uses["gates.conv2.stage2_block1.bottleneck"].inputs.tolist() == [[0.0] * 5 + [1.0] * 27]
    shuffled = model.stage2.block1.shuffle(torch.tensor([0.0] * 5 + [1.0] * 27).reshape(1, 32, 1, 1)).flatten()
    assert torch.equal(uses["stage2.block1.conv2"].inputs[0], shuffled)


def test_costs_by_hand():
    """One block of which 5 of 32 channels are skipped in the first convolution, all others run."""
    model = network("acs-gn")
    with torch.no_grad():
        for gates in (model.gates.conv1, model.gates.conv2):
            for gate in gates.values():
                gate.linear.bias.fill_(1e3)
        model.gates.conv1["stage2_block1"].linear.bias[:5] = -1e3
    model(torch.rand(1, 3, 32, 32))
    accounting = Accounting(model, "macs")

    def gate(channels, outputs, size, inputs=None):
        m, half = outputs // 2, size // 2
        return (inputs or channels) * m * size**2 + 2 * 9 * m * m * half**2 + m * outputs

    expected = accounting.full - 9 * 256 * (16 * 5 + 5 * 32)
    expected += gate(16, 16, 32) * 2 + gate(16, 32, 32) + gate(32, 32, 16, 27) + gate(32, 64, 16) + gate(64, 64, 8)
    assert accounting.of(model.trace).item() == expected


@pytest.mark.parametrize("n", [2, 4, 8])
def test_static_groups(n):
    model = network(f"acs-gn-{n}")
    found = [module for module in model.modules() if isinstance(module, DynamicGroupConv2d)]
    assert len(found) == 12 and all(module.n == n for module in found)
    model(torch.rand(1, 3, 32, 32))
    assert {use.n for use in model.trace if use.name.startswith("gates.") and "conv1.stage" in use.name} >= {1, n}


@pytest.mark.parametrize("gates", ["ffgate-1", "ffgate-2"])
def test_feed_forward_gates_skip_whole_blocks(gates):
    model = network(gates)
    with torch.no_grad():
        for gate in model.gates.layer.values():
            gate.linear.bias.fill_(-1e3)
    model(torch.rand(2, 3, 32, 32))
    uses = {use.name: use for use in model.trace}
    assert uses["stage1.block1.conv1"].executed.tolist() == uses["stage1.block1.conv2"].executed.tolist() == [0, 0]
    assert uses["gates.layer.stage1_block1.conv1"].executed is None
