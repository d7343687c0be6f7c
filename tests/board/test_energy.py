"""Modelled energy, worked out by hand: 1.67 W for the whole board."""

import pytest

from board.energy import modelled_millijoule


def test_two_seconds():
    assert modelled_millijoule(2.0) == pytest.approx(3340.0)  # 1.67 W × 2 s = 3.34 J


def test_a_frame_of_resnet8():
    # 13,240 cycles at 100 MHz are 132.4 µs; 1.67 W × 132.4 µs = 221.1 µJ
    assert modelled_millijoule(13_240 / 100e6) == pytest.approx(0.221108)
