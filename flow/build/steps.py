"""Build steps that are skipped when neither what they depend on nor what they made has changed."""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import flow
from flow.atomic import make_folder, write_text
from flow.kept import clear, content_digest, sync

SOURCES = Path(flow.__file__).parent
STAMPS, LOCK = "stamps", ".lock"
Report = Callable[[str | None], object]
"""Told the title of a step before it runs, and None after it or when it is skipped."""


def digest(*parts: Any) -> str:
    """SHA-256 (hex) of texts, bytes, the contents of files, and JSON of anything else."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = part.name.encode() + b"\0" + part.read_bytes()
        elif isinstance(part, str):
            part = part.encode()
        elif not isinstance(part, bytes):
            part = json.dumps(part, sort_keys=True).encode()
        total.update(len(part).to_bytes(8, "little") + part)
    return total.hexdigest()


def code_digest(*packages: str) -> str:
    """SHA-256 (hex) of the Python files in sub-packages of `flow`."""
    files = [file for package in packages for file in sorted((SOURCES / package).rglob("*.py"))]
    return digest(*files)


class Steps:
    """The steps of one build folder, with a stamp per step in its `stamps` folder.

    A stamp vouches for what a step made: it holds the step's key and the digest of each output, and is written when they are
    on the disk. An output that differs from its stamp is made anew.

    Args:
        folder: the build folder.
    """

    def __init__(self, folder: str | Path, report: Report = lambda title: None):
        self.folder = Path(folder)
        self.report = report

    def run(self, name: str, title: str, key: str, outputs: Sequence[Path], action: Callable[[], object]) -> bool:
        """Run `action()` unless the step's stamp vouches for `key` and all outputs.

        Args:
            name: of the stamp.
            title: for the user.
            key: changes when the outputs would; see `digest`.
            outputs: files and folders in the build folder that the action makes; it copes with whatever lies there.

        Returns:
            Whether the action ran.
        """
        current = self.vouches(name, key, outputs)
        if not current:
            self.report(title)
            stamp = self.folder / STAMPS / name
            if not stamp.parent.is_dir():
                clear(stamp.parent)
            clear(stamp)
            action()
            self.stamp(name, key, outputs)
        self.report(None)
        return not current

    def change(self, name: str, outputs: Sequence[Path], action: Callable[[], object]) -> None:
        """Run `action()` on what a step made, and vouch for the result if the stamp vouched for what was there."""
        key = self._stamp(name).get("key")
        known = self.vouches(name, key, outputs)
        action()
        if known:
            self.stamp(name, key, outputs)

    def vouches(self, name: str, key: str, outputs: Sequence[Path]) -> bool:
        """Whether the stamp was written for this key and these outputs as they are."""
        found = self._digests(outputs)
        return None not in found.values() and self._stamp(name) == {"key": key, "outputs": found}

    def stamp(self, name: str, key: str, outputs: Sequence[Path]) -> None:
        """Vouch for the outputs as they are, once they are on the disk."""
        for path in outputs:
            sync(path)
        write_text(self.folder / STAMPS / name, json.dumps({"key": key, "outputs": self._digests(outputs)}, indent=1) + "\n")

    def _stamp(self, name):
        try:
            stamp = json.loads((self.folder / STAMPS / name).read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return stamp if isinstance(stamp, dict) else {}

    def _digests(self, outputs):
        return {str(Path(path).relative_to(self.folder)): content_digest(path) for path in outputs}


@contextmanager
def exclusive(folder: str | Path, report: Report) -> Iterator[None]:
    """Hold a build folder for this process; waits, and reports so, while another one holds it."""
    folder = Path(folder)
    make_folder(folder)
    lock = folder / LOCK
    if lock.is_dir():
        clear(lock)
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another build of this folder")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
