"""Two networks in one accelerator at once, frames in turn: each as alone, and the batch takes what its frames take."""

import json
import shutil
import zipfile
from functools import partial

import numpy as np
import pytest
from conftest import ROOT, seal
from equipped import DECIDING, ask, build_of, deciding, made

from board.description import PARAMETERS
from board.errors import BoardError
from board.linking import link
from flow.cli import main
from flow.engine.network import network_image

COUNT = 20


@pytest.fixture(scope="module")
def builds(tmp_path_factory):
    """Deploy folders of two networks of one engine, which lie in one folder."""
    return [build_of(model, name, tmp_path_factory)[0] for model, name in ((deciding(), DECIDING), (made("channel"), "exits"))]


@pytest.fixture
def several(program, builds):
    """Runs the board program where both builds are."""
    return partial(program, GATEFOLD_BUILD=str(builds[0].parents[1]))


@pytest.mark.parametrize("mode", ["full,1/4", "full ungated"])
def test_in_turn_each_is_as_alone(several, builds, pictures, mode):
    path, images = pictures
    done = several("--model", f"{DECIDING},exits", "--images", path, "--count", COUNT, "--mode", mode, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["simulated"] and found["frames"] == COUNT
    for number, (deploy, network) in enumerate(zip(builds, found["networks"])):
        frames = list(range(number, COUNT, 2))
        assert network["frame"] == frames
        # Alone it takes the same pictures in the same modes.
        alone = images[frames]
        own = path.with_name(f"{number}.npy")
        np.save(own, alone)
        expected = ask(several, deploy, "--images", own, "--mode", mode, count=len(frames))
        for name in ("predictions", "logits", "frame_cycles", "exits"):
            assert network[name] == expected[name], name
        assert network["tiles"] == expected["tiles"]


def test_the_switch_takes_no_cycle(several, builds, pictures):
    """What a batch takes beside its frames is the same with one network and with two."""

    options = ("--images", pictures[0], "--count", COUNT, "--mode", "full ungated", "--json")
    beside = []
    for which in (("--board-dir", builds[0]), ("--model", f"{DECIDING},exits")):
        done = several(*which, *options)
        assert done.code == 0, done.err
        found = json.loads(done.out)
        beside.append(found["cycles"] - sum(sum(network["frame_cycles"]) for network in found.get("networks", [found])))
    assert beside[0] == beside[1]


def test_batches_go_on_in_turn(several, pictures):
    outputs = []
    for options in ((), ("--batch", "7")):
        done = several("--model", f"{DECIDING},exits", "--images", pictures[0], "--count", COUNT, *options, "--json")
        outputs.append(json.loads(done.out)["networks"])
    assert outputs[0] == outputs[1]


def test_text(several, pictures):
    done = several("--model", f"{DECIDING},exits", "--images", pictures[0], "--count", 4)
    assert done.code == 0 and done.out.startswith("resnet8, resnet8 in turn in mode full, simulated pynq-z2, ")
    assert done.out.count("  predictions  ") == 2 and "frames/s" in done.out


def test_what_does_not_go_together(program, builds, build, tmp_path):
    root = tmp_path / "root"
    for name, deploy in (("a", builds[0]), ("b", builds[1]), ("c", builds[1]), ("d", build / "deploy")):
        shutil.copytree(deploy, root / name / "deploy")
    image = json.loads((root / "c" / "deploy" / "modes.json").read_text())["image"]
    seal(root / "c" / "deploy", image={**image, "table": [[value // 2] * 3 for value in range(256)]})
    for models, options, saying in (
        ("a,b", ("--exit", "1"), "--exit is for one network"),
        ("a,b", ("--gate", "off"), "--gate is for one network"),
        ("a,b", ("--board-dir", root / "a"), "--board-dir is for one network"),
        ("a,b", ("--batch", "-1"), "--batch is -1"),
        ("a,b", ("--mode", "1/16"), "mode '1/16' is unknown"),
        ("a,other", (), "there is no build of 'other'"),
        ("a,b,a", (), "make an engine for all with `gatefold engine --resident`"),
        ("a,c", (), "take other pictures"),
        ("a,d", (), "are of different engines"),
    ):
        program.refuse("--model", models, *options, saying=saying, GATEFOLD_BUILD=str(root))


def test_a_network_alone_uses_the_engine_of_another(program, builds, tmp_path, monkeypatch, capsys):
    """Delivered without its engine it runs beside a build of the same one, and is refused elsewhere."""
    monkeypatch.setenv("GATEFOLD_BUILD", str(builds[0].parents[1]))
    for name, options in ((DECIDING, ()), ("exits", ("--network-only",))):
        assert main(["deliver", name, *options, "--output", str(tmp_path / f"{name}.zip")]) == 0
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            archive.extractall(tmp_path)
    capsys.readouterr()
    overlays = tmp_path / "board" / "overlays"
    assert {path.name for path in (overlays / "exits").iterdir()} == {"interface.json", "modes.json", "network.bin", "samples.npz"}
    answers = [ask(program, deploy, "--mode", "full ungated", count=4) for deploy in (overlays / "exits", builds[1])]
    assert answers[0] == answers[1]
    (overlays / DECIDING / "accelerator.so").write_bytes(b"another")
    program.refuse("--board-dir", overlays / "exits", saying="is missing and no whole build of the same engine lies beside it")


def test_tables_of_layers_stay_alone():
    """The engine looks for them at fixed addresses."""
    interface = json.loads((ROOT / "hw" / "interface.json").read_text())
    parameters = {**dict.fromkeys(PARAMETERS, 64), "LAYERS": 4, "V": 16}
    plain, tabled = (
        np.frombuffer(network_image({"program": [1] * 4, **more}, "0" * 64, {"program": 144, "tables": 10}, 1), np.uint8)
        for more in ({}, {"tables": [7] * 64})
    )
    image, firsts = link([plain, plain], parameters, interface)
    assert firsts == [0, 1] and image.view("<u8")[3] == 2
    with pytest.raises(BoardError, match="cannot stay beside another"):
        link([plain, tabled], parameters, interface)
