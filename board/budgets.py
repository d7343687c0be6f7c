"""Where a changing budget comes from: a file or a socket that a battery monitor writes, in mJ a frame."""

import json
import math
import os
import socket
import stat
from pathlib import Path
from typing import Optional, Union

from board.errors import BoardError

LONGEST = 4096  # bytes of a budget


def parse_budget(text: Union[bytes, str]) -> Optional[float]:
    """mJ a frame: a number, or a JSON object with `budget_mj`; None where it is neither, or less than nothing."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        value = value.get("budget_mj")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        return None
    return float(value)


class BudgetFile:
    """A file, read anew every time; while what is in it is no budget, as in the middle of being written, the last one holds.

    Raises:
        BoardError: there is no budget in it now.
    """

    def __init__(self, path: Path):
        self._path, self._last = str(path), None
        if self.read() is None:
            raise BoardError(f"{path} holds no budget; write mJ a frame into it, e.g. 0.2.")

    def read(self) -> Optional[float]:
        """The budget in mJ now."""
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                found = parse_budget(os.read(file, LONGEST))
            finally:
                os.close(file)
        except OSError:
            found = None
        if found is not None:
            self._last = found
        return self._last

    def close(self) -> None:
        """Leaves the file to its owner."""


class BudgetSocket:
    """A datagram socket of ours; the last budget that came holds, and before the first there is none.

    Args:
        where: unix:PATH, or udp:PORT for one of this machine alone.

    Raises:
        BoardError: it cannot be made.
    """

    def __init__(self, where: str):
        kind, _, name = where.partition(":")
        self._last: Optional[float] = None
        self._path = name if kind == "unix" else None
        try:
            if kind == "unix":
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                if os.path.exists(name) and stat.S_ISSOCK(os.stat(name).st_mode) and _is_deserted(name):
                    os.unlink(name)
                self._socket.bind(name)
            else:
                self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                self._socket.bind(("127.0.0.1", int(name)))
        except (OSError, ValueError, OverflowError) as problem:
            self._socket.close()
            raise BoardError(
                f"{where:.80} cannot be listened at ({problem}); give unix:PATH of a new socket, or udp:PORT."
            ) from None
        self._socket.setblocking(False)

    def read(self) -> Optional[float]:
        """The budget in mJ now, or None."""
        while True:
            try:
                found = parse_budget(self._socket.recv(LONGEST))
            except (BlockingIOError, ConnectionError):
                return self._last
            if found is not None:
                self._last = found

    def close(self) -> None:
        """Takes the socket away."""
        self._socket.close()
        if self._path is not None:
            os.unlink(self._path)


def open_budget(where: str) -> Union[BudgetFile, BudgetSocket]:
    """What --adaptive names: FILE, unix:PATH or udp:PORT."""
    return BudgetSocket(where) if where.startswith(("unix:", "udp:")) else BudgetFile(Path(where))


def _is_deserted(path):
    """Whether nobody listens at a socket's path any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as knock:
        try:
            knock.connect(path)
        except ConnectionRefusedError:
            return True
    return False
