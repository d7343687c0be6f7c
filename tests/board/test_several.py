"""Two networks in one accelerator at once, frames in turn: each as alone, and the batch takes what its frames take."""

import json
import shutil
import zipfile
import zlib
from functools import partial

import numpy as np
import pytest
from equipped import DECIDING, ask, build_of, deciding, made

from board.deploy import open_deploy
from board.description import PARAMETERS
from board.errors import BoardError
from board.linking import link
from flow.cli import main
from flow.engine.network import network_image
from tests.board.conftest import ROOT, seal

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
        ("a,b", ("--measure",), "--measure is for one network"),
        ("a,b", ("--adaptive", "udp:1"), "--adaptive is for one network"),
        ("a,", (), "--model is 'a,'"),
        ("a,b", ("--batch", "-1"), "--batch is -1"),
        ("a,b", ("--mode", "1/16"), "mode '1/16' is unknown"),
        ("a,other", (), "there is no build of 'other'"),
        ("a,b,a", (), "make an engine for all with `gatefold engine --resident`"),
        ("a,c", (), "take other pictures"),
        ("a,d", (), "are of different engines"),
    ):
        program.refuse("--model", models, *options, saying=saying, GATEFOLD_BUILD=str(root))


def test_a_network_alone_uses_the_engine_that_is_there(program, builds, tmp_path, monkeypatch, capsys):
    """Delivered without its engine it runs beside another network of the same one, and is refused elsewhere."""
    monkeypatch.setenv("GATEFOLD_BUILD", str(builds[0].parents[1]))
    for name, options in ((DECIDING, ()), ("exits", ("--network-only",))):
        assert main(["deliver", name, *options, "--output", str(tmp_path / f"{name}.zip")]) == 0
        with zipfile.ZipFile(tmp_path / f"{name}.zip") as archive:
            archive.extractall(tmp_path)
    capsys.readouterr()
    networks = tmp_path / "board" / "networks"
    assert {path.name for path in (networks / "exits").iterdir()} == {"modes.json", "network.bin", "samples.npz"}
    answers = [ask(program, deploy, "--mode", "full ungated", count=4) for deploy in (networks / "exits", builds[1])]
    assert answers[0] == answers[1]
    monkeypatch.chdir(networks / "exits")
    (engine,) = (path for path in (tmp_path / "board" / "engines").iterdir() if path.is_dir())
    assert open_deploy(".").engine == engine  # "." has no parent
    for name in ("accelerator.so", "engine.json"):
        whole = (engine / name).read_bytes()
        (engine / name).write_bytes(whole + b"x")
        program.refuse("--board-dir", networks / "exits", saying="damaged")
        (engine / name).write_bytes(whole)
    shutil.rmtree(engine)
    program.refuse("--board-dir", networks / "exits", saying=f"nor in {engine}; deliver it with: gatefold deliver resnet8")


def test_a_build_takes_the_bitstream_of_its_engine(builds, build, tmp_path):
    """One that was made before it, from engines/ beside the builds; a build of another engine has no use for it."""
    for name, deploy in (("a", builds[0]), ("b", builds[1]), ("d", build / "deploy")):
        shutil.copytree(deploy, tmp_path / name / "deploy")
        with pytest.raises(BoardError, match="accelerator.bit is missing: this build holds no bitstream yet"):
            open_deploy(tmp_path / name).bitstream(False)
    names = {name: open_deploy(tmp_path / name).engine_name for name in "abd"}
    assert names["a"] == names["b"] != names["d"]
    engine = tmp_path / "engines" / names["a"]
    engine.mkdir(parents=True)
    for file in ("engine.json", "interface.json", "accelerator.so", "accelerator.hwh"):
        shutil.copy(builds[0] / file, engine)
    (engine / "accelerator.bit").write_bytes(b"of the engine")
    seal(engine)
    for name in "ab":
        assert open_deploy(tmp_path / name).bitstream(False) == engine / "accelerator.bit"
    with pytest.raises(BoardError, match="accelerator.bit is missing"):
        open_deploy(tmp_path / "d").bitstream(False)
    (engine / "accelerator.bit").write_bytes(b"of another")
    with pytest.raises(BoardError, match="accelerator.bit is damaged or of another build"):
        open_deploy(tmp_path / "a").bitstream(False)


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


def _header(image, **fields):
    """The image with other values of its first section's header."""
    words = image.view("<u8").copy()
    number, first, count = (fields.get(name, 0) for name in ("number", "first", "count"))
    words[16] = number | first << 8 | count << 32
    return words


DAMAGES = {
    "a bit flipped, for the image of both has a check sum of its own": (
        lambda words: words ^ (np.arange(len(words)) == 20),
        False,
        "its check sum",
    ),
    "of another format": (lambda words: words ^ (np.arange(len(words)) == 1), True, "its format"),
    "no mode": (lambda words: np.where(np.arange(len(words)) == 3, 0, words), True, "it has 0 modes"),
    "more modes than a byte counts": (lambda words: np.where(np.arange(len(words)) == 3, 1 << 63, words), True, "modes"),
    "a memory that there is not": (lambda words: _header(words, number=200, count=1), True, "there is no memory 200"),
    "beyond a memory": (
        lambda words: _header(words, number=8, first=(1 << 24) - 1, count=1),
        True,
        "word 16,777,215 of program is none",
    ),
    "more words than there are": (lambda words: _header(words, number=5, count=60), True, "its words of requant are cut short"),
    "more words than a file holds": (
        lambda words: _header(words, number=10, count=(1 << 32) - 1),
        True,
        "its words of tables are cut short",
    ),
    "no end": (lambda words: np.where(np.arange(len(words)) < 16, words, np.uint64(1)), True, "it has no end"),
    "cut": (lambda words: words[:16], True, "it has no end"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_images_are_not_linked(kind):
    """Whatever modes.json vouches for: the linked image gets a check sum of its own, so the accelerator would take it."""
    interface = json.loads((ROOT / "hw" / "interface.json").read_text())
    parameters = {**dict.fromkeys(PARAMETERS, 64), "LAYERS": 4, "V": 16}
    image = np.frombuffer(network_image({"program": [1] * 4}, "0" * 64, {"program": 144}, 1), np.uint8)
    change, sealed, saying = DAMAGES[kind]
    words = np.array(change(image.view("<u8")), "<u8")
    if sealed:
        words[2] = int(words[2]) & 0xFFFFFFFF | zlib.crc32(words[16:].tobytes()) << 32
    for images in ([image, words.view(np.uint8)], [image, image, words.view(np.uint8)]):
        with pytest.raises(BoardError, match=f"the network image of number {len(images) - 1} is damaged .*{saying}"):
            link(images, parameters, interface)


def test_an_image_without_anything_takes_no_room():
    interface = json.loads((ROOT / "hw" / "interface.json").read_text())
    parameters = {**dict.fromkeys(PARAMETERS, 64), "LAYERS": 4, "V": 16}
    image = np.frombuffer(network_image({}, "0" * 64, {}, 1), np.uint8)
    assert link([image, image], parameters, interface)[1] == [0, 1]


def test_a_build_of_several_that_is_not_what_it_says(program, builds, tmp_path):
    """modes.json vouches for it: refused by name, and nothing runs."""
    root = tmp_path / "root"
    for name, deploy in (("a", builds[0]), ("b", builds[1])):
        shutil.copytree(deploy, root / name / "deploy")
    deploy = root / "b" / "deploy"
    image, contents = (deploy / "network.bin").read_bytes(), json.loads((deploy / "modes.json").read_text())
    for damaged, changes, saying in (
        (
            image[:999] + bytes([image[999] ^ 4]) + image[1000:],
            {},
            "the network image of resnet8 is damaged (its check sum differs)",
        ),
        (image[:24] + b"\1" + image[25:], {}, "mixes two builds: the network has 1 modes, its files 3"),
        (image, {"classes": contents["classes"][:5], "class_order": None}, "the hardware has 10 classes, its files 5"),
        (image, {"parameters": {**contents["parameters"], "MODES": 1 << 20}}, "parameters says nothing of the engine"),
    ):
        (deploy / "network.bin").write_bytes(damaged)
        seal(deploy, **changes)
        program.refuse("--model", "a,b", saying=saying, GATEFOLD_BUILD=str(root))
        (deploy / "modes.json").write_text(json.dumps(contents))
    (deploy / "network.bin").write_bytes(image)
    for changes in ({"memories": [["end"], *interface_of(deploy)["network"]["memories"][1:]]}, {"memories": ["end", "end"]}):
        whole = interface_of(deploy)
        (deploy / "interface.json").write_text(json.dumps({**whole, "network": {**whole["network"], **changes}}))
        seal(deploy)
        program.refuse("--model", "a,b", saying="interface.json: no network", GATEFOLD_BUILD=str(root))
        (deploy / "interface.json").write_text(json.dumps(whole))


def interface_of(deploy):
    return json.loads((deploy / "interface.json").read_text())


ORDERS = """
import sys
import numpy as np
from board.command import open_accelerator
from board.deploy import open_deploy
from board.errors import BoardError
one, other = map(open_deploy, sys.argv[1:])
accelerator, _ = open_accelerator(one, [other])
pixels = np.zeros((3, *one.picture.shape), np.uint8)
full, quarter = one.modes["full"], other.modes["1/4"]
((at, batch), (also, _)) = accelerator.run_several(pixels, np.array([0, 1, 0]), [full, quarter, full])
print(at.tolist(), also.tolist(), batch.modes.tolist())
for networks, modes in (([0, 2, 0], [full] * 3), ([0, -1, 0], [full] * 3), ([0, 1], [full] * 3), ([0, 0, 0], [full] * 2), ([0, 0, 0], [quarter] * 3)):
    try:
        accelerator.run_several(pixels, networks, modes)
        print("ran", networks)
    except BoardError as error:
        print(error)
"""


def test_orders_that_cannot_be(board, builds):
    """A program's own: numpy's numbers, and networks and modes that there are not."""
    done = board("-W", "ignore", "-c", ORDERS, *builds)
    assert done.returncode == 0, done.stderr
    for line, saying in zip(
        done.stdout.splitlines(),
        (
            "[0, 2] [1] [0, 0]",
            "frame 1 is of network 2; loaded are 0 to 1.",
            "frame 1 is of network -1; loaded are 0 to 1.",
            "3 frames have 2 networks and 3 modes",
            "3 frames have 3 networks and 2 modes",
            "its mode 1/4 is another network's",
        ),
        strict=True,
    ):
        assert saying in line
