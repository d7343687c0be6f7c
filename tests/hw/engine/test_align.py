"""Window alignment: every block of every map size and stride, taps equal to the padded map's."""

import numpy as np
import pytest
from rtl import pack, step, unit, unpack

from flow.simulation.library import Model

SIZES = {8: 0, 16: 1, 32: 2}


def memory_rows(channel_map, odd, top):
    """The 16 words that the banks deliver for a window whose first row is `top`: integers in bank order."""
    size = len(channel_map)
    words = []
    for bank in range(16):
        if size == 8:
            row = bank - 8 * odd
        else:
            distance = (bank - top) % 16
            row = top - 1 if distance == 15 and top else top + distance
        pixels = channel_map[row] if 0 <= row < size else np.random.default_rng(bank).integers(0, 16, size)
        stale = np.random.default_rng(bank + 99).integers(0, 16, 32 - size)  # what another map left in the word
        words.append(pack(np.concatenate([pixels, stale]), 4))
    return words


def lane_pixel(lane, p, stride, out_size):
    """(row, column) of a lane within its block."""
    row, column = lane // 8, lane % 8
    if p == 64 and stride == 2 and out_size == 16:
        return row % 4, column + 8 * (row // 4)
    return row, column


@pytest.mark.parametrize("p", [64, pytest.param(32, marks=pytest.mark.slow)])
def test_align(p, tmp_path):
    rng = np.random.default_rng(p)
    with Model(unit("engine_align", tmp_path, P=p), clock="clk") as model:
        for out_size, stride in [(32, 1), (16, 1), (8, 1), (16, 2), (8, 2)]:
            in_size = out_size * stride
            side = p == 64 and stride == 2 and out_size == 16
            height, width = (4, 16) if side else (p // 8, 8)
            for odd in (0, 1) if in_size == 8 else (0,):
                for y0 in range(0, out_size, height):
                    for x0 in range(0, out_size, width):
                        channel = rng.integers(0, 16, (in_size, in_size))
                        y, x = stride * y0, stride * x0
                        rows, other = pack(memory_rows(channel, odd, y), 128), int.from_bytes(rng.bytes(256), "little")
                        from_m = int(rng.integers(0, 2))
                        for _ in range(3):
                            step(
                                model, x_rows=other if from_m else rows, m_rows=rows if from_m else other, from_m=from_m,
                                stride2=stride == 2, side=side, size_in=SIZES[in_size],
                                rotation=(y // 4 + 2 * odd) % 4, y=y, x=x,
                            )  # fmt: skip
                        padded = np.pad(channel, ((1, 2), (1, 2)))
                        got = unpack(model.read("taps"), p, 36)
                        for lane in range(p):
                            row, column = lane_pixel(lane, p, stride, out_size)
                            top, left = stride * (y0 + row), stride * (x0 + column)
                            window = padded[top : top + 3, left : left + 3]
                            assert got[lane] == pack(window.ravel(), 4), (out_size, stride, odd, y0, x0, lane)


@pytest.mark.parametrize("odd", [0, 1])
def test_all_quarters_see_the_same_windows(odd, tmp_path):
    rng = np.random.default_rng(odd)
    channel = rng.integers(0, 16, (8, 8))
    words = [0] * 16
    for bank, word in enumerate(memory_rows(channel, odd, 0)):
        words[bank] = word & ~(0xFFFFFFFF << 32) | (word & 0xFFFFFFFF) << 32  # as `engine_write_back` leaves it
    with Model(unit("engine_align", tmp_path, P=64, PACK=1), clock="clk") as model:
        for _ in range(3):
            step(
                model, x_rows=pack(words, 128), m_rows=0, from_m=0, stride2=1, side=0, packs=1, size_in=SIZES[8],
                rotation=2 * odd, y=0, x=0,
            )  # fmt: skip
        got = unpack(model.read("taps"), 64, 36)
    padded = np.pad(channel, ((1, 2), (1, 2)))
    for lane in range(64):
        top, left = 2 * (lane // 8 % 4), 2 * (lane % 4)
        assert got[lane] == pack(padded[top : top + 3, left : left + 3].ravel(), 4), lane
