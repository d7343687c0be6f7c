"""Writing files so that they are whole or not there."""

import os
from collections.abc import Callable
from pathlib import Path

from flow.errors import GatefoldError


def write_atomically(path: Path, write: Callable[[Path], object], remedy: str = "continue with --resume") -> None:
    """Call ``write(temporary_path)`` and rename the result to ``path``.

    Args:
        remedy: what to do once there is space, for the GatefoldError when writing fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    try:
        write(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise GatefoldError(f"{path} could not be written ({error}); free some space and {remedy}.") from error
