"""`gatefold search`, `gatefold profile`, and the modes of a search in a build and in `gatefold evaluate`."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from flow import models
from flow.cli import main
from flow.engine.build import searched_modes, weights_digest
from flow.engine.compile import keep_modes
from flow.engine.from_model import layer_graph
from flow.engine.integer import run
from flow.errors import GatefoldError
from flow.explore.profile import profile
from flow.export.importer import import_graph
from flow.export.qonnx_export import export
from flow.nn.modes import MODES, group_vector
from flow.training.checkpoint import save_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network with random weights, a data set that it labels itself, and the search on both."""
    folder = tmp_path_factory.mktemp("search")
    model = models.initialise(models.create("resnet8"))
    save_model(model, folder / "weights.safetensors", {"data": "own"})
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    model.set_mode("1/2")
    labels = model.integer_logits(images).argmax(1)
    np.savez(folder / "own.npz", train_x=images, train_y=labels, test_x=images[:5], test_y=labels[:5])
    assert search(folder, "--threshold", "0.5", "--points", "3") == 0
    return folder


def search(folder, *options):
    weights, data = str(folder / "weights.safetensors"), str(folder / "own.npz")
    return main(["search", "resnet8", "--checkpoint", weights, "--data", data, "--images", "20", "--jobs", "1",
                 "--output", str(folder), *options])  # fmt: skip


def test_search_writes_modes_that_a_build_takes(folder):
    model = models.initialise(models.create("resnet8"))
    contents = json.loads((folder / "search.json").read_text())
    modes, accuracy = searched_modes(folder / "search.json", model)
    assert list(accuracy) == list(modes) == list(contents["modes"])
    assert contents["held_out_images"] == 20 and contents["test_images"] == 5
    graph = import_graph(export(layer_graph(model, modes)))
    assert list(graph.modes) == MODES + list(modes)
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    for name, groups in modes.items():
        assert graph.modes[name] == groups
        model.set_mode(groups)
        found = run(keep_modes(graph, ["full", name]), images.transpose(0, 3, 1, 2), name).logits
        assert np.array_equal(found, model.integer_logits(images))


def test_modes_of_other_weights_are_refused(folder):
    other = models.initialise(models.create("resnet8"), seed=1)
    assert weights_digest(other) != json.loads((folder / "search.json").read_text())["weights"]
    with pytest.raises(GatefoldError, match="other weights"):
        searched_modes(folder / "search.json", other)


def test_resume_and_json(folder, capsys):
    assert search(folder, "--resume", "--test-images", "5", "--json") == 0
    captured = capsys.readouterr()
    shown = json.loads(captured.out)
    assert shown["modes"].keys() == json.loads((folder / "search.json").read_text())["modes"].keys()
    assert set(shown["uniform"]) == set(shown["dominated"]) == set(MODES)
    assert "are known already" in captured.err


def test_evaluate_knows_the_modes(folder, capsys):
    words = ["evaluate", "resnet8", "--checkpoint", str(folder / "weights.safetensors"), "--data", str(folder / "own.npz")]
    assert main([*words, "--search", str(folder / "search.json"), "--mode", "pareto-1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["mode"] == "pareto-1"
    assert shown["accuracy"] == json.loads((folder / "search.json").read_text())["test_accuracy"]["pareto-1"]
    assert main([*words, "--search", str(folder / "search.json"), "--mode", "pareto-99"]) == 2


@pytest.mark.parametrize(
    "options", [["--images", "30"], ["--points", "0"], ["--by", "nowhere"], ["--by", "cuda"], ["--jobs", "0"]]
)
def test_search_refuses(folder, options):
    if options == ["--by", "cuda"] and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert search(folder, *options) == 2


def test_profile_times_every_mode_and_batch(capsys):
    assert main(["profile", "resnet8", "--batch", "1,4", "--repeats", "2", "--threads", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {mode: list(times) for mode, times in shown["seconds"].items()} == {mode: ["1", "4"] for mode in MODES}
    assert all(value > 0 for times in shown["seconds"].values() for value in times.values())
    assert main(["profile", "resnet8", "--repeats", "0"]) == 2


def test_profile_runs_real_grouped_convolutions(monkeypatch):
    model = models.create("resnet8")
    groups = []
    convolve = nn.functional.conv2d
    monkeypatch.setattr(nn.functional, "conv2d", lambda *args, **keys: groups.append((args + (1,))[6]) or convolve(*args, **keys))
    profile(model, {"1/8": group_vector(model, "1/8")}, [1], "cpu", repeats=1)
    once = [max(c for c in spec.group_counts if c <= 8) for spec in model.layers() if spec.kind == "conv"]
    assert sorted(groups) == sorted(once * 4)
