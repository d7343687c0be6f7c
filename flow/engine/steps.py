"""Build steps that are skipped when nothing they depend on has changed, and files that appear whole or not at all."""

import fcntl
import hashlib
import json
import shutil
from contextlib import contextmanager
from pathlib import Path

import flow
from flow.atomic import make_folder, write_text

SOURCES = Path(flow.__file__).parent


def digest(*parts):
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


def file_hash(path):
    """SHA-256 (hex) of a file's contents."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def code_digest(*packages):
    """SHA-256 (hex) of the Python files in sub-packages of `flow`."""
    files = [file for package in packages for file in sorted((SOURCES / package).rglob("*.py"))]
    return digest(*files)


class Steps:
    """The steps of one build folder, with a stamp per step in its `stamps` folder.

    Args:
        folder: the build folder.
        report: called with a step's title before it runs, and with None after it or when it is skipped.
    """

    def __init__(self, folder, report=lambda title: None):
        self.folder = Path(folder)
        self.report = report

    def run(self, name, title, key, outputs, action):
        """Run `action()` unless the step's stamp holds `key` and all outputs exist.

        Args:
            name: of the stamp.
            title: for the user.
            key: text that changes when the outputs would; see `digest`.
            outputs: paths that the action makes.

        Returns:
            Whether the action ran.
        """
        stamp = self.folder / "stamps" / name
        current = stamp.exists() and stamp.read_text() == key and all(Path(path).exists() for path in outputs)
        if not current:
            self.report(title)
            stamp.unlink(missing_ok=True)
            action()
            write_text(stamp, key)
        self.report(None)
        return not current


@contextmanager
def exclusive(folder, report):
    """Hold a build folder for this process; waits, and reports so, while another one holds it."""
    folder = Path(folder)
    make_folder(folder)
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another build of this folder")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace_folder(path, fill):
    """Make `path` hold exactly what `fill(temporary folder)` writes; an interrupted call leaves the old folder or none."""
    path = Path(path)
    part, old = (path.with_name(path.name + suffix) for suffix in (".part", ".old"))
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        fill(part)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if path.exists():
        path.rename(old)
    part.rename(path)
    shutil.rmtree(old, ignore_errors=True)
