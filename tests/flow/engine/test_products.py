"""What layers of several products take of the engine: what it lacks is refused by name, and what is alike lies there once."""

from dataclasses import replace

import numpy as np
import pytest

from flow.engine.cost import mode_costs
from flow.engine.plan import kernel_count, plan
from flow.engine.products import shared_weights
from flow.errors import GatefoldError
from flow.graph.lstm import Rescale
from flow.graph.random_graph import random_gated

STEP, EXCITE = "stage1.block1.step", "stage1.block1.gate1.excite"


def graph(kind, blocks=(1, 0, 0)):
    return random_gated(1, (16, 16, 16), blocks, (kind,))


def change_lstm(layer, **changes):
    layer.lstm = replace(layer.lstm, **changes)


@pytest.mark.parametrize(
    "kind, name, change, words",
    [
        ("ddi", STEP, lambda layer: setattr(layer, "rescale", Rescale(1, 48)), r"rescales its projection by 1·2\^-48"),
        ("ddi", STEP, lambda layer: change_lstm(layer, rescale=Rescale(1 << 15, 5)), r"rescales its LSTM by 32768·2\^-5"),
        ("ddi", STEP, lambda layer: setattr(layer, "bias", np.full(10, (1 << 31) - 9)), "makes sums up to [0-9]*; the engine's have 32 bits"),
        ("ddi", STEP, lambda layer: change_lstm(layer, bias=np.full(40, -(1 << 31))), "makes sums up to [0-9]*; the engine's have 32 bits"),
        ("ddi", STEP, lambda layer: change_lstm(layer, output_bias=1 << 31), "makes sums up to [0-9]*; the engine's have 32 bits"),
        ("acs", EXCITE, lambda layer: setattr(layer, "rescale", Rescale(1, 0)), r"rescales its hidden units by 1·2\^-0"),
        ("acs", EXCITE, lambda layer: setattr(layer, "bias", np.full(4, 1 << 31)), "makes sums up to [0-9]*; the engine's have 32 bits"),
        ("acs", f"{EXCITE}.output", lambda layer: setattr(layer, "factor_shift", 6), "shifts by 6 behind its factors; the engine does 7 to 22"),
    ],
)  # fmt: skip
def test_what_the_engine_lacks_is_refused(kind, name, change, words):
    made = graph(kind)
    change(made[name])
    with pytest.raises(GatefoldError, match=f"layer {name} {words}") as error:
        plan(made)
    assert "\n" not in str(error.value)


def test_an_engine_has_an_lstm_or_factors():
    made = random_gated(1, (16, 16, 16), (2, 0, 0), ("ddi", "acs"))
    with pytest.raises(GatefoldError, match=f"layer {STEP} is a step of an LSTM in a network with squeeze-and-excitation"):
        plan(made)


def test_what_is_alike_lies_there_once():
    made = random_gated(1, (16, 16, 16), (2, 0, 0), ("recurrent",))
    first, second = made.gates
    second.weight = first.weight.copy()
    layout = plan(made)
    places = [layout.products.weights[layout.products.entries[step.name]] for step in (first, second)]
    gates, output = shared_weights(first)
    assert places[0] == places[1] and len(layout.products.weight_rows) == 3
    assert layout.config.fc_depth == 10 + 2 * len(gates) + 2 * len(output) + 10  # classifier, LSTM, projection
    assert layout.config.products == 4 and layout.config.biases == 10 + 2 + 40 + 20


def test_kernels_within_groups_are_kept():
    """And those that leave a map as it is are there once."""
    made = graph("acs")
    layout, kept = plan(made), {layer.name: kernel_count(made, layer) for layer in made.layers if layer.gate}
    assert {name.rpartition(".gate")[2]: words for name, words in kept.items()} == {
        **{f"{n}.bottleneck": 8 * 16 for n in (1, 2)},
        **{f"{n}.{part}": 7 * 2 + 8 for n in (1, 2) for part in ("conv1", "conv2", "excite.output")},
    }
    assert layout.weights["stage1.block1.gate1.excite.output"] == layout.weights["stage1.block1.gate2.excite.output"]


def test_gates_are_what_they_cost():
    made = graph("acs")
    costs = mode_costs(made, "full", plan(made).config)
    assert costs[EXCITE].cycles == 4 * 1 + 8 * 1 + 28
    steps = graph("recurrent")
    assert mode_costs(steps, "full", plan(steps).config)[STEP].cycles == 10 + 41 * 2 + 44
