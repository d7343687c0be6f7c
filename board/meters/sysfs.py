"""Numbers in files of the kernel."""

import os
from pathlib import Path
from typing import List, Optional

from board.errors import BoardError


def number(path: str) -> float:
    """The number in a file, read in one piece.

    Raises:
        OSError: the device has gone.
        ValueError: there is no number.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return float(os.read(file, 64))
    finally:
        os.close(file)


def optional(path: Path) -> Optional[float]:
    """The number in a file, or None."""
    try:
        return number(str(path))
    except (OSError, ValueError):
        return None


def named(pattern: str, root: Path, name: str) -> List[Path]:
    """Folders of devices in the kernel's tree whose `name` is this."""
    found = []
    for folder in sorted(root.glob(pattern)):
        try:
            if (folder / "name").read_text(encoding="utf-8", errors="replace").strip().lower() == name:
                found.append(folder)
        except OSError:
            continue
    return found


def only(folders: List[Path], which: str, name: str, remedy: str) -> Path:
    """The one folder of a device, or the one that `which` names: its path, or the last part of it.

    Raises:
        BoardError: there is none, or which one is not said.
    """
    if which:
        if "/" in which:
            folders = [Path(which)] if Path(which).is_dir() else []
        else:
            folders = [folder for folder in folders if folder.name == which]
    if not folders:
        raise BoardError(f"the kernel shows no {name}{f' at {which:.60}' if which else ''}; {remedy}.")
    if len(folders) > 1:
        choice = ", ".join(folder.name for folder in folders)
        raise BoardError(f"the kernel shows {len(folders)} {name} ({choice}); say which: --meter {name}:{folders[0].name}.")
    return folders[0]
