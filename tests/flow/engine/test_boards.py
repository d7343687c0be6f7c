"""Boards, and the clock that their processing system makes."""

import pytest

from flow.engine.boards import at_clock, clock_dividers, find_board
from flow.errors import GatefoldError


@pytest.mark.parametrize(
    "asked, made", [(100, 100), (125, 125), (143, 142.857143), (142.857, 142.857143), (140, 142.857143), (50, 50), (250, 250)]
)
def test_nearest_clock_of_the_dividers(asked, made):
    board = at_clock(find_board("pynq-z2"), asked)
    assert board.clock_mhz == made and board.name == "pynq-z2"
    first, second = clock_dividers(asked)
    assert 1 <= second <= first <= 63 and 1000 / (first * second) == pytest.approx(made, abs=1e-6)


def test_without_a_clock_it_is_the_board_s():
    assert at_clock(find_board("zedboard"), None) is find_board("zedboard")
    assert at_clock(find_board("zedboard"), None, dsp=False).clock_mhz == 125
    for clock in (find_board("zedboard").clock_mhz, find_board("zedboard").clock_without_dsp_mhz):
        assert at_clock(find_board("zedboard"), clock).clock_mhz == clock, "the dividers make it"


@pytest.mark.parametrize("clock", [0, -5, 251, float("nan")])
def test_clock_out_of_range_is_refused(clock):
    with pytest.raises(GatefoldError, match=r"--clock .* is not possible; choose 1 to 250 MHz"):
        at_clock(find_board("pynq-z2"), clock)
