"""Modelled energy, worked out by hand: idle power always, and more for the tiles."""

import pytest

from board.energy import Power


def test_an_idle_board():
    assert Power(1.58, 1.76).joules(2.0, 0, 100) == pytest.approx(3.16)  # 1.58 W × 2 s


def test_a_tile_in_every_cycle():
    assert Power(1.58, 1.76).joules(2.0, 200e6, 100) == pytest.approx(3.52)  # 1.76 W × 2 s


def test_a_frame_of_resnet8():
    # 13,240 cycles at 100 MHz are 132.4 µs, 12,000 of them tiles; 1.58 W × 132.4 µs + 0.18 W × 120 µs = 209.192 + 21.6 µJ
    assert Power().joules(13_240 / 100e6, 12_000, 100) == pytest.approx(230.792e-6)
