"""The LSTM of the gates in fixed point: against one number at a time, and near the one in real numbers."""

import math

import numpy as np
import pytest
import torch

from flow.errors import GatefoldError
from flow.graph.integer import run
from flow.graph.layers import LayerGraph
from flow.graph.lstm import LIMIT, Lstm, Rescale, sigmoid, tanh
from flow.graph.random_graph import random_gated
from flow.nn import fixed_point


def plan(z):
    """Of one integer in units of 1/256, as the paper's table has it."""
    size = abs(z)
    if size >= 1280:
        made = 256
    elif size >= 608:
        made = size // 32 + 216
    elif size >= 256:
        made = size // 8 + 160
    else:
        made = size // 4 + 128
    return made if z >= 0 else 256 - made


def test_sigmoid_and_tanh():
    values = np.arange(-4000, 4001)
    assert sigmoid(values).tolist() == [plan(z) for z in values.tolist()]
    assert tanh(values).tolist() == [2 * plan(2 * z) - 256 for z in values.tolist()]
    assert np.abs(sigmoid(values) / 256 - 1 / (1 + np.exp(-values / 256))).max() < 0.0235
    assert np.abs(tanh(values) / 256 - np.tanh(values / 256)).max() < 0.05
    x = torch.from_numpy(values / 256).requires_grad_()
    assert np.array_equal(fixed_point.sigmoid(x).detach().numpy() * 256, sigmoid(values))
    assert np.array_equal(fixed_point.tanh(x).detach().numpy() * 256, tanh(values))
    fixed_point.sigmoid(x).sum().backward()
    assert {0.0, 0.25, 0.125, 0.03125} == set(x.grad.tolist())


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.00123, 3.999, 2.0**-9, 1 - 2.0**-17])
def test_rescaling_rounds_once(factor):
    scale = Rescale.of(factor)
    assert 1 << 14 <= scale.multiplier < 1 << 15 and math.isclose(scale.multiplier / 2**scale.shift, factor, rel_tol=2**-15)
    values = np.array([-(10**6), -17, -1, 0, 1, 5, 999, 10**6])
    exact = [max(-LIMIT, min(LIMIT, math.floor(v * scale.multiplier / 2**scale.shift + 0.5))) for v in values.tolist()]
    assert scale(values).tolist() == exact


def test_steps_by_hand():
    """Three steps of four hidden units, one number at a time."""
    rng = np.random.default_rng(0)
    lstm = Lstm(rng.integers(-127, 128, (16, 8)), rng.integers(-9000, 9000, 16), Rescale.of(0.02), rng.integers(-127, 128, 4), -500)
    state, hidden, cell = lstm.start(2), [[0] * 4, [0] * 4], [[0] * 4, [0] * 4]
    seen = set()
    for _ in range(3):
        projected = rng.integers(-900, 900, (2, 4))
        decisions, state = lstm.step(projected, state)
        for n in range(2):
            read, z = [*projected[n].tolist(), *hidden[n]], []
            for row, bias in zip(lstm.weight.tolist(), lstm.bias.tolist(), strict=True):
                total = sum(w * v for w, v in zip(row, read, strict=True)) + bias
                scaled = (total * lstm.rescale.multiplier + 2 ** (lstm.rescale.shift - 1)) >> lstm.rescale.shift
                z.append(max(-LIMIT, min(LIMIT, scaled)))
            for unit in range(4):
                enter, forget, candidate, leave = (z[4 * part + unit] for part in range(4))
                cell[n][unit] = (plan(forget) * cell[n][unit] + plan(enter) * (2 * plan(2 * candidate) - 256) + 128) >> 8
                hidden[n][unit] = (plan(leave) * (2 * plan(2 * cell[n][unit]) - 256) + 128) >> 8
            assert state[0][n].tolist() == hidden[n] and state[1][n].tolist() == cell[n]
            score = sum(w * h for w, h in zip(lstm.output.tolist(), hidden[n], strict=True)) - 500
            assert decisions[n].tolist() == [int(score >= 0)]
            seen.add(bool(score >= 0))
    assert seen == {False, True}


def recurrent_graph():
    """A network whose two layer gates are steps of one LSTM."""
    graph, rng = random_gated(1, (16, 16, 16), (2, 0, 0), ("layer",)), np.random.default_rng(3)
    lstm = Lstm(rng.integers(-127, 128, (16, 8)), rng.integers(-999, 999, 16), Rescale.of(0.02), rng.integers(-127, 128, 4), 7500)
    for gate in graph.gates:
        gate.kind, gate.weight, gate.bias = "lstm", rng.integers(-127, 128, (4, 16)), rng.integers(-9, 9, 4)
        gate.rescale, gate.lstm = Rescale.of(2.0**-11), lstm
    return LayerGraph(graph.name, graph.layers, graph.modes, ungated=graph.ungated)


def test_the_state_goes_from_step_to_step_and_starts_anew():
    graph, images = recurrent_graph(), np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    first, second = graph.gates
    for mode in ("full", "1/4"):
        got = run(graph, images, mode)
        sums = [got.stations[gate.input].sum(axis=(2, 3), dtype=np.int64) for gate in (first, second)]
        projected = [gate.rescale(values @ gate.weight.T + gate.bias) for gate, values in zip((first, second), sums, strict=True)]
        decisions, state = first.lstm.step(projected[0], first.lstm.start(3))
        assert np.array_equal(got.decisions[first.name], decisions)
        decisions, _ = second.lstm.step(projected[1], state)
        assert np.array_equal(got.decisions[second.name], decisions)
        anew = second.lstm.step(projected[1], second.lstm.start(3))[0]
        assert mode != "full" or not np.array_equal(decisions, anew), "the state counts"
        assert np.array_equal(run(graph, images[2:], mode).logits[0], got.logits[2])
    forced = run(graph, images, "full", forced={first.name: np.array([1])})
    projected = second.rescale(forced.stations[second.input].sum(axis=(2, 3), dtype=np.int64) @ second.weight.T + second.bias)
    assert np.array_equal(forced.decisions[second.name], second.lstm.step(projected, second.lstm.start(3))[0])


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda first, second: setattr(second, "rescale", None), "needs an LSTM of 4 hidden units and a rescaling"),
        (lambda first, second: setattr(second, "when", first.name), "is a step of an LSTM, which always runs; leave out its"),
        (
            lambda first, second: setattr(
                second, "lstm", Lstm(*[getattr(first.lstm, key) for key in ("weight", "bias", "rescale", "output")], 7)
            ),
            "has another LSTM than",
        ),
    ],
)
def test_steps_that_contradict_each_other_are_refused(change, words):
    graph = recurrent_graph()
    change(*graph.gates)
    with pytest.raises(GatefoldError, match=words):
        LayerGraph(graph.name, graph.layers, graph.modes, ungated=graph.ungated)
