"""A mark for meters that record by themselves: a pin that is high, or lines on a serial port, while a window lasts."""

import os
import stat

from board.errors import BoardError

BEGIN, END = "gatefold begin\n", "gatefold end\n"


class Marker:
    """A pin or a serial port.

    Args:
        path: the `value` of a GPIO in sysfs, which is set to 1 and 0, or a terminal, which gets the lines BEGIN and END.

    Raises:
        BoardError: it cannot be written.
    """

    def __init__(self, path: str):
        self._path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
            self._line = stat.S_ISCHR(os.fstat(self._file).st_mode)
            self(False)
        except OSError as problem:
            raise BoardError(
                f"the marker {path} cannot be written ({problem.strerror}); name the value of an exported GPIO that is an output, or a serial port."
            ) from None

    def __call__(self, begins: bool) -> None:
        """Marks that a window begins, or that it is over."""
        text = (BEGIN if begins else END) if self._line else ("1\n" if begins else "0\n")
        try:
            os.pwrite(self._file, text.encode(), 0) if not self._line else os.write(self._file, text.encode())
        except OSError as problem:
            raise BoardError(f"the marker {self._path} has stopped taking marks ({problem.strerror}); check it.") from None
