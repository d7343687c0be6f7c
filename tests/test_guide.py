"""The guide to a network of one's own, walked as it is written, with fewer steps of training."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest

from flow.paths import build_root

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "guide" / "own-network.md"
PART = "## With group modes"
SHORT = {
    "--full-epochs": "1", "--float-epochs": "1", "--epochs": "2", "--refine-epochs": "0", "--steps": "4", "--test-images": "40",
}  # fmt: skip


def part():
    text = GUIDE.read_text()
    start = text.index(PART)
    end = text.find("\n## ", start + 1)
    return text[start : end if end > 0 else len(text)]


def listing(name):
    """The Python file that the guide shows under its name."""
    return re.search(rf"`{re.escape(name)}`.*?```python\n(.*?)```", part(), re.S)[1]


def commands():
    """The commands of the guide in order, each as a list of words."""
    text = part().replace("\\\n", " ")
    return [shlex.split(line[4:]) for line in text.splitlines() if re.match(r"    (\.venv(-board)?/bin/|make )", line)]


def shortened(words):
    """A command with little training."""
    words = list(words)
    for option, value in SHORT.items():
        if option in words:
            words[words.index(option) + 1] = value
        elif words[1] == "train":
            words += [option, value]
    return words


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """(folder, output of each command by its first words) after the whole guide up to the build, in a folder of its own."""
    folder = tmp_path_factory.mktemp("a user")
    # Verilator's own runtime, compiled once for all tests.
    (build_root() / "cache").mkdir(parents=True, exist_ok=True)
    (folder / "build").mkdir()
    (folder / "build" / "cache").symlink_to((build_root() / "cache").resolve())
    for name in ("pictures.py", "mynet.py"):
        (folder / name).write_text(listing(name))
    seen = {}
    for words in commands():
        kind = words[1]
        if kind in ("pictures.py", "train", "evaluate"):
            seen[kind] = call(folder, shortened(words))
    return folder, seen


def call(folder, words):
    """Run a command of the guide in another folder; gives its standard output."""
    environment = {
        **os.environ, "GATEFOLD_BUILD": str(folder / "build"), "GATEFOLD_RUNS": str(folder / "runs"), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    words = [str(ROOT / word) if word.startswith(".venv") or word == "board/run.py" else word for word in words]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=550)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pictures_train_and_evaluate(walk):
    folder, seen = walk
    assert len(list(folder.glob("pictures/*/*.png"))) == 1797 and len(list((folder / "pictures").iterdir())) == 10
    record = json.loads((folder / "runs/train/Net/Net.json").read_text())
    assert record["class_names"] == [f"digit-{number}" for number in range(10)] and record["data"] == "pictures"
    modes = ["full", "1/2", "1/4", "1/8", "1/16"]
    for mode in modes:
        assert re.search(rf"{mode} \d+\.\d\d %", seen["train"])
    assert re.findall(r"^Net (\S+): \d+\.\d\d % of 355 images$", seen["evaluate"], re.M) == modes
    # What the guide shows is of the same form.
    for text in (seen["train"].splitlines()[0], seen["evaluate"].splitlines()[0]):
        form = re.sub(r"\d+(\\\.\d+)?", r"[\\d.]+", re.escape(text).replace(r"\ ", r" +")).replace("40", "355")
        assert re.search(form, part()), text


def test_what_else_can_be_done_with_the_class(walk, monkeypatch, capsys):
    """Search, report, gates, and a backbone to go on from, each as short as it can be."""
    from flow.cli import main
    from flow.engine.plan import plan
    from flow.export.from_model import layer_graph
    from flow.training.checkpoint import load_named

    folder, _ = walk
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GATEFOLD_BUILD", str(folder / "none"))
    monkeypatch.setenv("GATEFOLD_RUNS", str(folder / "runs"))
    weights = "runs/train/Net/Net.safetensors"
    few = ["--images", "10", "--calibration", "10", "--test-images", "10", "--points", "2", "--jobs", "1", "--threshold", "0.99"]
    assert main(["search", "mynet.py:Net", "--checkpoint", weights, "--data", "pictures", *few]) == 0
    found = folder / "runs/search/Net/Net.safetensors"
    assert str(found) in capsys.readouterr().out and load_named("mynet.py:Net", found).searched
    assert main(["report", "mynet.py:Net", "--checkpoint", str(found), "--no-synthesis", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["model"] == "Net" and "pareto-1" in report["modes"] and "block3.shortcut" in report["modes"]["full"]["layers"]
    short = ["--data", "pictures", "--steps", "1", "--batch", "8", "--test-images", "10", "--threads", "1", "--held-out", "10"]
    gates = ["--method", "acs", *(f"--set=backbone={weights} --set=float_epochs=0 --set=first_epochs=0 --set=epochs=1".split())]
    assert main(["train", "mynet.py:Net", *gates, *short, "--output", "gated"]) == 0
    gated = load_named("mynet.py:Net", "gated/Net.safetensors")
    assert (
        gated.gates_on
        and main(["evaluate", "mynet.py:Net", "--checkpoint", "gated/Net.safetensors", "--data", "pictures", "--count", "4"]) == 0
    )
    assert "skip ratio" in capsys.readouterr().out
    assert plan(layer_graph(gated)).config.factors == 32


def test_the_class_is_verified_from_brevitas_to_rtl(walk, monkeypatch, capsys):
    """The build of the guide with a small engine: integers of the class, RTL and simulated accelerator in every mode."""
    from flow.build.deploy import built_graph, read
    from flow.cli import main
    from flow.graph.integer import run
    from flow.training.checkpoint import load_named

    folder, _ = walk
    monkeypatch.chdir(folder)
    monkeypatch.setenv("GATEFOLD_BUILD", str(folder / "build"))
    weights = folder / "runs/train/Net/Net.safetensors"
    assert main(["build", "mynet.py:Net", "--checkpoint", str(weights), "--p", "32", "--pe", "1", "--r", "8"]) == 0
    assert "RTL equal to the integer model in every mode" in capsys.readouterr().out
    contents = read(folder / "build/Net/deploy")
    assert contents["model"] == "Net" and contents["trained"] and contents["classes"] == [f"digit-{k}" for k in range(10)]
    graph, model = built_graph(folder / "build/Net", contents), load_named("mynet.py:Net", weights)
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    for mode in graph.modes:
        model.set_mode(mode)
        assert np.array_equal(run(graph, images.transpose(0, 3, 1, 2), mode).logits, model.integer_logits(images))
    # The board program, as in the guide.
    for words in commands():
        if words[1] == "board/run.py":
            told = call(folder, [*words, "--board-dir", "build/Net/deploy"])
            assert told.startswith("Net in mode") and "simulated pynq-z2" in told and re.search(r"predictions  .*digit-\d", told)
    # Another topology under the same weights is refused.
    (folder / "mynet.py").write_text(listing("mynet.py").replace("Residual(16, 16)", "Residual(16, 16, shuffle=False)"))
    assert main(["build", "mynet.py:Net", "--checkpoint", str(weights)]) == 2
    assert "has changed since" in capsys.readouterr().err
    (folder / "mynet.py").write_text(listing("mynet.py"))


@pytest.mark.slow
def test_every_command_of_the_guide(walk):
    """What is left of it: the build as it is written, and a search."""
    folder, _ = walk
    for words in commands():
        if words[1] not in ("pictures.py", "train", "evaluate") and words[0] != "make":
            call(folder, shortened(words))
