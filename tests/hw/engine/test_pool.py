"""Sum pooling: channels in one or several words, any channel order, reads beside writes."""

import numpy as np
from rtl import pack, step, unit, unpack

from flow.simulation.library import Model

R, V, DEPTH = 8, 4, 4


def test_pool(tmp_path):
    rng = np.random.default_rng(1)
    sums = np.zeros(V * DEPTH, np.int64)
    with Model(unit("engine_pool", tmp_path, R=R, V=V, DEPTH=DEPTH, POOL_WIDTH=12), clock="clk", random_reset=2) as model:
        for round_ in range(4):
            for channel in rng.permutation(V * DEPTH):
                sums[channel] = 0
                for word in range(rng.integers(1, 33)):
                    pixels = rng.integers(0, 16, R) if round_ else np.full(R, 15)
                    fourfold = round_ == 3
                    if fourfold:
                        pixels = rng.permutation(pixels[: R // 4].repeat(4))
                    step(model, valid=1, first=word == 0, channel=channel, pixels=pack(pixels, 4), fourfold=fourfold)
                    sums[channel] += pixels.sum() // (4 if fourfold else 1)
                    if rng.random() < 0.5:  # what is not valid does not count
                        step(model, valid=0, first=1, channel=rng.integers(V * DEPTH), pixels=pack(rng.integers(0, 16, R), 4))
            step(model, valid=0)
            step(model)
            step(model)
            for address in rng.permutation(DEPTH):
                step(model, raddr=address)
                assert unpack(model.read("rdata"), V, 12) == sums[V * address : V * (address + 1)].tolist()
