"""Writing files so that they are whole or not there."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flow.errors import GatefoldError


def make_folder(path: Path) -> None:
    """Make a folder and those around it, unless they exist; GatefoldError if that is not possible."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GatefoldError(f"{path} cannot be made a folder ({error.strerror}); choose another place.") from error


def write_text(path: Path, text: str) -> None:
    """Write a file in one step; its folder is made."""
    write_atomically(Path(path), lambda temporary: temporary.write_text(text), "run the command again")


def write_atomically(path: Path, write: Callable[[Path], object], remedy: str = "continue with --resume") -> None:
    """Call ``write(temporary_path)`` and rename the result to ``path``.

    Args:
        remedy: what to do once there is space, for the GatefoldError when writing fails.
    """
    write_together({path: write}, remedy)


def write_together(writes: dict[Path, Callable[[Path], object]], remedy: str = "continue with --resume") -> None:
    """``write_atomically`` of files that belong together: none of them is renamed before all are written."""
    temporaries = {path: path.with_name(path.name + ".part") for path in writes}
    path = None
    try:
        for path, write in writes.items():
            make_folder(path.parent)
            write(temporaries[path])
            with open(temporaries[path], "rb") as file:
                os.fsync(file.fileno())
        for path in writes:
            os.replace(temporaries[path], path)
    except (OSError, RuntimeError) as error:
        for temporary in temporaries.values():
            with suppress(OSError):
                temporary.unlink()
        raise GatefoldError(f"{path} could not be written ({error}); free some space and {remedy}.") from error
