"""The boards that builds are made for, and what their parts hold.

Resources of the XC7Z020: Zynq-7000 SoC Data Sheet: Overview (DS190), table 1.
"""

from dataclasses import dataclass, replace

from flow.errors import GatefoldError


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        part: AMD part number.
        lut, ff, dsp, bram36: what the part holds.
        clock_mhz: clock of the accelerator, FCLK_CLK0 of the processing system: at first the fastest that the estimate before placing
            carries for the shipped networks.
        clock_without_dsp_mhz: the same for an accelerator without DSP blocks.
    """

    name: str
    part: str
    lut: int = 53200
    ff: int = 106400
    dsp: int = 220
    bram36: int = 140
    clock_mhz: float = 142.857143
    clock_without_dsp_mhz: float = 125


BOARDS = {
    board.name: board
    for board in (
        Board("pynq-z1", "xc7z020clg400-1"),
        Board("pynq-z2", "xc7z020clg400-1"),
        Board("zedboard", "xc7z020clg484-1"),
    )
}
DEFAULT_BOARD = "pynq-z2"


def find_board(name: str) -> Board:
    """The board of that name, in any case: PYNQ images call theirs Pynq-Z2.

    Raises:
        GatefoldError: there is none.
    """
    if name.lower() not in BOARDS:
        raise GatefoldError(f"There is no board '{name}'; choose one of {', '.join(BOARDS)}.")
    return BOARDS[name.lower()]


IO_PLL_MHZ = 1000
"""Of the PYNQ images: 50 MHz × 20 on the PYNQ-Z1 and PYNQ-Z2, 33.3 MHz × 30 on the ZedBoard."""
DIVIDERS = range(1, 64)
FASTEST_MHZ = 250
"""The fastest FCLK that a build may ask for."""


def clock_dividers(clock_mhz: float) -> tuple[int, int]:
    """The two six-bit dividers of FCLK_CLK0 that come nearest to the clock (UG585, section 25.7)."""
    pairs = ((first, second) for second in DIVIDERS for first in DIVIDERS if first >= second)
    return min(pairs, key=lambda pair: abs(IO_PLL_MHZ / (pair[0] * pair[1]) - clock_mhz))


def at_clock(board: Board, clock_mhz: float | None, dsp: bool = True) -> Board:
    """The board with another clock: the nearest that the dividers make. None is the board's, with or without DSP blocks.

    Raises:
        GatefoldError: the processing system makes no such clock.
    """
    if clock_mhz is None:
        return board if dsp else replace(board, clock_mhz=board.clock_without_dsp_mhz)
    if not 1 <= clock_mhz <= FASTEST_MHZ:
        raise GatefoldError(f"--clock {clock_mhz:g} is not possible; choose 1 to {FASTEST_MHZ} MHz.")
    first, second = clock_dividers(clock_mhz)
    return replace(board, clock_mhz=round(IO_PLL_MHZ / (first * second), 6))
