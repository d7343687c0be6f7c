"""The units behind the vector unit that make a step of an LSTM, against its definition (`flow.graph.lstm`)."""

from dataclasses import replace

import numpy as np
import pytest
from rtl import step, unit

from flow.graph.lstm import LIMIT, Lstm, Rescale
from flow.simulation.library import Model

HIDDEN = 5


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
            step(
                model,
                valid=index < len(sums),
                index=index % 512,
                sum=value & 0xFFFFFFFF,
                multiplier=rescale.multiplier,
                shift=rescale.shift,
            )
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
        for number in range(24):
            if number % 8 == 0:
                for cleared in range(HIDDEN):
                    step(model, clear=1, clear_unit=cleared, valid=0)
                state = lstm.start(1)
                step(model, clear=0)
            gates = rng.integers(*((-700, 700), (-3000, 3000), (-LIMIT, LIMIT + 1))[number % 3], (4, HIDDEN))
            if number % 8 > 3:
                gates[1] = rng.choice([300, 5000], HIDDEN)  # cells that grow
            _, state = replace(lstm, bias=gates.reshape(-1)).step(np.zeros((1, HIDDEN), np.int64), state)
            seen, values = [], gates.T.reshape(-1)
            for cycle in range(words * 4 * HIDDEN + 8):
                at, sends = divmod(cycle, words)
                sends = sends == 0 and at < len(values)
                step(model, valid=sends, index=min(at, len(values) - 1), value=int(values[at]) & 0xFFFF if sends else 0x1234)
                if model.read("made"):
                    assert model.read("unit") == len(seen)
                    seen.append(signed(model.read("hidden"), 10))
            assert seen == state[0][0].tolist(), number
