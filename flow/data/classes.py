"""Names of the classes of own data."""

from pathlib import Path

import numpy as np

from flow.errors import GatefoldError
from flow.files import check_file

LONGEST = 64
MOST_BYTES = 1 << 20


def check_names(source: str | Path, names: list[str]) -> tuple[str, ...]:
    """The names, each one printable line of its own; GatefoldError otherwise.

    Args:
        source: where they stand, for the sentence.
    """
    if not names:
        raise GatefoldError(f"{source} holds no class names; give one for each class.")
    for number, name in enumerate(names):
        if not name.strip() or not name.isprintable() or len(name) > LONGEST:
            raise GatefoldError(
                f"{source}: the name of class {number} is {name[:20]!r}; give each class 1 to {LONGEST} printable characters."
            )
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise GatefoldError(f"{source} names two classes {twice!r}; give each a name of its own.")
    return tuple(names)


def read_names(path: Path) -> tuple[str, ...]:
    """Class names from a text file (UTF-8), that of class 0 in the first line."""
    check_file(path, "give --classes a text file with a class name in each line")
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        text = None
    if text is None or len(content) > MOST_BYTES:
        raise GatefoldError(f"{path} is no text file with class names; save one name in each line, as UTF-8.")
    return check_names(path, [line.strip() for line in text.rstrip().splitlines()] if text.strip() else [])


def names_in(source: str, array: np.ndarray) -> tuple[str, ...]:
    """Class names from the array ``class_names`` of an .npz file."""
    if array.dtype.kind != "U" or array.ndim != 1:
        raise GatefoldError(
            f"{source} holds class_names of type {array.dtype} and shape {list(array.shape)}; save a list of strings."
        )
    return check_names(f"class_names in {source}", array.tolist())
