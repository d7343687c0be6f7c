"""The boards that builds are made for, and what their parts hold.

Resources of the XC7Z020: Zynq-7000 SoC Data Sheet: Overview (DS190), table 1.
"""

from dataclasses import dataclass

from flow.errors import GatefoldError


@dataclass(frozen=True)
class Board:
    """A board.

    Attributes:
        part: AMD part number.
        lut, ff, dsp, bram36: what the part holds.
        clock_mhz: clock of the accelerator.
    """

    name: str
    part: str
    lut: int = 53200
    ff: int = 106400
    dsp: int = 220
    bram36: int = 140
    clock_mhz: int = 100


BOARDS = {
    board.name: board
    for board in (
        Board("pynq-z1", "xc7z020clg400-1"),
        Board("pynq-z2", "xc7z020clg400-1"),
        Board("zedboard", "xc7z020clg484-1"),
    )
}
DEFAULT_BOARD = "pynq-z2"


def find_board(name):
    """The board of that name, in any case: PYNQ images call theirs Pynq-Z2.

    Raises:
        GatefoldError: there is none.
    """
    if name.lower() not in BOARDS:
        raise GatefoldError(f"There is no board '{name}'; choose one of {', '.join(BOARDS)}.")
    return BOARDS[name.lower()]
