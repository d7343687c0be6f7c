"""`gatefold search`, `gatefold profile`, and the modes of a search in a build and in `gatefold evaluate`."""

import json

import numpy as np
import pytest
import torch
from qonnx.core.onnx_exec import execute_onnx
from torch import nn

from flow import models
from flow.cli import main
from flow.engine.compile import compile_graph
from flow.engine.config import Folding
from flow.engine.requant import hardware
from flow.errors import GatefoldError
from flow.explore.profile import profile
from flow.export.from_model import layer_graph
from flow.export.modes import ApplyMode
from flow.export.qonnx_export import export
from flow.finn import read_network
from flow.finn.convert import build_layer_graph
from flow.finn.convert import layer_graph as finn_graph
from flow.graph.integer import run
from flow.nn.modes import MODES, group_vector
from flow.training.checkpoint import SHIPPED, load_model, read_record, save_model


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
    assert search(folder, "--threshold", "0.2", "--points", "3") == 0
    return folder


def search(folder, *options):
    weights, data = str(folder / "weights.safetensors"), str(folder / "own.npz")
    return main(["search", "resnet8", "--checkpoint", weights, "--data", data, "--images", "20", "--jobs", "1",
                 "--output", str(folder), *options])  # fmt: skip


def test_the_modes_of_a_search_go_down_to_the_hardware(folder, tmp_path):
    """Model, QONNX in a mode, layer graph, FINN nodes and the engine's integers agree, images included."""
    model = load_model(folder / "resnet8.safetensors")
    record = read_record(folder / "resnet8.safetensors")
    assert model.searched and list(record["accuracy"]) == list(model.searched)
    assert record["search"]["held_out_images"] == 20 and record["search"]["test_images"] == 5
    qonnx = export(layer_graph(model), 3)
    export(layer_graph(model)).save(str(tmp_path / "model.onnx"))
    graph = finn_graph(read_network(tmp_path / "model.onnx"))
    assert list(graph.modes) == MODES + list(model.searched)
    back = finn_graph(build_layer_graph(graph))
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    compiled = compile_graph(graph, Folding())
    for name, groups in model.searched.items():
        assert {layer.name: graph.groups(name, layer) for layer in graph.layers} == groups
        model.set_mode(name)
        expected = model.integer_logits(images)
        assert np.array_equal(run(graph, planes, name).logits, expected)
        assert np.array_equal(run(graph, planes, name, hardware(compiled.table)).logits, expected)
        assert np.array_equal(run(back, planes, name).logits, expected)
        found = execute_onnx(qonnx.transform(ApplyMode(name)), {"image": planes.astype(np.float32)})["logits"]
        assert np.array_equal(found, expected)
        model.set_mode(groups)
        assert not np.array_equal(model.integer_logits(images), expected), "the mode has no statistics of its own"
    model.set_mode("1/2")
    assert np.array_equal(run(graph, planes, "1/2").logits, model.integer_logits(images))


def test_statistics_come_from_all_of_a_set_that_stands_class_after_class(folder, monkeypatch):
    seen = []

    class Seen(Exception):
        pass

    def look(model, images, labels, calibration, *others):
        seen.append(calibration)
        raise Seen

    monkeypatch.setattr("flow.explore.search.Search", look)
    images = np.repeat(np.arange(40, dtype=np.uint8), 32 * 32 * 3).reshape(40, 32, 32, 3)
    labels = np.arange(40) // 4
    np.savez(folder / "sorted.npz", train_x=images, train_y=labels, test_x=images, test_y=labels)
    with pytest.raises(Seen):
        main(["search", "resnet8", "--checkpoint", str(folder / "weights.safetensors"), "--data", str(folder / "sorted.npz"),
              "--images", "4", "--calibration", "20", "--output", str(folder / "sorted")])  # fmt: skip
    values = seen[0][:, 16, 16, 0]
    assert len(values) == 20 == len(set(values.tolist())) and len(set((values // 4).tolist())) >= 7
    assert (seen[0][:, 0, 0, 0] == 0).sum() > 5  # moved as in training, with its zeros around


def test_a_network_is_searched_once(folder):
    words = ["--data", str(folder / "own.npz"), "--images", "20", "--output", str(folder / "again")]
    assert main(["search", "resnet8", "--checkpoint", str(folder / "resnet8.safetensors"), *words]) == 2


def test_resume_and_json(folder, capsys):
    assert search(folder, "--resume", "--threshold", "0.2", "--points", "3", "--json") == 0
    captured = capsys.readouterr()
    shown = json.loads(captured.out)
    assert shown["modes"].keys() == json.loads((folder / "search.json").read_text())["modes"].keys()
    assert set(shown["uniform"]) == set(shown["dominated"]) == set(MODES)
    assert "are known already" in captured.err


def test_evaluate_knows_the_modes(folder, capsys):
    words = ["evaluate", "resnet8", "--checkpoint", str(folder / "resnet8.safetensors"), "--data", str(folder / "own.npz")]
    assert main([*words, "--mode", "pareto-1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["mode"] == "pareto-1"
    assert shown["accuracy"] == read_record(folder / "resnet8.safetensors")["accuracy"]["pareto-1"]
    assert main([*words, "--mode", "pareto-99"]) == 2


def test_modes_of_other_networks_are_refused():
    model = models.create("resnet8")
    groups = group_vector(model, "1/4")
    for name, vector in (("1/4", groups), ("a.b", groups), ("x", {**groups, "stem": 2}), ("x", {"stem": 1})):
        with pytest.raises(GatefoldError):
            model.add_mode(name, vector)


@pytest.mark.parametrize(
    "options",
    [
        ["--images", "30"],
        ["--points", "0"],
        ["--by", "nowhere"],
        ["--by", "cuda"],
        ["--threshold", "nan"],
        ["--test-images", "-3"],
        ["--calibration", "0"],
        ["--checkpoint", str(SHIPPED / "resnet8-acs.safetensors")],
    ],
)
def test_search_refuses(folder, options):
    if options == ["--by", "cuda"] and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert search(folder, *options) == 2


@pytest.mark.slow
def test_a_build_offers_the_modes_of_a_search(folder, tmp_path):
    weights = ["--checkpoint", str(folder / "resnet8.safetensors")]
    assert main(["build", "resnet8", *weights, "--output", str(tmp_path)]) == 0
    model = load_model(folder / "resnet8.safetensors")
    found = json.loads((tmp_path / "deploy" / "modes.json").read_text())["modes"]
    assert [mode["name"] for mode in found] == MODES + list(model.searched)
    for mode in found[len(MODES) :]:
        assert mode["group_counts"] == model.searched[mode["name"]] and mode["cycles_rtl"] == mode["cycles_model"]


def test_a_densenet_has_one_mode_to_time(capsys):
    assert main(["profile", "densenet41", "--repeats", "1", "--threads", "1", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["seconds"]) == ["full"]


def test_profile_times_every_mode_and_batch(capsys, monkeypatch):
    """A clock that the network advances, by the images of each run: the median of the runs after the warm-up is known."""
    ticks = [0.0]
    run = models.resnet.SwitchableResNet.forward

    def forward(model, x):
        ticks[0] += 1e-3 * len(x)
        return run(model, x)

    monkeypatch.setattr(models.resnet.SwitchableResNet, "forward", forward)
    monkeypatch.setattr("flow.explore.times.time.perf_counter", lambda: ticks[0])
    assert main(["profile", "resnet8", "--batch", "1,4", "--repeats", "2", "--threads", "1", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert list(shown["seconds"]) == MODES
    assert all(times == {"1": pytest.approx(1e-3), "4": pytest.approx(4e-3)} for times in shown["seconds"].values())
    monkeypatch.undo()
    assert main(["profile", "resnet8", "--repeats", "0"]) == 2


def test_profile_runs_real_grouped_convolutions(monkeypatch):
    model = models.create("resnet8")
    groups = []
    convolve = nn.functional.conv2d
    monkeypatch.setattr(nn.functional, "conv2d", lambda *args, **keys: groups.append((args + (1,))[6]) or convolve(*args, **keys))
    profile(model, ["1/8"], [1], "cpu", repeats=1)
    once = [max(c for c in spec.group_counts if c <= 8) for spec in model.layers() if spec.kind == "conv"]
    assert sorted(groups) == sorted(once * 4)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["processes", "ray"])
def test_search_on_other_workers(folder, tmp_path, backend):
    if backend == "ray":
        pytest.importorskip("ray")
    options = ["--threshold", "0.8", "--points", "3", "--test-images", "0"]
    assert search(folder, *options, "--output", str(tmp_path / "threads")) == 0
    assert search(folder, *options, "--output", str(tmp_path / backend), "--jobs", "2", "--backend", backend) == 0
    here, there = (json.loads((tmp_path / name / "search.json").read_text()) for name in ("threads", backend))
    assert here == there
