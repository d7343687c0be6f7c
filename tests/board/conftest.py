"""A built deploy folder for the board program, and ways to run it in its own environment."""

import hashlib
import json
import selectors
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
BOARD_PYTHON = ROOT / ".venv-board" / "bin" / "python"


OF_ENGINE = ("interface.json", "accelerator.so", "accelerator.hwh", "accelerator.bit")


def seal(deploy, **changes):
    """Make modes.json of a deploy folder, with `changes` to its keys, and engine.json, with those that say which engine it is, vouch for
    themselves and for the other files as they are, or the one of the two that is there; `files` is that of modes.json."""
    others = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(deploy.iterdir()) if path.is_file()}
    vouching = ("engine.json", "modes.json")
    for name in filter(others.__contains__, vouching):
        contents = json.loads((deploy / name).read_text())
        of_engine = name == "engine.json"
        contents["files"] = {file: others[file] for file in others if file not in vouching and (file in OF_ENGINE) == of_engine}
        known = {
            key: value for key, value in changes.items() if name == "modes.json" or key in ("engine_hash", "board", "clock_mhz")
        }
        (deploy / name).write_text(json.dumps(sealed({**contents, **known})))


def sealed(contents):
    """`contents` of modes.json or engine.json with the digest that belongs to them."""
    others = {key: value for key, value in contents.items() if key != "digest"}
    canonical = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return {**others, "digest": hashlib.sha256(canonical.encode()).hexdigest()}


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """Folder of a build of resnet8 with random weights, simulated accelerator included."""
    from flow.cli import main
    from flow.paths import build_root

    folder = build_root() / "test" / "board"
    assert main(["build", "resnet8", "--untrained", "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """(file, uint8 [N, 32, 32, 3]) of random pictures."""
    from equipped import IMAGES

    images = np.random.default_rng(11).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("pictures") / "x.npy"
    np.save(path, images)
    return path, images


@pytest.fixture(scope="session")
def board():
    """A function that runs `arguments` with the board environment's Python in the clone and returns the finished process."""
    if not BOARD_PYTHON.exists():
        pytest.skip("the board program's environment is missing; make it with: make setup")

    def call(*arguments, timeout=300, **settings):
        settings = {"capture_output": True, "text": True, "cwd": ROOT, **settings}
        return subprocess.run([BOARD_PYTHON, *map(str, arguments)], timeout=timeout, **settings)

    return call


class Program:
    """The board program as a function, in a process that stays: calls take milliseconds and not seconds."""

    def __init__(self):
        self._process = None

    def __call__(self, *arguments, timeout=120, **environment):
        """Runs it with these arguments and variables of the environment; returns code, out, err and peak (of memory, in MB).

        Fails the test when the process dies or does not answer.
        """
        if self._process is None:
            command = [BOARD_PYTHON, ROOT / "tests" / "board" / "worker.py"]
            self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._process.stdin.write(json.dumps([[str(argument) for argument in arguments], environment]) + "\n")
            self._process.stdin.flush()
            with selectors.DefaultSelector() as selector:
                selector.register(self._process.stdout, selectors.EVENT_READ)
                answer = self._process.stdout.readline() if selector.select(timeout) else ""
            return SimpleNamespace(**json.loads(answer))
        except BaseException as problem:  # no answer, or pytest's own time-out: the next call needs another process
            self._process.kill()
            code, self._process = self._process.wait(), None
            if not isinstance(problem, (ValueError, OSError)):
                raise
            pytest.fail(f"board/run.py {arguments} gave no answer in {timeout} s or died ({code})")

    def refuse(self, *arguments, saying, **environment):
        """Runs it; it must end with exit code 2, print nothing, and say one sentence that holds `saying`."""
        done = self(*arguments, **environment)
        assert (done.code, done.out) == (2, ""), (done.code, done.out, done.err)
        lines = done.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("gatefold: ") and saying in lines[0], done.err

    def close(self):
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()


@pytest.fixture(scope="session")
def program():
    """Program."""
    if not BOARD_PYTHON.exists():
        pytest.skip("the board program's environment is missing; make it with: make setup")
    program = Program()
    yield program
    program.close()


@pytest.fixture
def deploy(build, tmp_path):
    """A copy of the deploy folder to damage."""
    return shutil.copytree(build / "deploy", tmp_path / "deploy")
