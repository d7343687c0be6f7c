"""Serial ports, pseudo-terminals, and the pins that mark a time."""

import errno
import os
import pty
import struct
import termios
import time
import tty
from pathlib import Path
from typing import Callable

from board.errors import BoardError

GPIO = Path("/sys/class/gpio")
PULSE_SECONDS = 1e-3
TIOCMBIS, TIOCMBIC, TIOCM_RTS = 0x5416, 0x5417, 0x004  # asm-generic/termios.h


class Port:
    """Bytes in and out of a terminal device."""

    def __init__(self, file: int, name: str):
        self._file, self.name = file, name

    def read(self) -> bytes:
        """What has come, at least one byte; BoardError when the device has gone."""
        data = os.read(self._file, 4096)
        if not data:
            raise BoardError(f"{self.name} has gone; plug it in again, and start again.")
        return data

    def write(self, data: bytes) -> None:
        """Writes all of it."""
        while data:
            data = data[os.write(self._file, data) :]


def open_port(device: str, baud: int) -> Port:
    """A serial port in raw mode, 8N1, at a baud rate; or, for the device pty, a new pseudo-terminal.

    Raises:
        BoardError: there is no such device or rate.
    """
    if device == "pty":
        ours, theirs = pty.openpty()  # theirs stays open: one reader may go and another come
        tty.setraw(theirs)
        return Port(ours, os.ttyname(theirs))
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise BoardError(f"a serial port has no rate of {baud} baud; give a usual one, e.g. 115200.")
    file = os.open(device, os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(file)
        settings = termios.tcgetattr(file)
        settings[2] = settings[2] & ~(termios.CSTOPB | termios.PARENB | termios.CRTSCTS) | termios.CLOCAL | termios.CREAD
        settings[4] = settings[5] = speed
        termios.tcsetattr(file, termios.TCSANOW, settings)
    except termios.error:
        os.close(file)
        raise BoardError(f"{device} is no serial port; name one, e.g. /dev/ttyPS0, or pty.") from None
    return Port(file, device)


def open_pin(text: str) -> Callable[[], None]:
    """A function that pulls a pin down for PULSE_SECONDS; it is high otherwise.

    Args:
        text: gpio:NUMBER, through the kernel's interface (Documentation/admin-guide/gpio/sysfs.rst), or rts:DEVICE, the line of that name
            of a serial port.

    Raises:
        BoardError: there is no such pin.
    """
    kind, _, name = text.partition(":")
    if kind == "gpio" and name.isdigit():
        level = _gpio(name)
    elif kind == "rts" and name:
        level = _rts(name)
    else:
        raise BoardError(f"--energy is {text!r:.60}; give gpio:NUMBER or rts:DEVICE.")

    def pulse() -> None:
        level(0)
        time.sleep(PULSE_SECONDS)
        level(1)

    level(1)
    return pulse


def _gpio(number):
    folder = GPIO / f"gpio{number}"
    if not folder.exists():
        try:
            (GPIO / "export").write_text(number)
        except OSError as problem:
            raise BoardError(
                f"the kernel has no pin gpio:{number} for this program ({problem.strerror}); look at {GPIO}."
            ) from None
    (folder / "direction").write_text("high")
    file = os.open(str(folder / "value"), os.O_WRONLY)
    return lambda value: os.write(file, b"1\n" if value else b"0\n")


def _rts(device):
    import fcntl

    file = os.open(device, os.O_RDWR | os.O_NOCTTY)

    def level(value):
        # An adapter's RTS# is low where the line is set.
        try:
            fcntl.ioctl(file, TIOCMBIC if value else TIOCMBIS, struct.pack("I", TIOCM_RTS))
        except OSError as problem:
            if problem.errno not in (errno.ENOTTY, errno.EINVAL):
                raise
            raise BoardError(f"{device} has no line RTS; name a serial port that has, or a pin gpio:NUMBER.") from None

    return level
