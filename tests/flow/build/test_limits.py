"""What the engine cannot take is told before the work, what it can take it runs."""

import json

import numpy as np
import pytest

from flow import models
from flow.cli import main
from flow.engine.compile import keep_modes
from flow.engine.plan import CLASSES, plan
from flow.errors import GatefoldError
from flow.export.from_model import layer_graph
from flow.graph.layers import LayerGraph, Setting
from flow.graph.random_graph import random_resnet
from flow.training.checkpoint import save_model


def weights(folder, classes, model="resnet8"):
    path = folder / f"{model}.safetensors"
    save_model(models.initialise(models.create(model, classes), 1), path, {"data": "own"})
    return path


def refused(capsys):
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gatefold:")]
    return line


@pytest.mark.parametrize("classes", [1, 256, 300])
def test_build_and_report_refuse_classes_before_the_work(tmp_path, capsys, classes):
    path = weights(tmp_path, classes)
    for command in (
        ["build", "resnet8", "--checkpoint", str(path), "--output", str(tmp_path / "build")],
        ["report", "resnet8", "--checkpoint", str(path)],
        ["report", "resnet8", "--classes", str(classes)],
    ):
        assert main(command) == 2
        assert f"The engine tells 2 to 255 classes apart and resnet8 has {classes}" in refused(capsys)
    assert not (tmp_path / "build").exists()


def test_the_clock_is_that_of_the_very_engine_that_is_built(tmp_path, capsys, monkeypatch):
    """Its classes and modes included, before anything is written."""
    seen = []

    def refuse(parameters, clock_mhz):
        seen.append((parameters["CLASSES"], parameters["MODES"], clock_mhz))
        raise GatefoldError("99 MHz is not carried.")

    monkeypatch.setattr("flow.synth.timing.check_clock", refuse)
    build = ["build", "resnet8", "--clock", "100", "--modes", "full,1/4", "--output", str(tmp_path / "build")]
    assert main([*build, "--checkpoint", str(weights(tmp_path, 3))]) == 2
    assert "99 MHz" in refused(capsys) and seen == [(3, 2, 100)]
    assert not (tmp_path / "build").exists()


def data(folder, classes):
    path = folder / "own.npz"
    labels = np.arange(2 * classes) % classes
    images = np.zeros((2 * classes, 32, 32, 3), np.uint8)
    np.savez(path, train_x=images, train_y=labels, test_x=images, test_y=labels)
    return path


TRAIN = [
    "--full-epochs",
    "0",
    "--float-epochs",
    "0",
    "--epochs",
    "1",
    "--samples",
    "2",
    "--steps",
    "1",
    "--batch",
    "2",
    "--threads",
    "1",
]


def test_training_says_what_cannot_be_built(tmp_path, capsys):
    assert (
        main(
            [
                "train",
                "resnet8",
                "--data",
                str(data(tmp_path, 256)),
                *TRAIN,
                "--test-images",
                "2",
                "--output",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    assert "can be trained and evaluated, but not built: The engine tells 2 to 255 classes apart" in capsys.readouterr().err
    assert main(["train", "resnet8", "--data", str(data(tmp_path, 1)), *TRAIN, "--output", str(tmp_path / "one")]) == 2
    assert "a single class" in refused(capsys)
    assert not list(tmp_path.glob("one/*.safetensors"))


def test_report_is_on_the_classes_of_the_weights(tmp_path, capsys):
    for given, classes in ((["--checkpoint", str(weights(tmp_path, 100))], 100), (["--classes", "43"], 43), ([], 10)):
        assert main(["report", "resnet8", "--no-synthesis", "--json", *given]) == 0
        seen = json.loads(capsys.readouterr().out)
        assert seen["parameters"]["CLASSES"] == classes and seen["parameters"]["FC_DEPTH"] == 4 * classes
        assert seen["modes"]["full"]["layers"]["classifier"] == 4 * classes + 11
        assert (seen["modes"]["full"]["accuracy"] is None) == bool(given)
    assert main(["report", "resnet20", "--checkpoint", str(weights(tmp_path, 100)), "--no-synthesis"]) == 2
    assert "holds resnet8, not resnet20" in refused(capsys)


def test_report_is_on_what_is_built(tmp_path, capsys, monkeypatch):
    """A build of 3 classes, whose simulated cycles stand beside the formula."""
    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path / "build"))
    deploy = tmp_path / "build" / "resnet8" / "deploy"
    from flow.build.deploy import FORMAT, vouch
    from flow.finn import build_layer_graph
    from flow.kept import content_digest

    graph = layer_graph(models.create("resnet8", 3))
    deploy.mkdir(parents=True)
    build_layer_graph(graph).save(str(deploy.parent / "layers.onnx"))
    assert main(["report", "resnet8", "--classes", "3", "--no-synthesis", "--json"]) == 0
    parameters = json.loads(capsys.readouterr().out)["parameters"]
    modes = [
        {"name": mode, "cycles_rtl": 5000 + index, "cycles_per_layer_rtl": {}, "accuracy": 0.5}
        for index, mode in enumerate(graph.modes)
    ]
    hardware = {"engine_hash": "0" * 64, "board": "pynq-z2", "part": "xc7z020clg400-1", "clock_mhz": 100.0}
    said = {"format": FORMAT, "model": "resnet8", **hardware, "parameters": parameters, "modes": modes}
    vouch(deploy, {**said, "layers_hash": content_digest(deploy.parent / "layers.onnx")})
    assert main(["report", "resnet8", "--no-synthesis", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["parameters"]["CLASSES"] == 3 and seen["modes"]["full"]["cycles_rtl"] == 5000
    (deploy.parent / "layers.onnx").write_bytes(b"")
    assert main(["report", "resnet8", "--no-synthesis", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["parameters"]["CLASSES"] == 10 and seen["modes"]["full"]["cycles_rtl"] is None


@pytest.mark.parametrize("classes", [CLASSES[0], CLASSES[-1]])
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_least_and_the_most_classes_run(tmp_path, classes):
    assert main(["build", "resnet8", "--checkpoint", str(weights(tmp_path, classes)), "--output", str(tmp_path / "build")]) == 0
    said = json.loads((tmp_path / "build" / "deploy" / "modes.json").read_text())
    assert said["parameters"]["CLASSES"] == len(said["classes"]) == classes


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_wide_network_runs(tmp_path, capsys):
    assert main(["build", "resnet8-w32", "--untrained", "--output", str(tmp_path / "build")]) == 0
    said = json.loads((tmp_path / "build" / "deploy" / "modes.json").read_text())
    assert all(mode["cycles_rtl"] == mode["cycles_model"] for mode in said["modes"])


def test_a_network_without_shipped_weights_is_a_network(tmp_path, capsys):
    for model in ("resnet8-w32", "resnet8-unshuffled", "resnet20-w32"):
        assert main(["build", model, "--output", str(tmp_path / "build")]) == 2
        line = refused(capsys)
        assert f"make them with `gatefold train {model}` and name them with --checkpoint" in line and "--untrained" in line
        assert main(["report", model, "--no-synthesis", "--json"]) == 0
        capsys.readouterr()
    for model in ("resnet8-", "resnet8-w64", "resnet9", "RESNET8", "", "../resnet8", "/", "."):
        assert main(["build", model, "--output", str(tmp_path / "build")]) == 2
        assert f"There is no model '{model}'" in refused(capsys)
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize(
    "widths, words",
    [
        ((80, 80, 80), "needs 320 words of a feature memory for the residual stream and the engine addresses 256"),
        ((16, 32, 512), "stage3.block1.shortcut has 512 channels; the engine counts to 511"),
        ((64, 256, 256), "the engine addresses"),
    ],
)
def test_what_exceeds_an_address_is_told(widths, words):
    with pytest.raises(GatefoldError, match=words):
        plan(plain(widths))


def test_too_many_modes_are_told():
    graph = plain((16, 16, 16))
    with pytest.raises(GatefoldError, match="has 256 modes and the engine holds 255; name fewer with --modes"):
        plan(LayerGraph(graph.name, graph.layers, {"full": {}} | {f"pareto-{index}": {} for index in range(255)}))
    plan(keep_modes(graph, ["full"]))


def plain(widths):
    """A ResNet of one mode whose weights are all 0."""
    graph = random_resnet(0)
    by_name = {layer.name: layer for layer in graph.layers}
    stage = {"stem": widths[0], **{f"stage{index}": width for index, width in enumerate(widths, 1)}}
    made = {"image": 3}
    for name, layer in by_name.items():
        outputs = 10 if layer.kind == "linear" else stage[name.partition(".")[0]]
        shape = (outputs, made[layer.input], *layer.weight.shape[2:])
        layer.weight, layer.shuffle, layer.affine = (
            np.zeros(shape, np.int64),
            False,
            {Setting(): (np.ones(outputs), np.zeros(outputs))},
        )
        made[name] = outputs
    return LayerGraph("plain", graph.layers, {"full": {}})
