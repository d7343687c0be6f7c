"""The requantiser against its formula, over random and extreme operands: with a residual, and with levels for tables."""

import numpy as np
import pytest
from rtl import step, unit

from flow.simulation.library import Model

DELAY = 5


KINDS = [(0, 18, 0), (0, 20, 1), (1, 18, 1), (1, 21, 0)]
OTHERS = [(0, 18, 1), (0, 20, 0), (1, 18, 0), (1, 21, 1)]


@pytest.mark.parametrize("tables, width, dsp", [*KINDS, *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHERS)])
def test_requantiser(tables, width, dsp, tmp_path):
    rng = np.random.default_rng(width + tables)
    steps = 20000
    wide = width > 18
    largest, offset = 1 << width - 1, 1 << (36 if wide else 28)
    fine = rng.random(steps) < 0.5 if wide else np.zeros(steps, bool)
    shift = np.where(fine, 34, 26)
    acc = rng.integers(-largest, largest, steps)
    scale = (rng.integers(-(1 << 24), 1 << 24, steps)) >> rng.integers(0, 18, steps)
    # Most results near the levels, some far away.
    near = rng.integers(-40, 40, steps)
    bias = np.clip(((near << shift) - acc * scale) >> 10, -offset, offset - 1) + rng.integers(-3, 4, steps)
    bias = np.clip(bias, -offset, offset - 1)
    extreme = slice(0, 64)
    acc[extreme], scale[extreme] = np.resize([-largest, largest - 1], 64), np.repeat([-(1 << 24), (1 << 24) - 1], 32)
    bias[extreme] = np.resize(np.repeat([-offset, offset - 1], 2), 64)
    residual, high, on_map = rng.integers(0, 16, steps), rng.integers(0, 32, steps), rng.random(steps) < 0.9
    whole = (acc * scale + (bias << 10)) >> shift
    expected = np.clip(whole, 0, high) if tables else np.clip(whole + residual, 0, 15) * on_map
    assert len(np.unique(expected)) == (32 if tables else 16)

    with Model(unit("engine_requantiser", tmp_path, TABLES=tables, ACC_WIDTH=width, REQUANT_DSP=dsp), clock="clk") as model:
        for t in range(steps + DELAY - 1):
            now, before = min(t, steps - 1), max(t - DELAY + 1, 0)
            step(
                model, acc=acc[now], scale=scale[now], bias=bias[now],
                fine=fine[before], high=high[before], residual=residual[before], on_map=on_map[before],
            )  # fmt: skip
            if t >= DELAY - 1:
                assert model.read("level" if tables else "pixel") == expected[t - DELAY + 1], f"step {t - DELAY + 1}"
