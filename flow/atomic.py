"""Writing files so that they are whole or not there, and what to say when the system refuses."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from flow.errors import GatefoldError

_LITTLE = 1 << 20  # bytes: with less left, a tool that failed has failed for want of space


def refusal(error: OSError) -> str:
    """What the system refused, in one sentence with the remedy."""
    place = f" for {error.filename}" if error.filename else ""
    return f"The system says '{error.strerror or error}'{place}; {_first_aid(error)} and run the command again."


def check_space(folder: Path, output: str) -> None:
    """Raise GatefoldError where a tool that writes to `folder`, and said `output`, has failed for want of space."""
    for place in (folder, Path(tempfile.gettempdir())):
        if os.strerror(errno.ENOSPC) in output or shutil.disk_usage(place).free < _LITTLE:
            raise GatefoldError(f"There is no space left in {place}; free some and run the command again.")


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
        remedy: what to do once it can be written, for the GatefoldError when writing fails.
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
        raise GatefoldError(f"{path} could not be written ({error}); {_first_aid(error)} and {remedy}.") from error


def _first_aid(error):
    number = getattr(error, "errno", errno.ENOSPC)  # torch raises a RuntimeError when the disk is full
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space"
    if number in (errno.EROFS, errno.EACCES, errno.EPERM):
        return "choose a place that you may write to (--output, or GATEFOLD_BUILD for builds)"
    return "look at that place"
