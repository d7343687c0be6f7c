"""The set-up: what is pinned is installed, a second call does nothing, and what is missing is named."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
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


def test_a_stamp_follows_what_it_vouches_for_to_the_disk(tmp_path):
    """A real environment is made and its packages are refused: one step is done, synced, and then stamped at one blow."""
    (tmp_path / "requirements").mkdir()
    for name in ("setup.sh", "flow.txt"):
        shutil.copy(SETUP.parent / name, tmp_path / "requirements")
    (tmp_path / "bin").mkdir()
    for name in ("sync", "mv"):  # the real ones, which write down what they find
        program = tmp_path / "bin" / name
        program.write_text(
            f'#!/bin/sh\necho {name} "$@" : $(ls .venv/bin/python .venv/.stamp-* 2>/dev/null) >>log\nexec {shutil.which(name)} "$@"\n'
        )
        program.chmod(0o755)
    variables = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PIP_NO_INDEX": "1", "PYTHON": sys.executable, "LC_ALL": "C"}
    script = tmp_path / "requirements" / "setup.sh"
    done = subprocess.run([script, "flow"], capture_output=True, text=True, env={**os.environ, **variables})
    assert done.returncode != 0 and "setuptools" in done.stderr
    assert (tmp_path / "log").read_text().splitlines() == [
        "sync -f .venv : .venv/bin/python",
        "mv .venv/.stamp-python.part .venv/.stamp-python : .venv/.stamp-python.part .venv/bin/python",
    ]
    assert [path.name for path in (tmp_path / ".venv").glob(".stamp-*")] == [".stamp-python"]


def test_unknown_environment_is_refused():
    done = setup("nothing")
    assert done.returncode == 2 and "requirements/setup.sh flow" in done.stderr
