"""A folder that one run at a time writes to."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from flow.atomic import make_folder
from flow.errors import GatefoldError

LOCK = ".lock"


@contextmanager
def claim(folder: Path) -> Iterator[None]:
    """Hold a folder inside of the ``with``; GatefoldError if another run has it.

    The folder is made; whatever was made and is still empty in the end is taken away again. The lock ends with its process,
    however that ends; the file of its name that stays behind locks nothing.
    """
    folder = Path(folder).absolute()
    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    make_folder(folder)
    with ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / LOCK, timeout=0))
        except Timeout:
            raise GatefoldError(f"Another run writes to {folder} right now; wait for its end, or give another --output.") from None
        except OSError as error:
            raise GatefoldError(f"{folder} cannot be written to ({error.strerror}); give another --output.") from error
        stack.callback(_remove_empty, made)  # while the lock is still held
        yield


def refuse_to_replace(folder: Path, names: list[str]) -> None:
    """GatefoldError where a folder holds one of these files of an earlier run."""
    for name in names:
        if (folder / name).exists():
            raise GatefoldError(
                f"{folder} holds a run already ({name}); go on with it by --resume, give another --output, or replace it by --overwrite."
            )


def discard(folder: Path, names: list[str]) -> None:
    """Delete these files of an earlier run, and the records beside its weights."""
    for name in names:
        for path in {folder / name, (folder / name).with_suffix(".json")}:
            path.unlink(missing_ok=True)


def _remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, that hold nothing but a lock."""
    for folder in folders:
        if not folder.is_dir() or any(path.name != LOCK for path in folder.iterdir()):
            return
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
