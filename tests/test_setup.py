"""The set-up: what is pinned is installed, a second call does nothing, and what is missing is named."""

import importlib.metadata
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETUP = ROOT / "requirements" / "setup.sh"


def pinned(lock):
    """name -> version of a lock file."""
    lines = [line for line in (ROOT / "requirements" / lock).read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9._]+", line) for line in lines)
    return dict(line.split("==") for line in lines)


def setup(environment, **variables):
    return subprocess.run([SETUP, environment], capture_output=True, text=True, env={**os.environ, **variables})


def test_installed_is_what_is_pinned():
    for name, version in pinned("flow.txt").items():
        assert importlib.metadata.version(name).partition("+")[0] == version, name


def test_board_environment_is_what_is_pinned():
    python = ROOT / ".venv-board" / "bin" / "python"
    if not python.exists():
        pytest.skip("the board program's environment is missing; make it with: make setup")
    listed = subprocess.run(
        [python, "-m", "pip", "--disable-pip-version-check", "freeze", "--all"], capture_output=True, text=True, check=True
    )
    installed = dict(line.split("==") for line in listed.stdout.splitlines() if "==" in line)
    for name, version in pinned("board.txt").items():
        assert installed[name] == version
    assert installed["pynq"] == "4.0.0" and installed["numpy"].startswith("1.")


def test_a_second_call_does_nothing():
    for environment, folder in (("flow", ".venv"), ("board", ".venv-board")):
        if not (ROOT / folder / ".stamp-packages").exists():
            pytest.skip("set-up was not made by requirements/setup.sh; make it with: make setup")
        done = setup(environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_missing_python_is_named():
    done = setup("flow", PYTHON="python3.11-nowhere")
    assert done.returncode == 2 and "python3.11-nowhere is missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("program", ["g++", "make", "perl"])
def test_missing_program_is_named(tmp_path, program):
    for name in ("bash", "env", "dirname", "sha256sum", "cut", "cat", "grep", "tr", "g++", "make", "perl"):
        if name != program:
            found = subprocess.run(["which", name], capture_output=True, text=True).stdout.strip()
            (tmp_path / name).symlink_to(found)
    done = setup("flow", PATH=str(tmp_path), PYTHON=str(ROOT / ".venv" / "bin" / "python"))
    assert done.returncode == 2 and done.stderr.startswith(f"gatefold: {program} is missing")
    assert len(done.stderr.splitlines()) == 1


def test_unknown_environment_is_refused():
    done = setup("nothing")
    assert done.returncode == 2 and "requirements/setup.sh flow" in done.stderr
