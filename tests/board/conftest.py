"""A built deploy folder for the board program, and a way to run Python in the board program's environment."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BOARD_PYTHON = ROOT / ".venv-board" / "bin" / "python"


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Folder of a build of resnet8 with random weights, simulated accelerator included."""
    from flow.cli import main
    from flow.paths import build_root

    folder = build_root() / "test" / "board"
    assert main(["build", "resnet8", "--untrained", "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def board():
    """A function that runs `arguments` with the board environment's Python in the clone and returns the finished process."""
    if not BOARD_PYTHON.exists():
        pytest.skip("the board program's environment is missing; make it with: make setup")

    def call(*arguments, timeout=300):
        return subprocess.run(
            [BOARD_PYTHON, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=timeout
        )

    return call
