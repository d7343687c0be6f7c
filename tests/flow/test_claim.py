"""One run at a time in a folder, and none over another."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from flow.claim import LOCK, claim
from flow.cli import main
from flow.errors import GatefoldError
from flow.models import create, initialise
from flow.training.checkpoint import load_model, save_model

TRAIN = "train resnet8 --full-epochs 0 --float-epochs 0 --epochs 1 --samples 1 --batch 8 --steps 1 --threads 1".split()
SEARCH = "search resnet8 --images 8 --calibration 8 --jobs 1 --points 2 --threshold 0.99 --test-images 0".split()
TEACH = "teach --epochs 1 --views 1 --steps 1 --threads 1".split()
HOLD = "import sys; from flow.claim import claim\nwith claim(sys.argv[1]): print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8), np.arange(24) % 10
    np.savez(tmp_path / "own.npz", train_x=x, train_y=y, test_x=x[:4], test_y=y[:4])
    save_model(initialise(create("resnet8")), tmp_path / "weights.safetensors", {"data": "own"})
    return tmp_path


def run(command, data, folder="run", *options):
    words = [*command, "--data", str(data / "own.npz"), "--output", str(data / folder), *options]
    return main([*words, "--checkpoint", str(data / "weights.safetensors")] if command is SEARCH else words)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != LOCK}


def refused(capsys, *words):
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("gatefold: ") and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err


def test_a_lock_ends_with_its_process(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(GatefoldError, match="Another run writes to"), claim(tmp_path / "run"):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with claim(tmp_path / "run"), pytest.raises(GatefoldError, match="Another run writes to"), claim(tmp_path / "run"):
        pass


def test_what_stays_empty_is_taken_away(tmp_path):
    with claim(tmp_path / "a" / "b" / "c"):
        assert (tmp_path / "a" / "b" / "c").is_dir()
        (tmp_path / "a" / "kept").write_text("")
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "kept"]
    with pytest.raises(GatefoldError, match="cannot be made a folder"), claim(tmp_path / ("x" * 300)):
        pass


@pytest.mark.parametrize("command", [TRAIN, SEARCH, TEACH])
@pytest.mark.parametrize("options", [[], ["--resume"], ["--overwrite"]])
def test_the_second_of_two_runs_is_told(command, options, data, capsys):
    with claim(data / "run"):
        assert run(command, data, "run", *options) == 2
        refused(capsys, "Another run writes to", "--output")
    assert not (data / "run").exists()


def test_the_second_of_two_sweeps_is_told(data, capsys):
    with claim(data / "run" / "seed-1"):
        assert run(TRAIN, data, "run", "--seeds", "1") == 2
        refused(capsys, "Another run writes to", "seed-1")
    with claim(data / "run"):
        assert run(TRAIN, data, "run", "--seeds", "1") == 2
        refused(capsys, "Another run writes to")


WEIGHTS = "resnet8.safetensors"


@pytest.mark.parametrize(
    "command, kept, made",
    [(TRAIN, "checkpoint.pt", WEIGHTS), (SEARCH, "progress.json", WEIGHTS), (TEACH, "checkpoint.pt", "views.safetensors")],
)
def test_a_run_is_not_replaced_unless_that_is_asked_for(command, kept, made, data, capsys):
    assert run(command, data) == 0
    capsys.readouterr()
    before = contents(data / "run")
    assert kept in before and made in before
    for left in before:  # any one of the files that took time is enough
        (data / "run" / left).rename(data / left)
    for left in (kept, made):
        (data / "run" / left).write_bytes(before[left])
        assert run(command, data) == 2
        refused(capsys, f"holds a run already ({left})", "--resume", "--output", "--overwrite")
        assert contents(data / "run") == {left: before[left]}
        (data / "run" / left).unlink()
    for name, content in before.items():
        (data / "run" / name).write_bytes(content)
    assert run(command, data, "run", "--resume") == 0
    assert contents(data / "run").keys() == before.keys()
    changed = ["--calibration", "9"] if command is SEARCH else ["--seed", "5"]
    assert run(command, data, "run", "--resume", *changed) == 2
    assert run(command, data, "run", "--overwrite", *changed) == 0
    after = contents(data / "run")
    assert after.keys() == before.keys() and after[kept] != before[kept]
    if made == WEIGHTS:
        load_model(data / "run" / made)


def test_what_is_refused_replaces_nothing(data, capsys):
    """--overwrite on data of one class, which leaves nothing to learn."""
    assert run(TRAIN, data) == 0
    before = contents(data / "run")
    own = dict(np.load(data / "own.npz"))
    np.savez(data / "own.npz", **{**own, "train_y": own["train_y"] * 0, "test_y": own["test_y"] * 0})
    capsys.readouterr()
    assert run(TRAIN, data, "run", "--overwrite") == 2
    refused(capsys, "a single class")
    assert contents(data / "run") == before


def test_a_cluster_that_is_not_there_replaces_no_search(data, capsys, monkeypatch):
    from contextlib import contextmanager

    from flow.explore import parallel

    @contextmanager
    def nowhere(*_):
        raise GatefoldError("There is no cluster.")
        yield

    assert run(SEARCH, data) == 0
    before = contents(data / "run")
    capsys.readouterr()
    monkeypatch.setattr(parallel, "workers", nowhere)
    assert run(SEARCH, data, "run", "--overwrite", "--backend", "ray") == 2
    refused(capsys, "no cluster")
    assert contents(data / "run") == before


def test_seeds_go_on_by_themselves(data, capsys):
    assert run(TRAIN, data, "run", "--seeds", "1", "--overwrite") == 2
    refused(capsys, "--seeds goes on")
    assert not (data / "run").exists()


def test_an_unfinished_sweep_is_not_mixed_with_other_settings(data, capsys):
    assert run([*TRAIN, "--epochs", "2"], data, "run/seed-1", "--seed", "1") == 0
    capsys.readouterr()
    assert run([*TRAIN, "--epochs", "2"], data, "run", "--seeds", "1", "--lr", "0.01") == 2
    refused(capsys, "holds a run of other settings")


@pytest.mark.parametrize("command", [TRAIN, SEARCH])
def test_weights_that_a_run_starts_from_are_not_written_over(command, data, capsys):
    save_model(initialise(create("resnet8")), data / "resnet8.safetensors", {"data": "own"})
    before = contents(data)
    own = str(data / "resnet8.safetensors")
    options = ["--set", f"backbone={own}"] if command is TRAIN else ["--checkpoint", own]
    assert main([*command, "--data", str(data / "own.npz"), "--output", str(data), "--overwrite", *options]) == 2
    refused(capsys, "would write", "another --output")
    assert contents(data) == before
