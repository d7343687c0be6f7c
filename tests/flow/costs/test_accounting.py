"""Costs against counts by hand, all-ones masks against the mode, cycles against the engine's own model."""

import math

import pytest
import torch

from flow import models
from flow.costs import UNITS, Accounting
from flow.costs.energy import UNIT_ENERGY, group_accesses
from flow.engine.config import Folding
from flow.engine.cost import Unplanned, frame_cost, mode_costs
from flow.errors import GatefoldError
from flow.export.from_model import layer_graph
from flow.nn.modes import MODES, group_vector
from flow.nn.spec import LayerSpec
from flow.nn.trace import Trace, Use


@pytest.fixture(scope="module")
def resnet8():
    return models.initialise(models.create("resnet8"))


class Small:
    """Two convolutions and a classifier without weights, and a shared gate."""

    specs = [
        LayerSpec("a", "conv", 4, 8, 3, 1, 8, 8, (1, 2), input="before"),
        LayerSpec("b", "conv", 8, 4, 1, 2, 8, 4, (1, 2), input="a"),
        LayerSpec("c", "linear", 4, 3, 1, 1, 1, 1, (1,), input="b"),
    ]
    gates = [LayerSpec("gate", "linear", 5, 2, 1, 1, 1, 1, (1,), input="a")]

    def layers(self):
        return self.specs

    def gate_layers(self):
        return self.gates


def ones(model, vector, images=2):
    return Trace(
        Use(s.name, vector[s.name], torch.ones(images), torch.ones(images, s.in_channels), torch.ones(images, s.out_channels))
        for s in model.layers()
    )


def test_resnet8_macs_and_weights_by_hand(resnet8):
    """Layer by layer: channels in x out x kernel^2 (x pixels)."""
    shapes = [(3, 16, 9, 1024)] + [(16, 16, 9, 1024)] * 2
    shapes += [(16, 32, 1, 256), (16, 32, 9, 256), (32, 32, 9, 256), (32, 64, 1, 64), (32, 64, 9, 64), (64, 64, 9, 64)]
    shapes += [(64, 10, 1, 1)]
    assert Accounting(resnet8, "macs").full == sum(i * o * k * p for i, o, k, p in shapes)
    assert Accounting(resnet8, "params").full == sum(i * o * k for i, o, k, _ in shapes)


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("stride", [1, 2])
def test_products_of_n_groups(n, stride):
    """WeNet, eq. (3), and the cost of eq. (1): T_n = T_1 / n, with one product per output pixel, weight and channel pair."""
    model = Small()
    model.specs = [
        LayerSpec("x", "conv", 16, 32, 3, stride, 8 * stride, 8, (1, 2, 4, 8, 16), input="image"),
        LayerSpec("y", "linear", 32, 16, 1, 1, 1, 1, (1, 2, 4, 8, 16), input="x"),
    ]
    costs = Accounting(model, "macs").layer_costs({"x": n, "y": n})
    assert costs == {"x": 8 * 8 * 16 * 32 * 3 * 3 / n, "y": 32 * 16 / n}


def test_full_follows_the_active_mode(resnet8):
    accounting = Accounting(resnet8, "macs")
    resnet8.set_mode("1/4")
    assert accounting.full == accounting.of_mode("1/4") < accounting.of_mode("full")
    resnet8.set_mode("full")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("unit", UNITS)
def test_masks_of_ones_cost_the_mode(resnet8, unit, mode):
    accounting = Accounting(resnet8, unit)
    total = accounting.of(ones(resnet8, group_vector(resnet8, mode)))
    assert total.tolist() == pytest.approx([accounting.of_mode(mode)] * 2, rel=1e-12)


@pytest.mark.parametrize("config", [Folding(), Folding(p=32, pe=1, r=8)])
@pytest.mark.parametrize("mode", MODES)
def test_cycles_of_ones_are_the_engines(resnet8, mode, config):
    graph = layer_graph(resnet8)
    accounting = Accounting(resnet8, "cycles", config)
    trace = ones(resnet8, group_vector(resnet8, mode), 1)
    assert accounting.of(trace).item() == frame_cost(graph, mode, Unplanned.of(config)).cycles
    expected = {name: cost.cycles for name, cost in mode_costs(graph, mode, Unplanned.of(config)).items()}
    assert {name: int(cost) for name, cost in accounting.per_layer(trace).items()} == expected


def engine_cycles(inputs, outputs, n, blocks, p, pe, r):
    """The formula of docs/architecture.md, tuple by tuple, for 0/1 lists; with gates a tuple of one output takes as long as one of two."""
    cycles = 0
    for g in range(n):
        active_in = sum(inputs[g * len(inputs) // n : (g + 1) * len(inputs) // n])
        left = sum(outputs[g * len(outputs) // n : (g + 1) * len(outputs) // n])
        while left > 0:
            cycles += max(active_in, math.ceil(p * pe / r), 1)
            left -= pe
    return blocks * cycles + 17 + pe * p // r


@pytest.mark.parametrize("config", [Folding(), Folding(r=8), Folding(p=32, pe=1, r=16)])
@pytest.mark.parametrize("n", [1, 2, 4, 16])
def test_cycles_of_hard_masks(n, config):
    spec = LayerSpec("x", "conv", 32, 64, 3, 1, 16, 16, (1, 2, 4, 16), input="before")
    model = Small()
    model.specs = [spec]
    generator = torch.Generator().manual_seed(n)
    inputs = (torch.rand(8, 32, generator=generator) < torch.linspace(0, 1, 8)[:, None]).float()
    outputs = (torch.rand(8, 64, generator=generator) < torch.linspace(1, 0, 8)[:, None]).float()
    cost = Accounting(model, "cycles", config).of(Trace([Use("x", n, None, inputs, outputs)]))
    blocks = 256 // config.p
    expected = [engine_cycles(i, o, n, blocks, config.p, config.pe, config.r) for i, o in zip(inputs.tolist(), outputs.tolist())]
    assert cost.tolist() == expected


@pytest.mark.parametrize(
    "config, cycles, per_input, per_output",
    [
        (Folding(p=32, pe=2, r=64), 2 * 2 * 1.2 * 2.4 / 2 + 17 + 1, 2 * 2.4 / 2, 2 * 1.2 / 2),
        (Folding(p=32, pe=1, r=64), 2 * 2 * 1.2 * 2.4 + 17 + 0, 2 * 2.4, 2 * 1.2),
        (Folding(p=64, pe=2, r=64), 1 * 2 * 2 * 2.4 / 2 + 17 + 2, 0, 2 / 2),  # the requantisers set the pace
        (Folding(p=32, pe=2, r=8), 2 * 2 * 8 * 2.4 / 2 + 17 + 8, 0, 2 * 8 / 2),
    ],
)
def test_cycles_between_0_and_1_by_hand(config, cycles, per_input, per_output):
    """Blocks of 64 pixels, two groups of 4/2 inputs and 8/2 outputs that are each on with 0.6: 1.2 inputs, 2.4 outputs a group."""
    inputs, outputs = torch.full((1, 4), 0.6, requires_grad=True), torch.full((1, 8), 0.6, requires_grad=True)
    cost = Accounting(Small(), "cycles", config).of(Trace([Use("a", 2, None, inputs, outputs)]))
    cost.backward()
    assert cost.item() == pytest.approx(cycles)
    assert inputs.grad.tolist() == [pytest.approx([per_input] * 4)] and outputs.grad.tolist() == [pytest.approx([per_output] * 8)]


def test_macs_of_masks_by_hand():
    inputs = torch.tensor([[1.0, 0, 1, 1], [0, 0, 1, 1]])
    outputs = torch.tensor([[1.0, 1, 0, 0, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0, 0, 0]])
    accounting = Accounting(Small(), "macs")
    dense = accounting.of(Trace([Use("a", 1, None, inputs, outputs)]))
    grouped = accounting.of(Trace([Use("a", 2, None, inputs, outputs)]))
    assert dense.tolist() == [3 * 3 * 9 * 64, 2 * 4 * 9 * 64]
    assert grouped.tolist() == [(1 * 2 + 2 * 1) * 9 * 64, 0]


def test_a_skipped_layer_costs_nothing_and_gates_are_counted():
    run = torch.tensor([1.0, 0.0])
    trace = Trace([Use("gate"), Use("a", 1, run), Use("gate"), Use("b", 2), Use("c")])
    costs = Accounting(Small(), "macs").per_layer(trace)
    assert costs["a"].tolist() == [4 * 8 * 9 * 64, 0]
    assert costs["b"].tolist() == [8 * 4 // 2 * 16] * 2
    assert costs["gate"].tolist() == [2 * 10] * 2
    assert Accounting(Small(), "params").per_layer(trace)["gate"].tolist() == [10] * 2
    for unit in UNITS:
        accounting = Accounting(Small(), unit)
        assert accounting.per_layer(trace)["a"][1] == 0
        torch.testing.assert_close(accounting.of(trace), sum(accounting.per_layer(trace).values()))


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize("unit", UNITS)
def test_the_gradient_reaches_every_decision(unit, hard):
    p = {key: torch.full(shape, 0.6, requires_grad=True) for key, shape in
         {"run": (2,), "inputs": (2, 4), "outputs": (2, 8)}.items()}  # fmt: skip
    used = {key: (value >= 0.5).float() + value - value.detach() if hard else value for key, value in p.items()}
    trace = Trace([Use("a", 2, used["run"], used["inputs"], used["outputs"]), Use("c")])
    Accounting(Small(), unit, Folding(p=32, pe=1, r=64)).of(trace).sum().backward()
    for key, value in p.items():
        assert (value.grad > 0).all(), key


def test_energy_equation():
    """E = sum #acc_i e_i + #MAC e_MAC, written out for one grouped layer with all channels active."""
    spec = Small.specs[0]
    counts = group_accesses(spec, 2)
    macs = 4 * 8 * 9 * 64 // 2
    cache = 2 * (counts.cache_inputs + counts.cache_weights + counts.cache_outputs)
    main = 2 * (counts.main_inputs + counts.main_weights + counts.main_outputs)
    e = UNIT_ENERGY
    expected = 4 * macs * e["register"] + cache * e["cache"] + main * e["main"] + macs * e["mac"]
    assert Accounting(Small(), "energy").of(Trace([Use("a", 2)])).item() == pytest.approx(expected, rel=1e-12)


def test_energy_is_the_sum_over_the_memories():
    trace = Trace([Use("gate"), Use("a", 2), Use("gate"), Use("b", 1), Use("c")])
    energy, macs, *accesses = (
        Accounting(Small(), unit).of(trace).item() for unit in ("energy", "macs", "register", "cache", "main")
    )
    e = UNIT_ENERGY
    expected = macs * e["mac"] + sum(count * e[memory] for count, memory in zip(accesses, ("register", "cache", "main")))
    assert energy == pytest.approx(expected, rel=1e-12) and accesses[0] == 4 * macs and min(accesses) > 0


def test_energy_of_masks_by_hand():
    """Products, their weights and the cache follow the pairs of active channels; maps in main memory follow the channels."""
    inputs = torch.tensor([[1.0, 0, 1, 0]])
    outputs = torch.tensor([[1.0, 1, 1, 0, 0, 0, 0, 0]])
    counts, e = group_accesses(Small.specs[0], 1), UNIT_ENERGY
    macs = 2 * 3 * 9 * 64
    pairs = 2 * 3 / (4 * 8)
    cache = pairs * (counts.cache_inputs + counts.cache_weights + counts.cache_outputs)
    main = counts.main_inputs * 2 / 4 + counts.main_outputs * 3 / 8 + pairs * counts.main_weights
    expected = 4 * macs * e["register"] + cache * e["cache"] + main * e["main"] + macs * e["mac"]
    assert Accounting(Small(), "energy").of(Trace([Use("a", 1, None, inputs, outputs)])).item() == pytest.approx(
        expected, rel=1e-12
    )


def test_shared_gates_load_their_weights_once():
    """EnergyNet, section 2: its gates share their weights "to further reduce the energy cost due to loading parameters"."""
    counts = group_accesses(Small.gates[0], 1)
    once = 200 * counts.main_weights
    accounting = Accounting(Small(), "energy")
    one, two = (accounting.of(Trace([Use("gate")] * times)).item() for times in (1, 2))
    assert two == pytest.approx(2 * (one - once) + once, rel=1e-12) and once > 0
    run = Trace([Use("gate", executed=torch.tensor([1.0, 0, 1])), Use("gate", executed=torch.tensor([1.0, 1, 0]))])
    assert accounting.of(run).tolist() == pytest.approx([two, one, one], rel=1e-12)


def test_what_does_not_belong_together_is_refused():
    with pytest.raises(GatefoldError, match="cost unit 'watts'"):
        Accounting(Small(), "watts")
    with pytest.raises(GatefoldError, match="layer 'z'"):
        Accounting(Small(), "macs").of(Trace([Use("z")]))
    with pytest.raises(GatefoldError, match="batches"):
        Accounting(Small(), "macs").of(Trace([Use("a", 1, torch.ones(2)), Use("b", 1, torch.ones(3))]))
