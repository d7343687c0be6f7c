"""DenseNets: size, equations, what is skipped and what the trace says of it."""

import pytest
import torch
from torch.nn import functional as F

from flow.costs import Accounting
from flow.errors import GatefoldError
from flow.models.dense_block import Features, or_previous
from flow.models.densenet import SHAPES, DenseNet, Shape
from flow.models.densenet import create_densenet as create
from flow.nn.gates.dense_gating import DENSE_GATES

SMALL = Shape((3, 2), 8, 16, True, True, 32, 10)


def small(gates: str | None = None, exits: bool = False) -> DenseNet:
    torch.manual_seed(0)
    return DenseNet("small", SMALL, 10, gates, exits)


@pytest.mark.parametrize("name, gflops", [("densenet41", 0.06965), ("densenet100", 0.58), ("densenet201", 2 * 4.3)])
def test_cost_is_the_papers(name, gflops):
    """ACS, table 2, and DDI, section IV-A (two operations per product; the 4 GFLOPs of densenet201 are products)."""
    assert 2e-9 * Accounting(create(name), "macs").full == pytest.approx(gflops, rel=0.01)


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name == "densenet201" else name for name in SHAPES])
def test_depth_is_in_the_name(name):
    assert len(create(name).layers()) == int(name.removeprefix("densenet"))


@pytest.mark.parametrize("name", ["densenet41", "densenet100"])
def test_layers_describe_what_runs(name):
    model = create(name).eval()
    seen = {}
    for spec in model.layers():
        module = model.get_submodule(spec.name)
        module = getattr(module, "conv", module)
        module.register_forward_hook(lambda m, args, y, n=spec.name: seen.__setitem__(n, (args[0].shape[1:], y.shape[1:])))
    model(torch.rand(1, 3, 32, 32))
    assert list(seen) == [spec.name for spec in model.layers()] == [use.name for use in model.trace]
    for spec in model.layers():
        inputs, outputs = seen[spec.name]
        assert (inputs[0], outputs[0]) == (spec.in_channels, spec.out_channels)
        assert spec.kind == "linear" or (inputs[1], outputs[1]) == (spec.in_size, spec.out_size)
        if not isinstance(spec.input, str):
            made = {other.name: other.out_channels for other in model.layers()}
            assert sum(made[source] for source in spec.input) == spec.in_channels


def test_block_is_the_papers_equation():
    """x_l = H_l([x_0, ..., x_{l-1}]), H: BN, ReLU, 1x1, BN, ReLU, 3x3; in floating point."""
    model = small().eval()
    model.set_quantised(False)
    x = torch.rand(2, 16, 8, 8)
    maps = [x]

    def relu(norm, y):
        y = (y - norm.norms["1"].running_mean[:, None, None]) / (norm.norms["1"].running_var[:, None, None] + 1e-5) ** 0.5
        return y.clamp(0, 3.75)

    for _, layer in model.block1.layers():
        y = F.conv2d(relu(layer.norm1, torch.cat(maps, 1)), layer.conv1.weight)
        maps.append(F.conv2d(relu(layer.norm2, y), layer.conv2.weight, padding=1))
    asks = {name: lambda x, active: model._ask("block1.layer1", {}, x, active) for name, _ in model.block1.layers()}
    assert torch.allclose(model.block1(x, asks).maps, torch.cat(maps, 1), atol=1e-5)


def test_numbers_are_4_bit_where_multiplied_and_8_bit_where_stored():
    model = small().train()
    bits = {}
    for spec in model.layers()[1:-1]:
        module = model.get_submodule(spec.name)
        module = getattr(module, "conv", module)
        module.register_forward_pre_hook(lambda m, args, n=spec.name: bits.__setitem__(n, args[0].unique()))
    stored = []
    model.block1.register_forward_hook(lambda m, args, y: stored.append(y.maps))
    model(torch.rand(4, 3, 32, 32))
    assert set(bits) == {spec.name for spec in model.layers()[1:-1]} and all(2 <= len(values) <= 16 for values in bits.values())
    levels = stored[0] * 32
    assert torch.equal(levels, levels.round()) and len(levels.unique()) <= 256 and len(levels.unique()) > 16


def test_skipped_layer_repeats_the_layer_before():
    """DDI, section III-A3, Fig. 3."""
    new, previous = Features(torch.full((2, 3, 1, 1), 5.0)), Features(torch.full((2, 3, 1, 1), 7.0))
    assert or_previous(torch.tensor([1.0, 0.0]), new, previous).maps[:, 0, 0, 0].tolist() == [5, 7]
    new = Features(new.maps, torch.tensor([[1.0, 0, 1], [1, 0, 1]]))
    assert or_previous(torch.tensor([1.0, 0.0]), new, previous).active.tolist() == [[1, 0, 1], [1, 1, 1]]


def test_skipped_layer_in_a_network():
    model = small("ffgate-2").eval()
    with torch.no_grad():
        model.gates.layer["block1_layer2"].linear.bias.fill_(-1e3)
    seen = []
    model.block1.register_forward_hook(lambda m, args, y: seen.append(y.maps))
    model(torch.rand(2, 3, 32, 32))
    x = seen[0]
    assert torch.equal(x[:, 24:32], x[:, 16:24]) and not torch.equal(x[:, 32:40], x[:, 24:32])
    uses = {use.name: use for use in model.trace}
    assert uses["block1.layer2.conv2"].executed.tolist() == [0, 0]
    assert uses["block1.layer1.conv2"].executed is None


@pytest.mark.parametrize("gates", ["acs", "acs-gn", "iadi"])
def test_skipped_channel_is_not_needed(gates):
    """ACS, eq. (1): what a gate skips changes nothing later on, and costs nothing."""
    model = small(gates).eval()
    with torch.no_grad():
        model.gates.channel["block1_layer2"].linear.bias[:3] = -1e3
    x = torch.rand(2, 3, 32, 32)
    before = model(x)
    uses = {use.name: use for use in model.trace}
    assert uses["block1.layer2.conv2"].outputs[:, :3].sum() == 0
    assert uses["block1.layer3.conv1"].inputs[:, 24:27].sum() == 0
    assert uses["transition1"].inputs[:, 24:27].sum() == 0
    with torch.no_grad():
        model.block1.layer2.conv2.weight[:3] *= -1
    assert torch.equal(model(x), before)
    with torch.no_grad():
        model.gates.channel["block1_layer2"].linear.bias[:3] = 1e3
    assert not torch.equal(model(x), before)


def test_skipped_layer_asks_no_channel_gate():
    model = small("ddi").eval()
    with torch.no_grad():
        model.gates.recurrent.output.bias.fill_(-1e3)
    model(torch.rand(2, 3, 32, 32))
    costs = Accounting(model, "macs").per_layer(model.trace)
    assert costs["gates.channel.block1_layer2.conv1"].sum() == 0 < costs["gates.channel.block1_layer1.conv1"].sum()
    assert costs["block1.layer2.conv1"].sum() == 0 and costs["gates.recurrent.lstm"].sum() > 0


def test_the_layer_gate_remembers_from_layer_to_layer():
    """Along all dense layers that can be skipped, from zeros for every batch."""
    model = small("layer")
    seen = []
    model.gates.recurrent.register_forward_hook(lambda gate, args, out: seen.append((args[1], out[1])))
    model(torch.rand(2, 3, 32, 32))
    model(torch.rand(2, 3, 32, 32))
    assert len(seen) == 6 and seen[0][0] is None and seen[3][0] is None
    for before, after in zip(seen, seen[1:3]):
        assert after[0] is before[1]


@pytest.mark.parametrize("gates", DENSE_GATES)
def test_trace_is_hard_in_eval_and_names_every_layer(gates):
    model = small(gates).eval()
    model(torch.rand(3, 3, 32, 32))
    names = {use.name for use in model.trace}
    assert names == {spec.name for spec in [*model.layers(), *model.gate_layers()]}
    for use in model.trace:
        for values in (use.executed, use.inputs, use.outputs):
            assert values is None or set(values.unique().tolist()) <= {0.0, 1.0}
    Accounting(model, "macs").of(model.trace)
    model.set_gates(False)
    model(torch.rand(1, 3, 32, 32))
    assert Accounting(model, "macs").of(model.trace).item() == Accounting(model, "macs").full


def test_soft_gates_weigh_channels_by_their_probability():
    model = small("acs").train()
    model(torch.rand(3, 3, 32, 32))
    outputs = next(use.outputs for use in model.trace if use.name == "block1.layer1.conv2")
    assert ((outputs > 0) & (outputs < 1)).all()
    model.soft_gates = False
    model(torch.rand(3, 3, 32, 32))
    outputs = next(use.outputs for use in model.trace if use.name == "block1.layer1.conv2")
    assert set(outputs.unique().tolist()) <= {0.0, 1.0} and outputs.requires_grad


def test_dense_gates_cost_a_ninth_of_densenet100():
    """DDI, section III-A3: "around 11 %"."""
    model = create("densenet100", gates="iadi").eval()
    model(torch.rand(1, 3, 32, 32))
    accounting = Accounting(model, "macs")
    gates = sum(c.item() for name, c in accounting.per_layer(model.trace).items() if name.startswith("gates."))
    assert gates / accounting.full == pytest.approx(0.11, abs=0.015)


@pytest.mark.parametrize(
    "name, places",
    [
        ("densenet100", [f"block{i}_layer{layer}" for i in (1, 2, 3) for layer in (4, 12)]),
        pytest.param("densenet201", ["block1_layer3", "block2_layer3", "block3_layer36"], marks=pytest.mark.slow),
    ],
)
def test_exits_stand_where_the_paper_puts_them(name, places):
    """DDI, section IV-A, "Branch Position": at 1/4 and 3/4 of every block on CIFAR-10, three in all on ImageNet."""
    assert list(create(name, exits=True).exits) == places


def test_exits_classify_what_was_made_so_far():
    model = small("acs", exits=True)
    assert list(model.exits) == ["block1_layer1", "block1_layer2", "block2_layer1"]
    x = torch.rand(2, 3, 32, 32)
    assert [logits.shape for logits in model.train()(x)] == [(2, 10)] * 4
    model.eval()
    final, first = model(x), model.exit_logits[0]
    assert final.shape == (2, 10) and len(model.exit_logits) == 3
    names = {use.name for use in model.trace}
    assert names == {spec.name for spec in [*model.layers(), *model.gate_layers()]}
    ends = [use.name for use in model.trace if use.name.endswith("classifier")]
    assert ends == [f"exits.{key}.classifier" for key in model.exits] + ["classifier"]
    with torch.no_grad():
        model.gates.channel["block1_layer1"].linear.bias[:3] = -1e3
    model(x)
    active = next(use.inputs for use in model.trace if use.name == "exits.block1_layer1.conv1")
    assert active.shape == (2, 24) and active[:, 16:19].sum() == 0
    with torch.no_grad():
        model.block1.layer2.conv2.weight.zero_()
        model.gates.channel["block1_layer1"].linear.bias[:3] = 1e3
    model(x)
    assert torch.equal(model.exit_logits[0], first)
    model.set_exits(False)
    model(x)
    assert model.exit_logits == [] and not any(use.name.startswith("exits.") for use in model.trace)


def test_wrong_names_are_explained():
    with pytest.raises(GatefoldError, match="densenet41"):
        create("densenet42")
    with pytest.raises(GatefoldError, match="acs-gn"):
        create("densenet41", gates="none")
    with pytest.raises(GatefoldError, match="no gates"):
        create("densenet41").set_gates(True)
    with pytest.raises(GatefoldError, match="no exits"):
        create("densenet41").set_exits(True)
    with pytest.raises(GatefoldError, match="no layer 'stage9'"):
        create("densenet41").set_mode({"stage9": 1})
