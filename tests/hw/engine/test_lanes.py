"""Pixel lanes: plain, in LUTs and in DSP48s, all equal to the sum of products."""

import numpy as np
import pytest
from rtl import pack, step, unit, unpack

from flow.simulation.library import Model

AFTER = 5
"""Steps from a kernel to its accumulators: taps two later, control two after these."""


@pytest.mark.parametrize(
    "p, pe, mult_dsp, width, packs",
    [(6, 2, 1, 18, 0), (4, 2, 1, 21, 0), pytest.param(64, 2, 18, 18, 1, marks=pytest.mark.slow)],
)
def test_lanes(p, pe, mult_dsp, width, packs, tmp_path):
    library = unit("lanes_bench", tmp_path, "lanes_bench.sv", P=p, PE=pe, MULT_DSP=mult_dsp, ACC_WIDTH=width, PACK=packs)
    rng = np.random.default_rng(p)
    steps = 300 if packs else 3000
    quarters = 4 if packs else 1
    lane = np.arange(p)
    quarter = 2 * (lane // 32) + lane % 8 // 4 if packs else 0 * lane
    # Uniform values, and half of the time only the extremes.
    taps = np.where(rng.random((steps, p, 9)) < 0.5, rng.integers(0, 16, (steps, p, 9)), rng.choice([0, 15], (steps, p, 9)))
    kernels = rng.integers(-7, 8, (steps, quarters, pe, 9))
    extreme = rng.random(steps) < 0.5
    kernels[extreme] = rng.choice([-7, 7], (extreme.sum(), quarters, pe, 9))
    whole = rng.random(steps) < 0.1  # every tap and weight at its limit: the largest sums
    taps[whole], kernels[whole] = 15, np.sign(kernels[whole][:, :1, :1, :1]) * 7
    valid, first, shift = rng.random(steps) < 0.9, rng.random(steps) < 0.2, rng.random(steps) < 0.05

    expected = np.zeros((pe, p), np.int64)
    with Model(library, clock="clk") as model:
        for t in range(steps + AFTER):
            step(
                model,
                kernel_early=pack(kernels[t].ravel(), 4) if t < steps else 0,
                taps=pack(taps[t - 2].ravel(), 4) if 2 <= t < steps + 2 else 0,
                **{
                    name: values[t - 4] if 4 <= t < steps + 4 else 0
                    for name, values in (("valid", valid), ("first", first), ("shift", shift))
                },
            )
            now = t - AFTER
            if now < 0:
                continue
            if valid[now]:
                before = np.zeros_like(expected) if first[now] else expected * 16 if shift[now] else expected
                expected = before + np.einsum("pet,pt->ep", kernels[now][quarter], taps[now])
                expected = (expected + (1 << width - 1)) % (1 << width) - (1 << width - 1)
            if not (valid[: now + 1] & first[: now + 1]).any():
                continue  # accumulators are unknown before the first sum starts
            for shape in ("plain", "mapped"):
                got = np.array(unpack(model.read(shape), pe * p, width, signed=True)).reshape(pe, p)
                assert (got == expected).all(), f"{shape} lanes differ in step {now}"
