"""Every file that a command of the flow reads, damaged in every way: the right result, or one sentence and exit code 2.

What the damage does not change must come out as without it, and where a command refuses, nothing has been written.
"""

import io
import json
import shutil
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout

import joblib
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from flow.build import build
from flow.claim import LOCK
from flow.cli import main
from flow.data import Dataset, load_training
from flow.data.classes import read_names
from flow.errors import GatefoldError
from flow.explore import parallel
from flow.files import SEAL, sealed
from flow.models import create, initialise
from flow.nn.modes import group_vector
from flow.training.checkpoint import load_model, load_training_state, save_model
from tests.mutations import damages, json_damages, sweep

TRAIN = (
    "train resnet8 --full-epochs 0 --float-epochs 0 --samples 1 --batch 8 --steps 1 --threads 1 --json --test-images 1 "
    "--data own.npz --classes names.txt --epochs"
)
SEARCH = (
    "search resnet8 --checkpoint plain.safetensors --data own.npz --images 2 --calibration 2 --jobs 1 --points 1 --threshold 1 "
    "--test-images 0 --json --output"
)
WEIGHTS = ["weights.safetensors", "weights.json"]
# Command: its arguments, the files that it reads, and how many damages are tried in the quick test; the slow one has twice as many.
COMMANDS = {
    "evaluate": (
        "evaluate resnet8 --checkpoint weights.safetensors --data own.npz --mode full --json --threads 1",
        [*WEIGHTS, "own.npz"],
        20,
    ),
    "train": (
        f"{TRAIN} 1 --output new --set backbone=plain.safetensors",
        ["own.npz", "names.txt", "plain.safetensors", "plain.json"],
        10,
    ),
    "train --resume": (f"{TRAIN} 2 --output run --resume", ["run/checkpoint.pt"], 6),
    "train --seeds": (f"{TRAIN} 1 --output seeds --seeds 1", ["seeds/seed-1/record.json", "seeds/seed-1/checkpoint.pt"], 6),
    "search": (f"{SEARCH} new", ["plain.safetensors", "plain.json", "own.npz"], 6),
    "search --resume": (f"{SEARCH} search --resume", ["search/progress.json"], 8),
    "search --by": (f"{SEARCH} new --by table.json", ["table.json"], 8),
    "profile": ("profile resnet8 --checkpoint weights.safetensors --repeats 1 --threads 1 --json", WEIGHTS, 10),
    "report": (
        "report resnet8 --checkpoint weights.safetensors --data own.npz --images 2 --no-synthesis --pictures new --json",
        [*WEIGHTS, "own.npz"],
        10,
    ),
    "build": ("build resnet8 --checkpoint weights.safetensors --output new", WEIGHTS, 15),
}
# What somebody has written by hand: another word is another input.
WORDS = ["names.txt", "table.json"]
# How the runs begin that are gone on with.
BEGINNINGS = [f"{TRAIN} 1 --output run", f"{TRAIN} 1 --output seeds --seeds 1", f"{SEARCH} search"]


@contextmanager
def in_this_process(*_):
    """Where the runs of a sweep go: starting processes takes longer than they do."""
    with joblib.parallel_config("sequential"):
        yield


def end_of_build(request, source, report):
    """A build ends where it has read its weights, and says what they are: the rest takes minutes."""
    raise GatefoldError(f"built from weights of {source.digest}, {source.record!r}")


BUILT = "gatefold: built from weights of"


@pytest.fixture(scope="module", autouse=True)
def quick():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "workers", in_this_process)
        patch.setattr(build, "Conversion", end_of_build)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, quick):
    """A folder with an undamaged file of every kind."""
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8), np.arange(20) % 10
    names = [f"class {i}" for i in range(10)]
    np.savez(folder / "own.npz", train_x=x, train_y=y, test_x=x[:3], test_y=y[:3], class_names=np.array(names))
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    model = initialise(create("resnet8"), 1)
    save_model(model, folder / "plain.safetensors", {"data": "own"})
    model.add_mode("pareto-1", group_vector(model, "1/4"))
    save_model(model, folder / "weights.safetensors", {"data": "own", "class_names": names, "accuracy": {"full": 0.5}})
    (folder / "table.json").write_text(json.dumps({s.name: {str(n): 100.0 / n for n in s.group_counts} for s in model.layers()}))
    with chdir(folder), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        assert [main(beginning.split()) for beginning in BEGINNINGS] == [0] * len(BEGINNINGS)
    return folder


def contents(folder):
    """Path and bytes of all that a folder holds, but for locks."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*") if path.name != LOCK}


def result(command, code, out, err):
    """What a damage that does no harm must leave as it is: all that is said, but for times."""
    if command == "profile":
        out = {mode: list(times) for mode, times in json.loads(out)["seconds"].items()}
    elif command in ("train", "train --resume"):
        out = {key: value for key, value in json.loads(out).items() if key not in ("seconds", "command")}
    return (code, out, err if command == "build" else "")


@pytest.fixture
def run(whole, tmp_path):
    """Runs a command in a copy of the folder: (exit code, stdout, stderr, whether it has written something)."""

    def run(command, name=None, damage=None):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        if damage:
            damage(copy / name)
        before, out, err = contents(copy), io.StringIO(), io.StringIO()
        with chdir(copy), redirect_stdout(out), redirect_stderr(err):
            code = main(COMMANDS[command][0].split())
        said = err.getvalue()
        if command == "build":
            said = said[said.find("gatefold: ") :]  # behind the step at which its progress stands
        return code, out.getvalue(), said, contents(copy) != before

    return run


def is_told(code, out, err, written):
    return code == 2 and out == "" and err.startswith("gatefold: ") and err.count("\n") == 1 and not written


def damages_of(name):
    """Damage to a file by its kind."""
    return st.one_of(damages(), json_damages()) if name.endswith(".json") else damages()


TIMES = pytest.mark.parametrize("times", [1, pytest.param(2, marks=pytest.mark.slow)])


@TIMES
@pytest.mark.parametrize("command", COMMANDS)
def test_damage_is_harmless_or_told(command, times, run, record_property):
    _, names, inputs = COMMANDS[command]
    right = result(command, *run(command)[:3])

    def check(name, damage):
        seen = run(command, name, damage)
        assert is_told(*seen) or seen[0] == 0 and name in WORDS or result(command, *seen[:3]) == right, (name, damage, seen)

    damaged = st.sampled_from(names).flatmap(lambda name: st.tuples(st.just(name), damages_of(name)))
    sweep(lambda damaged: check(*damaged), times * inputs, record_property, damaged=damaged)


RECORDS = {
    "weights.json": ["evaluate", "profile", "build"],
    "plain.json": ["search", "train"],
    "search/progress.json": ["search --resume"],
    "seeds/seed-1/record.json": ["train --seeds"],
}


@TIMES
@pytest.mark.parametrize("name", RECORDS)
def test_other_records_with_a_digest_of_their_own(name, times, run, record_property):
    """Somebody edits a record and renews its digest: it may mean something else then, but is never a traceback."""

    def renewed(value):
        return json.loads(sealed({key: part for key, part in value.items() if key != SEAL})) if isinstance(value, dict) else value

    def check(command, damage):
        seen = run(command, name, damage)
        assert seen[0] == 0 or is_told(*seen) or seen[2].startswith(BUILT), (damage, seen)

    sweep(check, 8 * times, record_property, command=st.sampled_from(RECORDS[name]), damage=json_damages(renewed))


def plain(value):
    """What a reader gives, as something that can be compared."""
    if isinstance(value, Dataset):
        return plain(vars(value))
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    return (str(value.dtype), value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


# The readers behind the commands: a hundred times as quick, so many more damages.
READERS = {
    "own.npz": (lambda path: load_training(str(path)), 600),
    "names.txt": (read_names, 300),
    "weights.safetensors": (lambda path: load_model(path).state_dict(), 300),
    "weights.json": (lambda path: load_model(path.with_suffix(".safetensors")).state_dict(), 300),
    "run/checkpoint.pt": (load_training_state, 300),
}


@pytest.mark.parametrize("name", READERS)
def test_readers(name, whole, tmp_path, record_property):
    read, inputs = READERS[name]
    right, path = plain(read(whole / name)), tmp_path / (whole / name).name

    def check(damage):
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        for file in (whole / name).parent.glob(f"{path.stem}.*"):
            shutil.copyfile(file, tmp_path / file.name)
        damage(path)
        try:
            seen = plain(read(path))
        except GatefoldError as error:
            assert "\n" not in str(error), (damage, str(error))
        else:
            assert seen == right or name in WORDS, damage

    sweep(check, inputs, record_property, damage=damages_of(name))
