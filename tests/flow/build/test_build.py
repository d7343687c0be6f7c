"""`gatefold build` and `gatefold simulate`: the chain down to the accelerator's RTL, and what they refuse."""

import json
import os
import shutil
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from flow import models
from flow.build.deploy import built_graph
from flow.build.samples import sample_images
from flow.build.verify import compare
from flow.cli import main
from flow.engine import sources
from flow.engine.config import EngineConfig
from flow.engine.cost import frame_cost
from flow.engine.sources import accelerator_sources
from flow.errors import GatefoldError
from flow.export.from_model import layer_graph
from flow.export.modes import ApplyMode
from flow.export.qonnx_export import export
from flow.finn import build_layer_graph
from flow.graph.integer import run
from flow.graph.random_graph import random_resnet
from flow.paths import build_root
from flow.simulation.simulator import Simulator
from flow.simulation.toolchain import verilator_root

MODES = ["full", "1/2", "1/4", "1/8", "1/16"]


@pytest.fixture(scope="module")
def build():
    """resnet8 with random weights, built (or found built) in the folder that the board's tests use too."""
    folder = build_root() / "test" / "board"
    assert main(["build", "resnet8", "--untrained", "--output", str(folder)]) == 0
    contents = json.loads((folder / "deploy" / "modes.json").read_text())
    config = EngineConfig.of(contents["parameters"])
    graph = built_graph(folder, contents)
    return SimpleNamespace(folder=folder, deploy=folder / "deploy", contents=contents, config=config, graph=graph)


def simulator(build):
    return Simulator(build.deploy / "accelerator.so", (build.deploy / "network.bin").read_bytes())


def test_brevitas_qonnx_and_rtl_agree_on_32_images_in_every_mode(build):
    torch.set_num_threads(1)
    model = models.initialise(models.create("resnet8"), 1)
    images = sample_images(32)[1]
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
    qonnx = export(layer_graph(model), len(images))
    for index, mode in enumerate(MODES):
        model.set_mode(mode)
        brevitas = model.integer_logits(images)
        assert np.array_equal(execute_onnx(qonnx.transform(ApplyMode(mode)), {"image": planes})["logits"], brevitas)
        with simulator(build) as accelerator:
            records, _ = accelerator.run(images, index)
        assert np.array_equal([record["logits"] for record in records], brevitas)
        assert [record["class"] for record in records] == brevitas.argmax(axis=1).tolist()


def test_finn_loads_and_runs_the_built_graphs(build):
    import flow.finn  # noqa: F401 - registers the nodes

    images = sample_images(1)[1]
    expected = run(build.graph, images.transpose(0, 3, 1, 2), "1/4").logits
    engine = ModelWrapper(str(build.folder / "engine.onnx"))
    assert len(engine.get_nodes_by_op_type("TileEngine")) == 1
    feed = {"image": images.astype(np.float32), "mode": np.array([[MODES.index("1/4")]], np.float32)}
    assert np.array_equal(execute_onnx(engine, feed)["logits"], expected)
    layers = ModelWrapper(str(build.folder / "layers.onnx"))
    assert len(layers.graph.node) == len(build.graph.layers)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_resnet38_down_to_rtl():
    folder = build_root() / "test" / "resnet38"
    assert main(["build", "resnet38", "--untrained", "--output", str(folder)]) == 0
    torch.set_num_threads(1)
    model = models.initialise(models.create("resnet38"), 1)
    images = sample_images(1)[1]
    qonnx = ModelWrapper(str(folder / "model.onnx"))
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
    cycles = {}
    for mode in ("full", "1/4", "1/16"):
        model.set_mode(mode)
        brevitas = model.integer_logits(images)
        assert np.array_equal(execute_onnx(qonnx.transform(ApplyMode(mode)), {"image": planes})["logits"], brevitas)
        with Simulator(folder / "deploy" / "accelerator.so", (folder / "deploy" / "network.bin").read_bytes()) as accelerator:
            (record,), _ = accelerator.run(images, MODES.index(mode))
        assert record["logits"] == brevitas[0].tolist()
        cycles[mode] = record["cycles"]
    assert cycles["full"] >= 3.6 * cycles["1/4"]
    assert cycles["full"] <= 80_000 and cycles["1/16"] <= 10_000  # 1785 and 14,285 frames/s at the default clock


@pytest.mark.parametrize("stall", [0, 30])
def test_modes_alternate_without_losing_a_cycle(build, stall):
    modes = ["full", "1/16", "1/4", "1/2"] * 4
    images = sample_images(16)[1]
    with simulator(build) as accelerator:
        records, cycles = accelerator.run(images, [MODES.index(mode) for mode in modes], stall, seed=5)
    compare(build.graph, build.config, records, images, modes)
    expected = sum(frame_cost(build.graph, mode, build.config).cycles for mode in modes)
    assert sum(record["cycles"] for record in records) == expected
    assert cycles == pytest.approx(expected, rel=0.02)


def test_a_wrong_result_is_told(build):
    images = sample_images(1)[1]
    with simulator(build) as accelerator:
        records, _ = accelerator.run(images, 0)
    records[0]["logits"][3] += 1
    with pytest.raises(GatefoldError, match="frame 0 in mode full: the simulated accelerator gives logits"):
        compare(build.graph, build.config, records, images, ["full"])
    records[0]["logits"][3] -= 1
    records[0]["cycles"] += 1000
    with pytest.raises(GatefoldError, match="the cycle model says"):
        compare(build.graph, build.config, records, images, ["full"])


def test_deploy_folder_says_what_was_built(build):
    assert [mode["name"] for mode in build.contents["modes"]] == MODES
    for index, mode in enumerate(build.contents["modes"]):
        assert mode["index"] == index and mode["cycles_rtl"] == mode["cycles_model"]
        assert mode["group_counts"]["stem"] == 1 and mode["group_counts"]["stage3.block1.conv2"] == 2**index
        assert mode["cycles_per_layer"].keys() == mode["cycles_per_layer_rtl"].keys()
        assert sum(mode["cycles_per_layer_rtl"].values()) == mode["cycles_rtl"]
        for layer, cycles in mode["cycles_per_layer"].items():
            assert mode["cycles_per_layer_rtl"][layer] == pytest.approx(cycles, rel=0.02), (mode["name"], layer)
    assert build.contents["trained"] is False and build.contents["modes"][0]["accuracy"] is None
    with simulator(build) as accelerator:
        assert accelerator.read("engine_hash") == int(build.contents["engine_hash"][:8], 16)


def test_a_second_build_changes_nothing_and_mends_what_is_missing(build):
    def dates():
        files = [path for path in build.folder.rglob("*") if path.is_file() and path.name != ".lock"]
        return {path: path.stat().st_mtime_ns for path in files}

    before = dates()
    command = ["build", "resnet8", "--untrained", "--output", str(build.folder)]
    assert main(command) == 0
    assert dates() == before
    (build.deploy / "samples.npz").unlink()
    assert main(command) == 0
    assert (build.deploy / "samples.npz").exists()


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_verify_mapped_simulates_what_synthesis_takes(tmp_path, monkeypatch, capsys):
    """A fault of the mapped lanes alone passes a plain build; with --verify mapped it is found."""
    rtl = tmp_path / "rtl"
    shutil.copytree(sources.RTL, rtl)
    monkeypatch.setattr(sources, "RTL", rtl)
    lane, sound = rtl / "engine_quad_row.sv", (rtl / "engine_quad_row.sv").read_text()
    borrow = "fields[19:10] + 10'(fields[9])"
    assert borrow in sound
    command = ["build", "resnet8", "--untrained", "--p", "32", "--r", "16", "--output", str(tmp_path / "build")]
    lane.write_text(sound.replace(borrow, "fields[19:10]"))
    assert main(command) == 0
    assert main([*command, "--verify", "mapped"]) == 2
    assert "the simulated accelerator gives logits" in capsys.readouterr().err
    lane.write_text(sound)
    assert main([*command, "--verify", "mapped"]) == 0
    assert "RTL and its mapped lanes equal to the integer model in every mode" in capsys.readouterr().out


def test_the_generated_top_elaborates(build):
    """The wrapper of this build, as tools read it that take no parameters on their command line."""
    root = verilator_root()
    files = [*accelerator_sources(build.folder / "rtl"), build.folder / "rtl" / "accelerator.sv"]
    options = ["--lint-only", "-Wno-fatal", "-Wno-lint", "-Wno-style", "--top-module", "accelerator"]
    environment = {**os.environ, "VERILATOR_ROOT": str(root)}
    command = [root / "bin" / "verilator_bin", *options, *files]
    done = subprocess.run(command, cwd=build.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_simulate_prints_json(build, capsys):
    command = ["simulate", "resnet8", "--folder", str(build.folder), "--mode", "1/16,full", "--count", "3", "--json"]
    assert main(command) == 0
    result = json.loads(capsys.readouterr().out)
    modes = {mode["name"]: mode["cycles_model"] for mode in build.contents["modes"]}
    assert result["cycles"] == [modes["1/16"], modes["full"], modes["1/16"]]
    assert len(result["predictions"]) == len(result["logits"]) == 3


def test_simulate_refuses_parts_of_different_builds(build, tmp_path, capsys):
    build_layer_graph(random_resnet(1)).save(str(tmp_path / "layers.onnx"))
    (tmp_path / "deploy").symlink_to(build.deploy)
    assert main(["simulate", "resnet8", "--folder", str(tmp_path)]) == 2
    assert "layers.onnx is damaged or of another build" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["build", "resnet9"], "no model 'resnet9'; choose one of resnet8"),
        (["build", "resnet8", "--untrained", "--board", "arty"], "no board 'arty'; choose one of pynq-z1"),
        (["build", "resnet8", "--untrained", "--modes", "full,1/3"], "mode '1/3'; resnet8 has full"),
        (["build", "resnet8", "--checkpoint", "missing.safetensors"], "missing.safetensors"),
        (["build", "densenet41", "--untrained"], "cannot run densenet41, which has no integer model"),
        (["build", "resnet8", "--untrained", "--r", "24"], "R = 24 is not possible"),
        (["build", "resnet8", "--untrained", "--p", "0"], "P = 0 is not possible"),
        (["build", "resnet8", "--untrained", "--pe", "0"], "PE = 0 is not possible"),
        (["build", "resnet8", "--untrained", "--r", "0"], "R = 0 is not possible"),
        (["build", "resnet8", "--untrained", "--p", "32", "--r", "64"], "R = 64 exceeds P = 32"),
        (["build", "resnet8", "--untrained", "--modes", ""], "mode ''; resnet8 has full"),
        (["simulate", "resnet8"], "There is no finished build in"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, capsys, arguments, words):
    folder = tmp_path / "build"
    place = ["--output" if arguments[0] == "build" else "--folder", str(folder)]
    assert main([*arguments, *place]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gatefold:")]
    assert len(error) == 1 and words in error[0]
    assert not folder.exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--folder", "FILE"], "There is no finished build in"),
        (["--trace", "FOLDER"], "is a folder; give the name of a file for --trace"),
        (["--trace", "FILE/wave.fst"], "cannot be made a folder"),
        (["--count", "100000000000"], "not from 1 to 100000"),
        (["--data", "nowhere.npz"], "nowhere.npz"),
    ],
)
def test_simulate_refuses_in_one_sentence(build, tmp_path, capsys, arguments, words):
    (tmp_path / "file").write_text("")
    arguments = [each.replace("FILE", str(tmp_path / "file")).replace("FOLDER", str(tmp_path)) for each in arguments]
    place = [] if "--folder" in arguments else ["--folder", str(build.folder)]
    try:
        assert main(["simulate", "resnet8", *place, *arguments]) == 2
    except SystemExit as end:  # argparse's own
        assert end.code == 2
    assert words in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    """Its images would be replaced by memory images."""
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "holiday.png").write_text("precious")
    assert main(["build", "resnet8", "--untrained", "--output", str(tmp_path)]) == 2
    assert "holds other files; give an empty folder, or that of a build" in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["images", "holiday.png"]


def test_want_of_memory_is_one_sentence(monkeypatch, capsys):
    def run(args):
        raise MemoryError

    monkeypatch.setattr("flow.commands.build.run", run)
    assert main(["build", "resnet8"]) == 2
    assert capsys.readouterr().err.startswith("gatefold: There is not enough memory")


@pytest.mark.slow
def test_a_model_that_does_not_fit_is_refused(tmp_path, capsys):
    assert main(["build", "resnet74", "--untrained", "--output", str(tmp_path / "build")]) == 2
    assert "does not fit xc7z020clg400-1" in capsys.readouterr().err
    assert not (tmp_path / "build" / "deploy").exists()


def test_truncated_weights_are_refused(tmp_path, capsys):
    from flow.training.checkpoint import save_model

    path = tmp_path / "weights.safetensors"
    save_model(models.create("resnet8"), path, {"data": "digits", "accuracy": {}})
    path.write_bytes(path.read_bytes()[:5000])
    assert main(["build", "resnet8", "--checkpoint", str(path), "--output", str(tmp_path / "build")]) == 2
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "build").exists()
