"""A disk that is full while a command writes: one sentence, what was there stays, and nothing is half written."""

import errno
import io
import os
import resource
import signal
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout

import numpy as np
import pytest

from flow.claim import LOCK
from flow.cli import main
from flow.models import create, initialise
from flow.training.checkpoint import save_model

DATA = "--data own.npz"
TRAIN = f"train resnet8 {DATA} --full-epochs 0 --float-epochs 0 --samples 1 --batch 8 --steps 1 --threads 1 --output run --epochs"
SEARCH = (
    f"search resnet8 {DATA} --checkpoint weights.safetensors --images 2 --calibration 2 --jobs 1 --points 1 --threshold 1 "
    "--test-images 0 --output run"
)
REPORT = f"report resnet8 {DATA} --checkpoint weights.safetensors --images 2 --no-synthesis --pictures run"


@pytest.fixture
def folder(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "own.npz", train_x=x, train_y=np.arange(20) % 10, test_x=x[:3], test_y=np.arange(3))
    save_model(initialise(create("resnet8"), 1), tmp_path / "weights.safetensors", {"data": "own"})
    return tmp_path


@contextmanager
def full_disk(space):
    """No file grows beyond so many bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (space, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def run(folder, command):
    """(exit code, what stderr says at last)."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        code = main(command.split())
    assert code == 0 or out.getvalue() == ""
    return code, err.getvalue().splitlines()[-1:]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != LOCK}


WRITES = [
    (None, f"{TRAIN} 1"),
    (f"{TRAIN} 1", f"{TRAIN} 2 --resume"),
    (None, SEARCH),
    (SEARCH, f"{SEARCH} --resume"),
    (None, REPORT),
    (REPORT, REPORT),
]


def check(folder, before, seen):
    code, (sentence,) = seen
    assert code == 2 and sentence.startswith("gatefold: ") and "could not be written" in sentence and "free some space" in sentence
    after = contents(folder)
    made = after.keys() - before.keys()
    assert before.items() <= after.items()  # what was there is as it was
    assert not any(name.endswith(".part") for name in made)
    assert ("resnet8.safetensors" in made) == ("resnet8.json" in made)


@pytest.mark.parametrize("beginning, command", WRITES)
def test_no_file_can_be_written(beginning, command, folder):
    if beginning:
        assert run(folder, beginning)[0] == 0
    before = contents(folder)
    with full_disk(100):
        seen = run(folder, command)
    check(folder, before, seen)
    assert contents(folder) == before


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("command", [f"{TRAIN} 1", SEARCH])
def test_the_disk_is_full_after_some_files(command, number, folder, monkeypatch):
    """The last bytes of one file find no space any more; those before are written."""
    sync, calls = os.fsync, []

    def fsync(descriptor):
        calls.append(descriptor)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    before = contents(folder)
    monkeypatch.setattr(os, "fsync", fsync)
    seen = run(folder, command)
    monkeypatch.setattr(os, "fsync", sync)
    check(folder, before, seen)
    again = f"{command} --resume" if (folder / "run").exists() else command
    assert run(folder, again)[0] == 0 and "resnet8.safetensors" in contents(folder)
