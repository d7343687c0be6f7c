"""Reading files that somebody else may have written, moved or damaged."""

import json
import os
from pathlib import Path

from flow.errors import GatefoldError


def check_file(path: Path, remedy: str) -> None:
    """GatefoldError unless there is a regular file: a named pipe would be waited for, a device has no end.

    Args:
        remedy: what to do instead, for the sentence.
    """
    if os.path.isfile(path):
        return
    if os.path.isdir(path):
        raise GatefoldError(f"{path} is a folder; {remedy}.")
    if os.path.exists(path):
        raise GatefoldError(f"{path} is not a regular file; {remedy}.")
    raise GatefoldError(f"There is no file {path}; {remedy}.")


def read_json(path: Path, remedy: str) -> dict:
    """The JSON object in a file; GatefoldError if there is none.

    Args:
        remedy: what to do instead, for the sentence.
    """
    check_file(path, remedy)
    try:
        contents = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise GatefoldError(f"{path} is no JSON file that can be read; {remedy}.") from None
    if not isinstance(contents, dict):
        raise GatefoldError(f"{path} holds no JSON object; {remedy}.")
    return contents
