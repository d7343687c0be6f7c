"""What makes factors of squeeze-and-excitation with the vector unit, against its definition (`flow.graph.excite`)."""

import numpy as np
import pytest
from rtl import fault_cases, faulty, fill, pack, step, unit

from flow.engine.cost import LINEAR_OVERHEAD, Unplanned, vector_cycles
from flow.engine.images import fc_words
from flow.engine.products import place_products
from flow.graph.excite import Expand, factors
from flow.graph.layers import Layer
from flow.graph.lstm import Rescale
from flow.simulation.library import Model

SHAPES = ((12, 4), (7, 5))  # channels, hidden units


def excites(seed):
    rng = np.random.default_rng(seed)
    return [
        Layer(f"excite{number}", "excite", rng.integers(-127, 128, (hidden, channels)), bias=rng.integers(-99999, 99999, hidden),
              rescale=Rescale.of(1e-4), expand=Expand(rng.integers(-127, 128, (channels, hidden)), rng.integers(-900, 900, channels),
                                                      Rescale.of(0.8)))
        for number, (channels, hidden) in enumerate(SHAPES)
    ]  # fmt: skip


def run_layers(lanes, folder):
    """Two layers in turn, with random sums: every factor and every length."""
    layers = excites(lanes)
    placed, words, biases = place_products(layers, lanes, 1, 2)
    weights, values = [0] * words, [0] * biases
    for first, rows in placed.weight_rows:
        made = fc_words(rows, lanes)
        weights[first : first + len(made)] = made
    for first, row in placed.bias_rows:
        values[first : first + len(row)] = row.tolist()
    sizes = {"V": lanes, "INNER": 5, "FACTORS": 16, "PRODUCTS": 4, "DEPTH": words, "BIASES": biases}
    rng, seen = np.random.default_rng(1), set()
    library = unit("excite_bench", folder, "excite_bench.sv", **sizes)
    with Model(library, clock="clk", reset="rst_n", random_reset=3) as model:
        model.reset()
        biases = [value & 0xFFFFFFFF for value in values]
        for memory, rows, width in (("fc_weights", weights, 8 * lanes), ("fc_bias", biases, 32), ("products", placed.words(), 53)):
            fill(model, memory, rows, width)
        for turn in range(6):
            layer, up = layers[turn % 2], (0, 15, 12)[turn % 3]
            sums = rng.integers(0, 961, 4 * lanes)
            step(model, start=1, channels=layer.in_channels, hidden=layer.out_channels, entry=placed.entries[layer.name], up=up)
            length = 1
            while not model.read("done"):
                assert length < 900, "the layer does not end"
                address = model.read("pool_addr")
                step(model, start=0)
                model.write("pool_data", pack(sums[lanes * address : lanes * (address + 1)], 10))
                model.run(0)
                length += 1
            assert length == vector_cycles(layer, Unplanned(v=lanes)) - LINEAR_OVERHEAD + 8
            expected = factors(layer, sums[None, : layer.in_channels])[0]
            for channel, factor in enumerate(expected.tolist()):
                step(model, factor_addr=channel)
                assert model.read("factor") == factor << up, (turn, channel)
            seen.update(expected.tolist())
    assert len(seen) > 20


@pytest.mark.parametrize("lanes", [4, pytest.param(16, marks=pytest.mark.slow)])
def test_factors(lanes, tmp_path):
    run_layers(lanes, tmp_path)


FAULTS = [
    ("engine_excite", "value[15] ? 4'd0", "value[15] ? 4'd15"),
    ("engine_excite", "(|value[14:4]) ? 4'd15", "(|value[14:5]) ? 4'd15"),
    ("engine_excite", "layer.dst_base + 8'(expand)", "layer.dst_base"),
    ("engine_excite", "expand ? layer.in_count : layer.out_count;", "layer.out_count;"),
    ("engine_excite", "next <= rst_n && last && !expand;", "next <= rst_n && value_valid && value_index == '0 && !expand;"),
    ("engine_excite", "if (made_valid) factors[made_at]", "if (made_valid) factors[made_at + 1'b1]"),
]


@pytest.mark.parametrize("module, old, new", fault_cases(FAULTS))
def test_a_fault_is_found(module, old, new, tmp_path, monkeypatch):
    faulty(module, old, new, tmp_path, monkeypatch)
    with pytest.raises(AssertionError):
        run_layers(4, tmp_path)
