"""Where commands put things by default: `build/` holds what a command can make again, `runs/` what took training."""

import os
from pathlib import Path

from flow.errors import GatefoldError

ROOT = Path(__file__).resolve().parents[1]


def build_root() -> Path:
    """Absolute path of the build folder: `GATEFOLD_BUILD`, or `build/` of this clone. `make clean` deletes it."""
    return _folder("GATEFOLD_BUILD", "build")


def runs_root() -> Path:
    """Absolute path of the folder of trained and searched networks: `GATEFOLD_RUNS`, or `runs/` of this clone.

    No target of the Makefile deletes it.
    """
    return _folder("GATEFOLD_RUNS", "runs")


def train_folder(model: str) -> Path:
    """Where `gatefold train MODEL` writes without --output."""
    return runs_root() / "train" / model


def teach_folder() -> Path:
    """Where `gatefold teach` writes without --output."""
    return runs_root() / "teach"


def search_folder(model: str) -> Path:
    """Where `gatefold search MODEL` writes without --output."""
    return runs_root() / "search" / model


def _folder(variable, name):
    named = os.environ.get(variable)
    if not named:
        return ROOT / name
    path = Path(named).absolute()
    if path.exists() and not path.is_dir():
        raise GatefoldError(f"{variable} names {path}, which is a file; let it name a folder, or unset it.")
    return path
