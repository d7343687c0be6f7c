"""The vector unit against its sums: inputs that fill no word, bases of weights and biases, extremes, ties of the arg-max."""

import numpy as np
import pytest
from rtl import fill, pack, step, unit

from flow.simulation.library import Model

V, DEPTH, POOL_DEPTH, CLASSES = 8, 64, 8, 12


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return unit("engine_vector", tmp_path_factory.mktemp("vector"), V=V, DEPTH=DEPTH, POOL_DEPTH=POOL_DEPTH, BIASES=CLASSES)


def run(library, weights, biases, inputs, outputs, weight_base=0, bias_base=0):
    """(logits, best) of one start.

    weights: int [DEPTH, V], biases: int [CLASSES], inputs: the sums of all channels, [count]; elements behind them are 1023.
    """
    sums = np.full(POOL_DEPTH * V, 1023)
    sums[: len(inputs)] = inputs
    logits, address = [], 0
    with Model(library, clock="clk", reset="rst_n", random_reset=3) as model:
        model.reset()
        fill(model, "fc_weights", [pack(word, 8) for word in weights], 8 * V)
        fill(model, "fc_bias", [int(bias) & 0xFFFFFFFF for bias in biases])
        counts = {"in_count": len(inputs), "out_count": outputs, "weight_base": weight_base, "bias_base": bias_base}
        step(model, start=1, **counts)
        for _ in range(outputs * POOL_DEPTH + 20):
            address = model.read("pool_addr")
            step(model, start=0)
            model.write("pool_data", pack(sums[V * address : V * (address + 1)], 10))
            model.run(0)
            if model.read("logit_valid"):
                assert model.read("logit_index") == len(logits)
                logits.append(model.read("logit") - (model.read("logit") >> 31 << 32))
            if model.read("done"):
                return logits, model.read("best")
    raise AssertionError("the vector unit does not end")


@pytest.mark.parametrize(
    "count, outputs, weight_base, bias_base", [(64, 8, 0, 0), (8, 12, 0, 0), (16, 3, 5, 9), (64, 1, 56, 11), (48, 10, 4, 2)]
)
@pytest.mark.parametrize("extreme", [0, 1])
def test_logits(library, count, outputs, weight_base, bias_base, extreme):
    rng = np.random.default_rng(count + extreme)
    weights = rng.choice([-128, 127], (DEPTH, V)) if extreme else rng.integers(-128, 128, (DEPTH, V))
    biases = rng.choice([-(1 << 31), (1 << 31) - 1], CLASSES) // 4 if extreme else rng.integers(-(1 << 20), 1 << 20, CLASSES)
    inputs = rng.choice([0, 960], count) if extreme else rng.integers(0, 961, count)
    words = -(-count // V)
    used = weights[weight_base : weight_base + outputs * words].reshape(outputs, -1)[:, :count]
    expected = used @ inputs + biases[bias_base : bias_base + outputs]
    logits, best = run(library, weights, biases, inputs, outputs, weight_base, bias_base)
    assert logits == expected.tolist() and best == expected.argmax()


@pytest.mark.parametrize("count", [1, 7, 9, 61])
def test_inputs_that_fill_no_word(library, count):
    """What lies behind the inputs has weight zero."""
    rng = np.random.default_rng(count)
    words, inputs = -(-count // V), rng.integers(0, 961, count)
    weights = np.zeros((DEPTH, V), np.int64)
    used = weights[: 4 * words].reshape(4, -1)
    used[:, :count] = rng.integers(-128, 128, (4, count))
    logits, _ = run(library, weights, np.zeros(CLASSES), inputs, 4)
    assert logits == (used[:, :count] @ inputs).tolist()


@pytest.mark.parametrize(
    "biases, best",
    [([-5, -3, -3, -9], 1), ([0, 0, 0, 0], 0), ([-1, 0, 5, 5], 2), ([7, -7, 7, 8], 3), ([-4, -3, -2, -1], 3), ([9, -1, 2, 3], 0)],
)
def test_ties_go_to_the_lowest_index(library, tmp_path, biases, best):
    weights = np.zeros((DEPTH, V), np.int64)
    assert run(library, weights, biases + [0] * (CLASSES - 4), [100] * V, 4) == (biases, best)
