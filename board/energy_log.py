"""The log of measurements: JSON Lines, one record a line, crash-safe (docs/energy-log.md lists the records and their keys).

A record is written in one piece, with its end of line, and on the disk (fsync) before the program goes on. What a power cut or a
`kill -9` can leave is therefore a last line that is torn; it is cut off when the log is opened again.
"""

import contextlib
import errno
import fcntl
import json
import os
from pathlib import Path
from typing import Iterator, List, Tuple, Union

from board.errors import BoardError, need_file

FORMAT = 1


class EnergyLog:
    """A log that is open for appending, by this program alone.

    Args:
        path: of the file; it is made where there is none.

    Attributes:
        records: those that were there, in order.
        cut: bytes of a torn end that were cut off.

    Raises:
        BoardError: it cannot be opened, another program measures into it, or it is no such log.
    """

    def __init__(self, path: Union[str, Path]):
        self.path = Path(path)
        need_file(self.path, "name another --log")
        with _refusing(self.path):
            new = not self.path.exists()
            self._file = os.open(str(self.path), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            with _refusing(self.path):
                self._lock()
                contents = _contents(self._file)
                self.records, end = parse(contents, self.path)
                self.cut = len(contents) - end
                os.ftruncate(self._file, end)
                os.fsync(self._file)
                if new:
                    _sync_folder(self.path.parent)
        except BaseException:
            os.close(self._file)
            raise

    def append(self, record: dict) -> dict:
        """Writes a record; it is on the disk when this returns.

        Returns:
            It, as it stands there.

        Raises:
            BoardError: it cannot be written; the log is as it was.
        """
        record = {"format": FORMAT, **record}
        line = (json.dumps(record, allow_nan=False) + "\n").encode()
        with _refusing(self.path):
            end = os.fstat(self._file).st_size
            try:
                while line:
                    line = line[os.write(self._file, line) :]
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, end)
                raise
        self.records.append(record)
        return record

    def close(self) -> None:
        """Lets go of the file."""
        os.close(self._file)

    def _lock(self):
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            if problem.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            raise BoardError(f"another program measures into {self.path}; wait for its end, or name another --log.") from None


def read_log(path: Union[str, Path]) -> List[dict]:
    """The records of a log, without a torn last line.

    Raises:
        BoardError: it cannot be read, or is no such log.
    """
    need_file(Path(path), "name another --log")
    with _refusing(Path(path)):
        contents = Path(path).read_bytes()
    return parse(contents, path)[0]


def parse(contents: bytes, path: Union[str, Path]) -> Tuple[List[dict], int]:
    """The records in the bytes of a log, and where they end: what lies behind was torn, or is what a file system leaves of blocks that it had
    not written.

    Raises:
        BoardError: a line that others follow is no record of this format.
    """
    records: List[dict] = []
    end = at = 0
    bad = None
    while at < len(contents):
        stop = contents.find(b"\n", at)
        record = _record(contents[at:stop]) if stop >= 0 else None
        at = stop + 1 if stop >= 0 else len(contents)
        if record is None:
            bad = bad or len(records) + 1
            continue
        if bad:
            raise BoardError(f"{path} is damaged in line {bad}; name another --log, or take that line out.")
        if record.get("format") != FORMAT:
            raise BoardError(
                f"{path} is no energy log of format {FORMAT} (line {len(records) + 1} has {record.get('format')!r:.20}); name another --log."
            )
        records.append(record)
        end = at
    if bad and not records and not _torn(contents):  # somebody else's file, which nothing is to be cut off
        raise BoardError(f"{path} is no energy log; name another --log.")
    return records, end


def _torn(contents):
    """Whether the bytes can be what is left of a first record."""
    begin = json.dumps({"format": FORMAT, "record": ""})[:-2].encode()
    return contents[: len(begin)] == begin[: len(contents)] or not contents.strip(b"\0")


def _record(line):
    """The JSON object of a line with its `record`, or None."""
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and isinstance(value.get("record"), str) else None


def _contents(file):
    parts = []
    while True:
        part = os.pread(file, 1 << 20, sum(map(len, parts)))
        if not part:
            return b"".join(parts)
        parts.append(part)


def _sync_folder(folder):
    """Lets the name of a new file reach the disk."""
    handle = os.open(str(folder), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise BoardError(
            f"{path} cannot be used as a log ({problem.strerror}); free some space there, or name another --log."
        ) from None
