"""The requantiser against its formula, over random and extreme operands."""

import numpy as np
from rtl import step, unit

from flow.simulation.library import Model

DELAY = 4


def test_requantiser(tmp_path):
    rng = np.random.default_rng(1)
    steps = 20000
    acc = rng.integers(-(1 << 17), 1 << 17, steps)
    scale = (rng.integers(-(1 << 24), 1 << 24, steps)) >> rng.integers(0, 18, steps)
    # Most results near the sixteen levels, some far away.
    level = rng.integers(-40, 40, steps)
    bias = np.clip(((level << 26) - acc * scale) >> 10, -(1 << 28), (1 << 28) - 1) + rng.integers(-3, 4, steps)
    bias = np.clip(bias, -(1 << 28), (1 << 28) - 1)
    extreme = slice(0, 64)
    acc[extreme], scale[extreme] = np.resize([-(1 << 17), (1 << 17) - 1], 64), np.repeat([-(1 << 24), (1 << 24) - 1], 32)
    bias[extreme] = np.resize(np.repeat([-(1 << 28), (1 << 28) - 1], 2), 64)
    residual = rng.integers(0, 16, steps)
    expected = np.clip(((acc * scale + (bias << 10)) >> 26) + residual, 0, 15)
    assert len(np.unique(expected)) == 16

    with Model(unit("engine_requantiser", tmp_path), clock="clk") as model:
        for t in range(steps + DELAY - 1):
            step(
                model,
                acc=acc[min(t, steps - 1)],
                scale=scale[min(t, steps - 1)],
                bias=bias[min(t, steps - 1)],
                residual=residual[t - DELAY + 1] if t >= DELAY - 1 else 0,
            )
            if t >= DELAY - 1:
                assert model.read("pixel") == expected[t - DELAY + 1], f"step {t - DELAY + 1}"
