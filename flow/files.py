"""Reading files that somebody else may have written, moved or damaged."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from flow.errors import GatefoldError

SEAL = "digest"


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


def parse_json(text: str) -> Any:
    """What a text of JSON holds; ValueError if it is none, or an object has a name twice: which of the values holds is nobody's guess."""

    def once(pairs):
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name stands twice")
        return found

    return json.loads(text, object_pairs_hook=once)


def read_json(path: Path, remedy: str) -> dict:
    """The JSON object in a file; GatefoldError if there is none, or one that has a name twice.

    Args:
        remedy: what to do instead, for the sentence.
    """
    check_file(path, remedy)
    try:
        contents = parse_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise GatefoldError(f"{path} is damaged: it is no JSON file; {remedy}.") from None
    if not isinstance(contents, dict):
        raise GatefoldError(f"{path} is damaged: it holds no JSON object; {remedy}.")
    return contents


def sealed(contents: dict) -> str:
    """A JSON object with its own digest as text, for ``read_sealed``."""
    contents = json.loads(json.dumps(contents))  # as it will be read
    return json.dumps({**contents, SEAL: _digest(contents)}, indent=2) + "\n"


def read_sealed(path: Path, remedy: str) -> dict:
    """The JSON object that ``sealed`` gave, without its digest; GatefoldError if anything of it has changed.

    A file from before there were digests has none.
    """
    contents = read_json(path, remedy)
    if SEAL in contents and contents.pop(SEAL) != _digest(contents):
        raise GatefoldError(f"{path} is damaged: it is not as it was written; {remedy}.")
    return contents


def is_share(value: object) -> bool:
    """Whether a value from a file is a number from 0 to 1."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value <= 1


def _digest(contents: dict) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
