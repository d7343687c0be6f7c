"""Gated networks: the model in PyTorch and its layer graph take the same decisions and make the same integers."""

import numpy as np
import pytest
import torch

from flow.costs import cycles
from flow.costs.activity import activity
from flow.engine.config import Folding
from flow.engine.cost import Unplanned, layer_cost, packs
from flow.export.from_model import layer_graph
from flow.export.gate_groups import arrange
from flow.graph.integer import run
from flow.graph.layers import Setting, shuffle_slots
from flow.models import create, initialise
from flow.nn.dynamic_group import DynamicGroupConv2d
from flow.nn.trace import Use

KINDS = ("layer", "ddi", "channel", "pooled", "ffgate-1", "ffgate-2", "acs-gn", "acs-gn-4", "acs")
MODES = ("full", "1/4", "1/16")


def images(count):
    return np.random.default_rng(5).integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def gated(kind, name="resnet8", ungated=False, seed=3):
    """Random weights; gates whose decisions differ from image to image, and networks that differ with and without them."""
    torch.set_num_threads(1)
    model = initialise(create(name, gates=kind, ungated=ungated), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.endswith("linear.bias"):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
            elif key.endswith("-ungated.bias"):
                parameter += 0.3
    if getattr(model.gates, "layer", None) is not None and kind in ("layer", "ddi"):
        steps = []  # a bias of the output between the scores of eight images
        model.gates.layer.output.bias.data.zero_()
        hook = model.gates.layer.register_forward_hook(lambda m, a, y: steps.append(torch.logit(y[0])))
        model.exact = False
        with torch.no_grad():
            model(torch.from_numpy(images(8)).permute(0, 3, 1, 2).float() / 255)
        hook.remove()
        model.exact = True
        model.gates.layer.output.bias.data.fill_(-float(torch.cat(steps).median()))
    centre_gates(model, images(8))
    return model.eval()


def centre_gates(model, images):
    """Let every gate in turn decide about half and half."""
    for name, spec in model.exact_gate_layers().items():
        if spec.kind == "linear" and name.endswith(".linear"):
            unit, integers = model.get_submodule(name), model.integer_layer(name)
            station = model.integer_stations(images)[spec.input].sum(axis=(2, 3))
            scores = np.median(station @ integers.weight.T, axis=0)
            unit.bias.data += torch.from_numpy(-(scores + integers.bias) * integers.logit_scale).to(unit.bias)


def check(model, graph, pictures, mode):
    planes = pictures.transpose(0, 3, 1, 2)
    model.set_gates(mode not in graph.ungated)
    model.set_mode(mode.removesuffix(" ungated"))
    stations, got = model.integer_stations(pictures), run(graph, planes, mode)
    assert [name for name in stations if name != "pool"] == [name for name in got.stations if not name.endswith(".pool")]
    for layer in graph.executed(mode):
        if layer.name.endswith(".pool"):
            continue
        expected = stations[layer.name]
        if layer.shuffle:
            expected = np.empty_like(expected)
            expected[:, shuffle_slots(layer.out_channels)] = stations[layer.name]
        if layer.pool:
            expected = expected.sum(axis=(2, 3))
        found = got.stations[layer.name]
        if layer.valid:
            found = found[:, :, : layer.valid[0], : layer.valid[1]] if found.ndim == 4 else found
        assert np.array_equal(expected, found), (mode, layer.name)
    assert all(np.array_equal(stations[name], rows) for name, rows in got.decisions.items())
    return got


@pytest.mark.parametrize("kind", KINDS)
def test_model_and_layer_graph_agree(kind):
    model, pictures = gated(kind, ungated=True), images(4)
    graph = layer_graph(model)
    assert graph.ungated == {f"{mode} ungated" for mode in ("full", "1/2", "1/4", "1/8", "1/16")}
    results = {mode: check(model, graph, pictures, mode) for full in MODES for mode in (full, f"{full} ungated")}
    taken = np.concatenate([rows.reshape(-1) for rows in results["full"].decisions.values()])
    assert 0.1 < taken.mean() < 0.9 and not results["full ungated"].decisions
    forced = {gate.name: np.ones(gate.decisions, int) for gate in graph.gates}
    without = run(graph, pictures.transpose(0, 3, 1, 2), "full", forced=forced).logits
    assert not np.array_equal(without, results["full ungated"].logits), "statistics of its own"


def test_a_network_trained_with_gates_only_runs_without_them_too():
    model, pictures = gated("channel"), images(2)
    graph = layer_graph(model)
    assert list(graph.modes) == ["full", "full ungated"] and graph.ungated == {"full ungated"}
    check(model, graph, pictures, "full ungated")
    forced = {gate.name: np.ones(gate.decisions, int) for gate in graph.gates}
    run_on = run(graph, pictures.transpose(0, 3, 1, 2), "full", forced=forced)
    assert np.array_equal(run_on.logits, run(graph, pictures.transpose(0, 3, 1, 2), "full ungated").logits)


def test_order_masks_and_sizes():
    """Gates come before the block, the shortcut behind them; a gate of the second convolution comes before that."""
    graph = layer_graph(gated("channel"))
    names = [layer.name for layer in graph.layers]
    key = "gates.channel.stage2_block1"
    start = names.index(f"{key}.conv")
    assert names[start : start + 5] == [
        f"{key}.conv",
        f"{key}.linear",
        *(f"stage2.block1.{part}" for part in ("shortcut", "conv1", "conv2")),
    ]
    for part in ("conv1", "conv2"):
        assert graph[f"stage2.block1.{part}"].mask == f"{key}.linear" and graph[f"stage2.block1.{part}"].when is None
    assert graph["stage2.block1.shortcut"].mask is None
    last = graph["gates.channel.stage3_block1.conv"]
    assert (last.in_size, last.out_size, last.valid, last.pool, last.gate) == (16, 8, None, True, True)
    graph = layer_graph(gated("acs-gn-4"))
    names = [layer.name for layer in graph.layers]
    after = names[names.index("stage3.block1.conv1") + 1 :]
    key = "gates.conv2.stage3_block1"
    assert after[:5] == [*(f"{key}.{part}" for part in ("bottleneck", "conv1", "conv2", "linear")), "stage3.block1.conv2"]
    assert graph["stage3.block1.conv1"].mask == "gates.conv1.stage3_block1.linear"
    assert graph["stage3.block1.conv2"].mask == f"{key}.linear"
    assert graph[f"{key}.conv2"].valid == (4, 4) and graph.setting(
        "1/2" if "1/2" in graph.modes else "full", graph[f"{key}.conv2"]
    ) == Setting(4)
    graph = layer_graph(gated("ffgate-2"))
    assert graph["stage1.block1.conv1"].when == graph["stage1.block1.conv2"].when == "gates.layer.stage1_block1.linear"


def test_resnet38():
    model, pictures = gated("channel", "resnet38"), images(2)
    check(model, layer_graph(model), pictures, "full")


@pytest.mark.parametrize("seed", range(3))
def test_dynamic_groups_are_grouped_convolutions(seed):
    """Whatever was learned, nothing is connected beyond a group, and the gates decide as in PyTorch."""
    model, pictures, generator = gated("acs"), images(4), torch.Generator().manual_seed(seed)
    for name, parameter in model.gates.named_parameters():
        if name.endswith("conv.gate"):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    centre_gates(model, pictures)
    graph, stations = layer_graph(model), model.integer_stations(pictures)
    got = run(graph, pictures.transpose(0, 3, 1, 2), "full")
    assert np.array_equal(stations["classifier"], got.logits)
    assert all(np.array_equal(stations[name], rows) for name, rows in got.decisions.items())
    counts = [graph.groups("full", layer) for layer in graph.layers if layer.gate and layer.kernel == 3]
    assert len(set(counts)) > 2
    for layer in graph.layers:
        if layer.gate:
            rest, groups = layer.weight.copy(), graph.groups("full", layer)
            per_out, per_in = layer.out_channels // groups, layer.in_channels // groups
            for number in range(groups):
                rest[number * per_out : (number + 1) * per_out, number * per_in : (number + 1) * per_in] = 0
            assert not rest.any(), layer.name


def test_one_order_of_channels_serves_two_groupings():
    """Where one's bits are among the other's both have their own group counts, else the coarser one has those that they share."""

    def conv(*gate):
        made = DynamicGroupConv2d(16, 3)
        made.gate.data = torch.tensor(gate, dtype=torch.float32)
        return made

    order, groups = arrange(conv(1, -1, 1, 1), conv(-1, -1, 1, -1))
    assert groups == (2, 8) and order[:8].tolist() == [number for number in order if not number & 4][:8]
    assert {frozenset(order[at : at + 2].tolist()) for at in range(0, 16, 2)} == {
        frozenset((n, n | 2)) for n in range(16) if not n & 2
    }
    assert arrange(conv(1, -1, 1, -1), conv(-1, -1, 1, 1))[1] == (4, 2)  # they share the second bit
    assert arrange(conv(-1, -1, -1, -1), conv(1, 1, 1, 1))[1] == (8, 1)  # sixteen groups of one would take longer
    order, groups = arrange(*[DynamicGroupConv2d(16, 3, groups=4)] * 2)
    assert order.tolist() == list(range(16)) and groups == (4, 4)


def test_steps_of_an_lstm():
    """One before each block, all with the same weights; a block's channel gate is not asked where its step says no."""
    graph = layer_graph(gated("ddi"))
    steps = [layer for layer in graph.layers if layer.kind == "lstm"]
    assert [(step.name, step.input, step.weight.shape, step.decisions) for step in steps] == [
        ("gates.layer.stage1_block1", "stem", (10, 16), 1),
        ("gates.layer.stage2_block1", "stage1.block1.conv2", (10, 16), 1),
        ("gates.layer.stage3_block1", "stage2.block1.conv2", (10, 32), 1),
    ]
    assert all(step.lstm.same(steps[0].lstm) for step in steps)
    for layer in (
        "gates.channel.stage2_block1.conv",
        "gates.channel.stage2_block1.linear",
        "stage2.block1.conv1",
        "stage2.block1.conv2",
    ):
        assert graph[layer].when == "gates.layer.stage2_block1"
    assert graph["stage2.block1.shortcut"].when is None


@pytest.mark.parametrize("kind", ["channel", "ffgate-2", "acs-gn"])
def test_training_counts_cycles_of_packed_layers_as_the_engine_does(kind):
    model = create("resnet20", gates=kind)
    graph = layer_graph(model)
    config = Unplanned.of(Folding(), pack=1)
    specs = {name: spec for name, spec in model.exact_gate_layers().items() if spec.kind == "conv"}
    packed = {layer.name for layer in graph.layers if packs(layer)}
    assert packed == {name for name, spec in specs.items() if cycles.packs(spec)}
    assert bool(packed) == (kind != "acs-gn")
    for name in packed:
        counted = cycles.layer_cycles(specs[name], activity(specs[name], Use(name, 1)), config)
        assert counted.item() == layer_cost(graph[name], 1, config).cycles
