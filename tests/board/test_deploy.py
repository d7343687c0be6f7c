"""Deploy folders are not believed: one that is incomplete, damaged, mixed or foreign is told in a sentence, before anything is loaded."""

import json
import shutil
import zlib

import numpy as np
import pytest

from board.description import FORMAT
from tests.board.conftest import seal, sealed

FULL = {"name": "full", "index": 0, "gates": False, "group_counts": {}, "cycles_model": 9, "exits": []}


def edit(file, **changes):
    """Changes keys of a JSON file, and nothing that vouches for it."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def seal_network(deploy, **changes):
    """Changes keys of modes.json, which vouches for itself."""
    path = deploy / "modes.json"
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), **changes})))


def flip(file, at):
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


DAMAGE = {
    "emptied": lambda file: file.write_bytes(b""),
    "halved": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "a bit flipped": lambda file: flip(file, file.stat().st_size // 2),
    "not hexadecimal": lambda file: file.write_bytes(b"hello\n"),
    "gone": lambda file: file.unlink(),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}
FILES = (
    "accelerator.hwh",
    "accelerator.so",
    "interface.json",
    "samples.npz",
    "network.bin",
)


def test_a_whole_folder_runs(deploy, program):
    assert program("--board-dir", deploy, "--count", 1, "--mode", "1/16").code == 0


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named(deploy, program, name, damage):
    DAMAGE[damage](deploy / name)
    program.refuse(
        "--board-dir", deploy, saying=f"{name} is {'missing' if damage in ('gone', 'a folder') else 'damaged or of another build'}"
    )


def test_every_file_of_the_build_is_in_the_sweep(deploy):
    vouching = {"modes.json", "engine.json"}
    listed = [name for vouches in vouching for name in json.loads((deploy / vouches).read_text())["files"]]
    there = {path.relative_to(deploy).as_posix() for path in deploy.rglob("*") if path.is_file()}
    assert set(listed) == there - vouching and sorted(listed) == sorted(FILES)


def test_network_of_another_build(deploy, program):
    """One of the same shape, which the hardware would load without a word."""
    path = deploy / "network.bin"
    words = np.fromfile(path, "<u8")
    words[17:1000] = words[17:1000][::-1]
    words[2] = words[2] & 0xFFFFFFFF | zlib.crc32(words[16:].tobytes()) << 32
    words.tofile(path)
    program.refuse("--board-dir", deploy, saying="network.bin is damaged or of another build")


NETWORKS = {
    "another file": (lambda image: b"nothing", "network.bin is no network image"),
    "empty": (lambda image: b"", "network.bin is no network image"),
    "cut": (lambda image: image[:-128], "bytes and says"),
    "cut within a burst": (lambda image: image[:-64], "network.bin is no network image"),
    "of another engine": (lambda image: image[:16] + b"abcd" + image[20:], "is for engine 64636261, and this one is"),
    "of another format": (lambda image: image[:8] + b"\2" + image[9:], "refused the network with bad_network"),
    "beyond a memory": (lambda image: image[:130] + b"\1" + image[131:], "refused the network with"),
    "a bit flipped": (
        lambda image: image[:999] + bytes([image[999] ^ 4]) + image[1000:],
        "refused the network with damaged_network",
    ),
    "its end flipped": (lambda image: image[:-1] + bytes([image[-1] ^ 4]), "refused the network with damaged_network"),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_that_the_digests_vouch_for(deploy, program, kind):
    """By the board program, or by the hardware's own guards, and nothing runs."""
    change, saying = NETWORKS[kind]
    (deploy / "network.bin").write_bytes(change((deploy / "network.bin").read_bytes()))
    seal(deploy)
    program.refuse("--board-dir", deploy, saying=saying)


def test_a_bitstream_may_lie_beside_the_build(deploy, program):
    (deploy / "accelerator.bit").write_bytes(b"made later")
    assert program("--board-dir", deploy, "--count", 1, "--mode", "1/16").code == 0
    seal(deploy)
    (deploy / "accelerator.bit").write_bytes(b"another")
    program.refuse("--board-dir", deploy, saying="accelerator.bit is damaged or of another build")


@pytest.mark.parametrize(
    "changes",
    [{"clock_mhz": 200.0}, {"classes": ["cat"] * 10}, {"model": "resnet20"}, {"digest": "0" * 64}, {"files": {}}, {"new": 1}],
)
@pytest.mark.parametrize("name", ["modes.json", "engine.json"])
def test_an_edited_description(deploy, program, changes, name):
    edit(deploy / name, **changes)
    program.refuse(
        "--board-dir", deploy, saying=f"damaged modes.json, engine.json or interface.json ({name} was changed after the build"
    )


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "\0", '"format"', "[" * 100_000, f'{{"format": {FORMAT}}}', '{"format": 9' + "9" * 9999 + "}", "{}"],
)
@pytest.mark.parametrize("name", ["modes.json", "engine.json"])
def test_a_description_that_is_none(deploy, program, text, name):
    (deploy / name).write_text(text)
    program.refuse("--board-dir", deploy, saying="damaged modes.json, engine.json")


@pytest.mark.parametrize("name", ["modes.json", "engine.json"])
def test_a_truncated_description(deploy, program, name):
    (deploy / name).write_text((deploy / name).read_text()[:100])
    program.refuse("--board-dir", deploy, saying="damaged modes.json, engine.json")


@pytest.mark.parametrize("name", ["modes.json", "engine.json"])
def test_a_giant_description(deploy, program, name):
    with (deploy / name).open("r+b") as file:
        file.truncate(1 << 40)  # a hole
    program.refuse("--board-dir", deploy, saying=f"{name} has 1,099,511,627,776 bytes")


@pytest.mark.parametrize("key, value", [("engine_hash", "0" * 64), ("board", "zedboard"), ("clock_mhz", 50.0)])
def test_the_engine_of_another_build(deploy, program, key, value):
    path = deploy / "engine.json"
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), key: value})))
    program.refuse("--board-dir", deploy, saying=f"engine.json: {key} is")


@pytest.mark.parametrize("files", [{}, None, [], {"accelerator.so": ""}])
def test_an_engine_that_vouches_for_too_little(deploy, program, files):
    path = deploy / "engine.json"
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), "files": files})))
    program.refuse("--board-dir", deploy, saying="engine.json does not list the files of the build")


def test_a_network_without_its_engine(deploy, program):
    (deploy / "engine.json").unlink()
    program.refuse("--board-dir", deploy, saying="the engine of resnet8 (engine.json) is neither in")


@pytest.mark.parametrize("name", ["../engines", "a/b", "/etc", "", ".", "..", None])
def test_an_engine_that_lies_elsewhere(deploy, program, name):
    (deploy / "engine.json").rename(deploy.parent / "engine.json")
    seal_network(deploy, engine=name)
    program.refuse("--board-dir", deploy, saying="modes.json: engine is")


@pytest.mark.parametrize(
    "clock", [0, -100, 0.0, -0.0, 0.5, 1e9, 10**400, float("nan"), float("inf"), float("-inf"), "100", None, True, [100]]
)
def test_an_impossible_clock(deploy, program, clock):
    seal(deploy, clock_mhz=clock)
    program.refuse("--board-dir", deploy, saying="modes.json: clock_mhz is")


def test_a_clock_that_the_board_cannot_give(deploy, program):
    seal(deploy, clock_mhz=600.0)  # 1000 MHz through a whole number
    program.refuse("--board-dir", deploy, saying="the board's clock gives 500 MHz, not the 600 MHz of the build")


@pytest.mark.parametrize(
    "changes, saying",
    [
        ({"model": ""}, "model is ''"),
        ({"model": "a\nb"}, "model is"),
        ({"board": 3}, "board is 3"),
        ({"engine": "a b"}, "engine is 'a b'"),
        ({"engine_hash": "xyz"}, "engine_hash is 'xyz'"),
        ({"classes": []}, "classes is no list of names"),
        ({"classes": ["\ud800"]}, "classes is no list of names"),
        ({"modes": {}}, "modes is no list of modes"),
        ({"modes": [{"name": "full", "index": 1}]}, "the index of mode full is 1, not 0"),
        ({"modes": [{**FULL, "gates": 0}]}, "mode full does not say whether gates run in it"),
        ({"modes": [{**FULL, "group_counts": {"stem": 0}}]}, "the group counts of mode full are none"),
        ({"modes": [FULL]}, "mode full lacks group counts"),
        ({"modes": [{**FULL, "cycles_model": 0}]}, "a frame of mode full takes 0 cycles"),
        ({"modes": [{**FULL, "exits": None}]}, "mode full does not list its exits"),
        ({"modes": [{**FULL, "exits": [{"cycles_model": 3}]}]}, "an exit of mode full is {'cycles_model': 3}"),
        ({"exits": None}, "exits is no list of them"),
        ({"exits": [{"name": "a", "logit_scale": 0}]}, "an exit is {'name': 'a', 'logit_scale': 0}"),
        ({"exits": [{"name": "a", "logit_scale": 1.0}]}, "mode full has 0 exits, not 1"),
        ({"gates": None}, "gates and layers are no lists"),
        ({"gates": [{"name": "a", "count": 0, "layer": False}]}, "a gate is"),
        ({"layers": [{"name": "stem"}]}, "a layer is"),
        ({"parameters": None}, "parameters says nothing of the engine"),
        ({"modes": [FULL, {**FULL, "index": 1}]}, "mode 1 has no name of its own"),
        ({"modes": [{"name": "full", "index": 0, "accuracy": 87}]}, "the accuracy of mode full is 87"),
        ({"files": {}}, "does not list the files"),
    ],
)
def test_a_description_of_wrong_values(deploy, program, changes, saying):
    seal(deploy, **changes)
    program.refuse("--board-dir", deploy, saying=saying)


@pytest.mark.parametrize("vouching", ["modes.json", "engine.json"])
@pytest.mark.parametrize("name", ["/etc/passwd", "../secret", "images/../../secret"])
def test_files_outside_the_folder(deploy, program, name, vouching):
    (deploy.parent / "secret").write_text("secret")
    contents = json.loads((deploy / vouching).read_text())
    contents["files"][name] = "0" * 64
    (deploy / vouching).write_text(json.dumps(sealed(contents)))
    program.refuse("--board-dir", deploy, saying="which is no file of this folder")


@pytest.mark.parametrize("name", ["modes.json", "engine.json"])
def test_a_folder_of_another_format(deploy, program, name):
    edit(deploy / name, format=1)
    program.refuse(
        "--board-dir", deploy, saying=f"another version of gatefold (its format is 1, this program reads {FORMAT}); build again"
    )


@pytest.mark.parametrize("key", ["class_order", "image", "classes", "engine_hash", "modes", "registers"])
def test_a_folder_that_says_less_and_is_whole(deploy, program, key):
    """What an older or newer version wrote is not called damaged."""
    contents = json.loads((deploy / "modes.json").read_text())
    if key != "registers":
        del contents[key]
        (deploy / "modes.json").write_text(json.dumps(contents))
        seal(deploy)
    else:
        edit(deploy / "interface.json", registers={})
        seal(deploy)
    program.refuse("--board-dir", deploy, saying="was made by another version of gatefold (")


def test_an_interface_of_another_version(deploy, program):
    edit(deploy / "interface.json", version=99)
    seal(deploy)
    program.refuse("--board-dir", deploy, saying="come from different builds")


@pytest.mark.parametrize("key", ["version", "id", "registers", "errors", "record"])
def test_an_interface_that_lacks_something(deploy, program, key):
    edit(deploy / "interface.json", **{key: None})
    seal(deploy)
    program.refuse("--board-dir", deploy, saying=f"interface.json: no {key}")


def test_hardware_of_another_build(deploy, program):
    seal(deploy, engine_hash="0" * 64)
    program.refuse("--board-dir", deploy, saying="mixes two builds: the hardware's engine_hash")


def test_hardware_with_other_classes(deploy, program):
    seal(deploy, classes=["a", "b"])
    program.refuse("--board-dir", deploy, saying="mixes two builds: the hardware has 10 classes, its files 2")


@pytest.mark.parametrize(
    "name, contents, saying",
    [
        ("accelerator.so", b"nothing", "no simulated accelerator"),
        ("accelerator.hwh", b"", "is no readable bitstream with its .hwh"),
        ("accelerator.hwh", bytes(range(256)), "is no readable bitstream with its .hwh"),
        ("accelerator.hwh", b"<EDKSYSTEM/>", "build again"),
        ("samples.npz", b"nothing", "is no readable array file"),
    ],
)
def test_a_build_that_was_never_whole(deploy, program, name, contents, saying):
    """What the digests vouch for but nobody can load."""
    (deploy / name).unlink() if contents is None else (deploy / name).write_bytes(contents)
    seal(deploy)
    program.refuse("--board-dir", deploy, saying=saying)


# --- finding a build


def test_no_deploy_folder(program, tmp_path):
    program.refuse("--board-dir", tmp_path, saying="is no deploy folder (modes.json is missing)")


def test_a_file_for_a_deploy_folder(build, program):
    program.refuse("--board-dir", build / "deploy" / "modes.json", saying="is no folder")


def test_unknown_model(program):
    program.refuse("--model", "nothing", saying="make bitstream MODEL=nothing")


def test_other_model(build, program):
    program.refuse("--board-dir", build, "--model", "resnet20", saying="holds resnet8, not resnet20")


@pytest.mark.parametrize("name", ["x" * 5000, "a/b", "..", "\n", "", "\udcff"])
def test_names_that_no_folder_can_have(program, name):
    program.refuse("--model", name, saying="there is no build of")


def test_long_and_broken_paths(program):
    program.refuse("--board-dir", "x" * 5000, saying="File name too long")
    program.refuse("--board-dir", "a\0b", saying="is no deploy folder")


def test_the_build_folder_of_the_environment(build, deploy, board, tmp_path):
    """GATEFOLD_BUILD names the folder of builds, as for the flow; a file is told."""
    import os

    home = tmp_path / "builds"
    shutil.copytree(deploy, home / "mine" / "deploy")
    seal(home / "mine" / "deploy", model="mine")
    arguments = ("board/run.py", "--mode", "1/16", "--count", 1)
    for given in ((), ("--model", "mine")):
        done = board(*arguments, *given, env={**os.environ, "GATEFOLD_BUILD": str(home)})
        assert done.returncode == 0 and done.stdout.startswith("mine in mode 1/16"), done.stderr
    for name, saying in (
        (home / "mine" / "deploy" / "modes.json", "which is a file"),
        (tmp_path / "none", "there is no deploy folder in"),
    ):
        done = board(*arguments, env={**os.environ, "GATEFOLD_BUILD": str(name)})
        assert done.returncode == 2 and saying in done.stderr and len(done.stderr.splitlines()) == 1


def test_group_counts_that_do_not_divide_a_layer(deploy, program):
    contents = json.loads((deploy / "modes.json").read_text())
    contents["modes"][2]["group_counts"]["stage3.block1.conv2"] = 3
    seal(deploy, modes=contents["modes"])
    program.refuse("--board-dir", deploy, saying="layer stage3.block1.conv2 has no 3 groups")


def test_branches_of_exits_that_are_not_there(deploy, program):
    contents = json.loads((deploy / "modes.json").read_text())
    contents["layers"][3]["exit"] = "nowhere"
    seal(deploy, layers=contents["layers"])
    program.refuse("--board-dir", deploy, saying="layers and exits do not fit")


def test_a_tile_without_outputs(deploy, program):
    contents = json.loads((deploy / "modes.json").read_text())
    contents["layers"][1]["per_tile"] = 0
    seal(deploy, layers=contents["layers"])
    program.refuse("--board-dir", deploy, saying=f"layer '{contents['layers'][1]['name']}' is not whole")
