"""The repository's Python is formatted and linted as pyproject.toml says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("bench", "board", "docs", "flow", "hw", "tests", "README.md")
"""Where the repository's Python lies, that in texts too; a user's own files may lie beside them."""


def ruff(*arguments, text=None):
    command = [sys.executable, "-m", "ruff", *arguments]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True)


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["linter", "formatter"])
def test_python_is_in_one_style(command):
    seen = ruff(*command, "--no-cache", *FOLDERS)
    assert seen.returncode == 0, seen.stdout + seen.stderr


@pytest.mark.parametrize(
    "command, text",
    [(["check"], "import os\n"), (["check"], "def f():\n    return missing\n"), (["format", "--check"], "x = ( 1,2 )\n")],
)
@pytest.mark.parametrize("name", ["flow/build/new.py", "board/new.py", "tests/flow/build/test_new.py"])
def test_other_styles_are_found(command, text, name):
    assert ruff(*command, "--no-cache", "--stdin-filename", name, "-", text=text).returncode == 1
