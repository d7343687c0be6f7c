"""What makes a step of an LSTM of the vector unit, alone and together, against its definition (`flow.graph.lstm`)."""

from dataclasses import replace

import numpy as np
import pytest
from rtl import fault_cases, faulty, fill, pack, step, unit

from flow.engine.cost import LINEAR_OVERHEAD, Unplanned, vector_cycles
from flow.engine.images import fc_words
from flow.engine.products import place_products
from flow.graph.layers import Layer
from flow.graph.lstm import LIMIT, Lstm, Rescale
from flow.simulation.library import Model

HIDDEN, CHANNELS = 5, 7


def signed(value, width):
    return value - (value >> width - 1 << width)


@pytest.mark.parametrize(
    "rescale", [Rescale(1 << 14, 1), Rescale(32767, 14), Rescale(20000, 22), Rescale(32767, 47), Rescale(0, 5)]
)
def test_rescaling_rounds_and_saturates(rescale, tmp_path):
    rng = np.random.default_rng(rescale.shift)
    edge = (LIMIT << rescale.shift) // max(rescale.multiplier, 1)
    sums = np.concatenate([[0, -1, 1, -(1 << 31), (1 << 31) - 1, *(sign * edge + off for sign in (-1, 1) for off in range(-3, 4))],
                           rng.integers(-(1 << 31), 1 << 31, 50), rng.integers(-9999, 9999, 50)]).clip(-(1 << 31), (1 << 31) - 1)  # fmt: skip
    seen = []
    with Model(unit("engine_rescale", tmp_path), clock="clk", reset="rst_n", random_reset=3) as model:
        model.reset()
        for index, value in enumerate([*sums, *[0] * 6]):
            constants = {"multiplier": rescale.multiplier, "shift": rescale.shift}
            step(model, valid=index < len(sums), index=index % 512, sum=value & 0xFFFFFFFF, **constants)
            if model.read("value_valid"):
                assert model.read("value_index") == len(seen)
                seen.append(signed(model.read("value"), 16))
    assert seen == rescale(sums.astype(np.int64)).tolist()


@pytest.mark.parametrize("words", [1, 2, 5])
def test_cells_and_hidden_values(words, tmp_path):
    """Values from small to saturated, `words` cycles apart, over steps that keep their cells, and cells that are cleared."""
    rng = np.random.default_rng(words)
    nothing = np.zeros((4 * HIDDEN, 2 * HIDDEN), np.int64)
    lstm = Lstm(nothing, nothing[:, 0], Rescale(2, 1), nothing[:HIDDEN, 0], 0)  # the biases are the values
    with Model(unit("engine_cell", tmp_path, HIDDEN=HIDDEN), clock="clk", reset="rst_n", random_reset=3) as model:
        model.reset()
        for number in range(24 + 136 * (words == 1)):
            if number % 8 == 0 and number <= 24:
                for cleared in range(HIDDEN):
                    step(model, clear=1, clear_unit=cleared, valid=0)
                state = lstm.start(1)
                step(model, clear=0)
            gates = rng.integers(*((-700, 700), (-3000, 3000), (-LIMIT, LIMIT + 1))[number % 3], (4, HIDDEN))
            if number % 8 > 3:
                gates[1] = rng.choice([300, 5000], HIDDEN)  # cells that grow
            if number >= 24:  # and saturate
                gates[:2], gates[2] = 5000, np.resize([5000, -5000], HIDDEN)
            _, state = replace(lstm, bias=gates.reshape(-1)).step(np.zeros((1, HIDDEN), np.int64), state)
            seen, values = [], gates.T.reshape(-1)
            for cycle in range(words * 4 * HIDDEN + 10):
                at, sends = divmod(cycle, words)
                sends = sends == 0 and at < len(values)
                step(model, valid=sends, index=min(at, len(values) - 1), value=int(values[at]) & 0xFFFF if sends else 0x1234)
                if model.read("made"):
                    assert model.read("unit") == len(seen)
                    seen.append(signed(model.read("hidden"), 10))
            assert seen == state[0][0].tolist(), number


def steps(lanes):
    """Two steps of one LSTM with random weights, placed behind a word and the bias of each decision."""
    rng = np.random.default_rng(lanes)
    lstm = Lstm(rng.integers(-127, 128, (4 * HIDDEN, 2 * HIDDEN)), rng.integers(-60000, 60000, 4 * HIDDEN), Rescale.of(1 / 90),
                rng.integers(-127, 128, HIDDEN), 77)  # fmt: skip
    layers = [
        Layer(f"step{number}", "lstm", rng.integers(-127, 128, (HIDDEN, CHANNELS)), bias=rng.integers(-99999, 0, HIDDEN),
              rescale=Rescale.of(factor), lstm=lstm) for number, factor in enumerate((0.01, 0.003))
    ]  # fmt: skip
    return layers, *place_products(layers, lanes, 1, 2)


def run_steps(lanes, folder):
    """Frames of three steps, with pauses of some cycles in front of them; every score and every length."""
    layers, placed, words, biases = steps(lanes)
    weights, values = [0] * words, [layers[0].lstm.output_bias] * 2 + [0] * (biases - 2)
    for first, rows in placed.weight_rows:
        made = fc_words(rows, lanes)
        weights[first : first + len(made)] = made
    for first, row in placed.bias_rows:
        values[first : first + len(row)] = row.tolist()
    sizes = {"V": lanes, "HIDDEN": HIDDEN, "PRODUCTS": 4, "DEPTH": words, "BIASES": biases}
    rng, lstm = np.random.default_rng(1), layers[0].lstm
    with Model(unit("recurrent_bench", folder, "recurrent_bench.sv", **sizes), clock="clk", reset="rst_n", random_reset=3) as model:
        model.reset()
        for memory, rows, width in (
            ("fc_weights", weights, 8 * lanes),
            ("fc_bias", [value & 0xFFFFFFFF for value in values], 32),
            ("products", placed.words(), 53),
        ):
            fill(model, memory, rows, width)
        step(model, start=0, finish=0)
        for frame in range(3):
            state = lstm.start(1)
            model.cycles(HIDDEN + frame)
            for number in (0, 1, 1):
                layer, sums = layers[number], rng.integers(0, 961, (2 * lanes,))
                used = sums[None, :CHANNELS]
                _, state = lstm.step(layer.rescale(used @ layer.weight.T + layer.bias), state)
                step(model, start=1, in_count=CHANNELS, entry=placed.entries[layer.name], decision=number)
                scores, length = [], 1
                while not model.read("done"):
                    assert length < 900, "the step does not end"
                    address = model.read("pool_addr")
                    step(model, start=0)
                    model.write("pool_data", pack(sums[lanes * address : lanes * (address + 1)], 10))
                    model.run(0)
                    length += 1
                    if model.read("score_valid"):
                        scores.append(signed(model.read("score"), 32))
                assert scores == lstm.score(state).tolist(), (frame, number)
                step(model, start=0)  # the sequencer takes three cycles
                assert length == vector_cycles(layer, Unplanned(v=lanes)) - LINEAR_OVERHEAD + 8
            step(model, finish=1)
            step(model, finish=0)


@pytest.mark.parametrize("lanes", [16, *(pytest.param(lanes, marks=pytest.mark.slow) for lanes in (4, 32))])
def test_steps_of_frames(lanes, tmp_path):
    run_steps(lanes, tmp_path)


FAULTS = [
    ("engine_recurrent", "if (!rst_n || finish) begin", "if (!rst_n) begin"),
    ("engine_recurrent", "{half ^ made, ", "{half, "),
    ("engine_recurrent", "else if (stepped) half <= !half;", "else if (projected) half <= !half;"),
    ("engine_recurrent", "next <= rst_n && (projected || stepped);", "next <= rst_n && (stepped || (made && unit == '0));"),
    ("engine_cell", "localparam int unsigned WAIT = 4;", "localparam int unsigned WAIT = 3;"),
    ("engine_cell", "if (summed) cell_value", "cell_value"),
    ("engine_cell", "whole > 19'sd32767", "whole > 19'sd65535"),
    ("engine_rescale", "{shifted[16], shifted[16:0]} + 18'd1", "{shifted[16], shifted[16:0]}"),
    ("engine_sigmoid", "size >= 17'd608", "size >= 17'd600"),
]


@pytest.mark.parametrize("module, old, new", fault_cases(FAULTS))
def test_a_fault_is_found(module, old, new, tmp_path, monkeypatch):
    faulty(module, old, new, tmp_path, monkeypatch)
    with pytest.raises(AssertionError):
        for words in (1, 2):
            test_cells_and_hidden_values(words, tmp_path)
        run_steps(16, tmp_path)
