"""`gatefold engine` and builds for such an engine: one hardware, one simulator, and networks that are only data."""

import json
from dataclasses import replace

import pytest

from flow.build.deploy import read
from flow.cli import main
from flow.engine.boards import find_board
from flow.engine.memories import block_memories
from flow.engine.plan import plan
from flow.engine.select import choose
from flow.engine.shared import read_engine, write_engine
from flow.graph.random_graph import random_resnet
from flow.kept import content_digest


@pytest.fixture
def small(tmp_path):
    """An engine for networks like resnet8."""
    path = tmp_path / "small.json"
    write_engine(path, "zedboard", plan(random_resnet(3), choose(find_board("zedboard"))).config, ["random"])
    return path


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["resnet8", "--untrained", "--p", "32"], "--p is that of the engine in"),
        (["resnet8", "--untrained", "--no-dsp"], "--no-dsp is that of the engine in"),
        (["resnet8", "--untrained", "--board", "pynq-z2"], "--board is that of the engine in"),
        (["resnet20", "--untrained"], "resnet20 needs "),
        (["resnet8-ddi", "--untrained"], "resnet8-ddi needs "),
    ],
)
def test_what_does_not_go_onto_an_engine(small, tmp_path, capsys, arguments, said):
    output = tmp_path / "build"
    assert main(["build", *arguments, "--engine", str(small), "--output", str(output)]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"gatefold: {said}") and len(error.splitlines()) == 1 and not output.exists()


def test_engines_that_are_none(tmp_path, capsys):
    (tmp_path / "text.json").write_text("engine")
    for file, said in (("none.json", "Cannot read"), ("text.json", "describes no engine of this version")):
        assert main(["build", "resnet8", "--untrained", "--engine", str(tmp_path / file)]) == 2
        assert said in capsys.readouterr().err
    assert main(["engine", "resnet8", "--untrained", "--output", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert main(["engine", "resnet8", "--untrained", "--kernels", "1000000", "--output", str(tmp_path / "engine.json")]) == 2
    assert "does not fit xc7z020clg400-1: its memories need" in capsys.readouterr().err and not (tmp_path / "engine.json").exists()


def test_an_engine_is_filled_with_kernels(tmp_path, capsys):
    path = tmp_path / "engine.json"
    assert main(["engine", "resnet8", "--untrained", "--kernels", "fill", "--no-simulator", "--output", str(path)]) == 0
    board, engine = read_engine(path)
    assert engine.weight_depth == 1 << 17 and block_memories(engine) <= find_board(board).bram36
    smaller = replace(engine, requant_depth=engine.requant_depth + 8192)
    write_engine(path, board, smaller, ["wide"])
    assert main(["report", "resnet8", "--engine", str(path), "--no-synthesis", "--json", "--board", "zedboard"]) == 2
    assert "--board is that of the engine" in capsys.readouterr().err
    assert main(["report", "resnet8", "--engine", str(path), "--no-synthesis", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["parameters"] == smaller.parameters()


@pytest.mark.slow
def test_the_engine_of_a_board_has_room_for_networks_to_come(tmp_path):
    path = tmp_path / "engine.json"
    assert main(["engine", "--no-simulator", "--output", str(path)]) == 0
    board, engine = read_engine(path)
    part = find_board(board)
    assert engine.weight_depth >= 100_000 and block_memories(engine) <= part.bram36
    assert block_memories(replace(engine, weight_depth=engine.weight_depth + 2048)) > part.bram36
    assert {"resnet8", "resnet20", "resnet38", "resnet8-ddi", "resnet8-acs"} <= set(json.loads(path.read_text())["networks"])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_builds_of_one_engine_have_one_hardware(tmp_path, capsys):
    engine = tmp_path / "engine.json"
    networks = ["resnet8", "resnet8-ddi", "resnet8-acs"]
    assert main(["engine", *networks, "--untrained", "--kernels", "20000", "--output", str(engine)]) == 0
    assert read_engine(engine)[1].weight_depth == 20480
    deploys = []
    for network in networks:
        deploys.append(tmp_path / network / "deploy")
        arguments = ["build", network, "--untrained", "--engine", str(engine), "--output", str(tmp_path / network)]
        assert main(arguments) == 0
    contents = [read(deploy) for deploy in deploys]
    assert len({said["engine_hash"] for said in contents}) == 1 and len({json.dumps(said["parameters"]) for said in contents}) == 1
    assert len({content_digest(deploy / "accelerator.so") for deploy in deploys}) == 1
    assert len({content_digest(deploy / "network.bin") for deploy in deploys}) == 3
    (deploys[0] / "network.bin").replace(tmp_path / "kept.bin")
    (deploys[0] / "network.bin").write_bytes((deploys[1] / "network.bin").read_bytes())
    assert main(["simulate", "resnet8", "--folder", str(tmp_path / "resnet8")]) == 2  # it fits the engine, and is of another build
    assert "is damaged or of another build" in capsys.readouterr().err
