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
    for file, said in (("none.json", "There is no file"), ("text.json", "describes no engine of this version")):
        assert main(["build", "resnet8", "--untrained", "--engine", str(tmp_path / file)]) == 2
        assert said in capsys.readouterr().err
    assert main(["engine", "resnet8", "--untrained", "--output", str(tmp_path)]) == 2
    assert "is a folder" in capsys.readouterr().err
    assert main(["engine", "resnet8", "--untrained", "--kernels", "1000000", "--output", str(tmp_path / "engine.json")]) == 2
    assert "does not fit xc7z020clg400-1: its memories need" in capsys.readouterr().err and not (tmp_path / "engine.json").exists()


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"p": 48}, "P = 48 is not possible"),
        ({"r": 64, "p": 32}, "R = 64 is not possible"),
        ({"mult_dsp": -3}, "MULT_DSP = -3 is not possible"),
        ({"m_depth": 16}, "M_DEPTH = 16 leaves no room for two images behind word "),
        ({"image_base": 10**7}, "IMAGE_BASE = 10000000 "),
        ({"layers": 33}, "LAYERS = 33 is not possible; it is a power of two"),
        ({"modes": 256}, "MODES = 256 (modes) is not possible; it is 1 to 255"),
        ({"weight_depth": (1 << 17) + 1024}, "WEIGHT_DEPTH = 132096 (kernels)"),
        ({"acc_width": 99}, "ACC_WIDTH = 99"),
        ({"pool2": 2}, "POOL2 = 2"),
        ({"pack": 1024}, "PACK = 1024 needs gates"),
    ],
)
def test_engines_that_cannot_be(small, capsys, changes, said):
    """A file that was edited: refused before anything is laid out, and not built to hardware that is wrong."""
    board, engine = read_engine(small)
    write_engine(small, board, replace(engine, **changes), ["random"])
    assert main(["report", "resnet8", "--engine", str(small), "--no-synthesis"]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"gatefold: {small} describes no engine: engine parameter ") and len(error.splitlines()) == 1
    assert said in error and error.endswith("; write one with `gatefold engine`.")


def test_engines_that_an_address_is_too_short_for(tmp_path, capsys):
    """The part has the memory, a descriptor's address has not the bits; and a description never replaces a network."""
    path = tmp_path / "engine.json"
    assert main(["engine", "resnet8", "--untrained", "--kernels", "135000", "--output", str(path)]) == 2
    assert "WEIGHT_DEPTH = 135168 (kernels) is not possible; it is 1 to 131072; name fewer" in capsys.readouterr().err
    assert not path.exists()
    path.write_text("class Net: ...")
    assert main(["engine", f"{path}:Net", "--output", str(path)]) == 2
    assert "is the file of a network" in capsys.readouterr().err and path.read_text() == "class Net: ..."


@pytest.mark.parametrize("options, clock", [([], 142.857143), (["--no-dsp"], 125)])
def test_the_clock_is_that_of_the_engine(tmp_path, capsys, options, clock):
    path = tmp_path / "engine.json"
    assert main(["engine", "resnet8", "--untrained", *options, "--no-simulator", "--output", str(path)]) == 0
    capsys.readouterr()
    assert main(["report", "resnet8", "--engine", str(path), "--no-synthesis", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clock_mhz"] == clock


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
    named = json.loads(path.read_text())["networks"]
    assert {"resnet8", "resnet20", "resnet38", "resnet8-ddi", "resnet8-acs", "resnet20-acs"} == set(named) and named == sorted(
        named
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_builds_of_one_engine_have_one_hardware(tmp_path, capsys):
    engine = tmp_path / "engine.json"
    networks = ["resnet8", "resnet8-ddi", "resnet8-acs"]
    assert main(["engine", *networks, "--untrained", "--kernels", "30000", "--output", str(engine)]) == 0
    assert read_engine(engine)[1].weight_depth == 32768  # more than the 21,504 that the largest needs
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
