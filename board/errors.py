"""The one error that users of the board program see."""

import contextlib
from pathlib import Path
from typing import Iterator, Union


class BoardError(Exception):
    """Something the user can mend; the message is one sentence that names the remedy."""


@contextlib.contextmanager
def reading(path: Union[str, Path], kind: str, remedy: str) -> Iterator[None]:
    """Around the reading of a file by a library: what that raises becomes a BoardError.

    zipfile, zlib, numpy, Pillow and pynq raise whatever the bytes of a damaged file lead to.
    """
    try:
        yield
    except (BoardError, ImportError, MemoryError):  # not the file's fault
        raise
    except Exception as problem:
        raise BoardError(f"{path} is no readable {kind} ({problem!s:.200}); {remedy}.") from None


def need_file(path: Path, remedy: str) -> None:
    """BoardError where something other than a file lies at a path: a pipe, say, at which reading would wait for ever."""
    if path.exists() and not path.is_file():
        raise BoardError(f"{path} is no file; {remedy}.")
