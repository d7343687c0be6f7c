"""Files and folders that can be made again: a digest tells whether one is still what was made; what differs makes way."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from flow.atomic import make_folder, write_atomically, write_text

AGAIN = "run the command again"


def content_digest(path: Path) -> str | None:
    """SHA-256 (hex) of a file's contents, or of the names, kinds and contents of all that a folder holds.

    Returns:
        None where there is neither, or something in it cannot be read.
    """
    path = Path(path)
    try:
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()
        if not path.is_dir():
            return None
        parts = [(entry.name, entry.is_dir(), content_digest(entry)) for entry in sorted(path.iterdir())]
    except OSError:
        return None
    return None if any(part[2] is None for part in parts) else hashlib.sha256(repr(parts).encode()).hexdigest()


def sync(path: Path) -> None:
    """Have a file, or a folder with all that it holds, written to the disk itself."""
    for part in [*(path.rglob("*") if path.is_dir() else ()), path]:
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def clear(path: Path) -> None:
    """Remove whatever lies at `path`, if anything does."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Make the file `path` from what `write(temporary path)` writes, in one step; a folder in its place makes way.

    Only for paths that hold nothing but what can be made again, and for one process at a time.
    """
    for place in (path, path.with_name(path.name + ".part")):
        if place.is_dir():
            clear(place)
    write_atomically(path, write, AGAIN)


def replace_folder(path: Path, fill: Callable[[Path], object]) -> None:
    """Make `path` hold exactly what `fill(temporary folder)` writes; an interrupted call leaves what was there or nothing."""
    path = Path(path)
    part, old = (path.with_name(path.name + suffix) for suffix in (".part", ".old"))
    for leftover in (part, old):
        clear(leftover)
    make_folder(part)
    try:
        fill(part)
    except BaseException:
        clear(part)
        raise
    if path.exists():
        path.rename(old)
    part.rename(path)
    clear(old)


def kept(path: Path, make: Callable[[Path], object]) -> Path:
    """The file `path` of a cache, made by `make(temporary path)` unless it is there as it was made.

    Its digest lies beside it as `.sha256`. Several processes may ask for one file at a time.
    """
    if not is_kept(path):
        mark = _mark(path)
        make_folder(path.parent)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix="making-") as name:
            part, part_mark = Path(name) / path.name, Path(name) / mark.name
            make(part)
            write_text(part_mark, content_digest(part))
            for source, target in ((part, path), (part_mark, mark)):
                if target.is_dir():
                    clear(target)
                os.replace(source, target)
    return path


def is_kept(path: Path) -> bool:
    """Whether `kept` has the file as it was made."""
    return _text(_mark(path)) == content_digest(path)


def _mark(path):
    return path.with_name(path.name + ".sha256")


def _text(path):
    """Contents of a file as text; "" where there is none that can be read."""
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
