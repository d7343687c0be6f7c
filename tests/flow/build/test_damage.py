"""A build folder is not believed: whatever happens to what lies in it, the next build leaves what the first one left."""

import json
import shutil
from pathlib import Path

import pytest

from flow.build.deploy import FORMAT, read
from flow.cli import main
from flow.engine.config import EngineConfig
from flow.engine.images import widths
from flow.engine.network import network_image, read_image
from flow.errors import GatefoldError
from flow.kept import clear, content_digest, kept
from flow.paths import build_root


def empty(path):
    path.write_bytes(b"")


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] or b"x")


def flip(path):
    data = bytearray(path.read_bytes() or b"x")
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def delete(path):
    clear(path)


def folder(path):
    clear(path)
    path.mkdir()
    (path / "inside").write_text("")


def file(path):
    clear(path)
    path.write_text("")


def addition(path):
    (path / "foreign.mem").write_text("0\n")


FILE_DAMAGE, FOLDER_DAMAGE = (empty, truncate, flip, delete, folder), (delete, file, addition)


@pytest.fixture(scope="module")
def first():
    """resnet8 with random weights, built (or found built) in the folder that the board's tests use too."""
    path = build_root() / "test" / "board"
    assert main(["build", "resnet8", "--untrained", "--output", str(path)]) == 0
    return path


@pytest.fixture
def build(first, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(first, tmp_path / "build"))


def again(path):
    return main(["build", "resnet8", "--untrained", "--output", str(path)])


def contents(path):
    """Everything in a folder: path in it -> bytes, None for a folder."""
    return {str(each.relative_to(path)): each.read_bytes() if each.is_file() else None for each in sorted(path.rglob("*"))}


def places(path, is_kind):
    found = [str(each.relative_to(path)) for each in sorted(path.rglob("*")) if is_kind(each)]
    assert found
    return found


@pytest.mark.slow
def test_every_file_and_folder_is_made_again(build):
    """Every file in one of the five ways in turn, every folder in one of the three: one build after each round."""
    before = contents(build)
    files, folders = places(build, Path.is_file), places(build, Path.is_dir)
    assert {"model.onnx", "deploy/modes.json", "network.bin", "simulation/accelerator.so", "stamps/network"} <= set(files)
    for number, damage in enumerate(FILE_DAMAGE):
        for name in files[number :: len(FILE_DAMAGE)]:
            damage(build / name)
        assert again(build) == 0 and contents(build) == before, damage.__name__
    for number, damage in enumerate(FOLDER_DAMAGE):
        for name in folders[number :: len(FOLDER_DAMAGE)]:
            damage(build / name)
        assert again(build) == 0, damage.__name__
        after = contents(build)
        assert {name: after.get(name, b"missing") for name in before} == before, damage.__name__
        assert not [name for name in after if name.startswith(("deploy/", "rtl/")) and name not in before]


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_each_file_alone_in_every_way(build):
    before = contents(build)
    for name in places(build, Path.is_file):
        for damage in FILE_DAMAGE:
            damage(build / name)
            assert again(build) == 0 and contents(build) == before, (name, damage.__name__)


def test_an_edited_bias_does_not_reach_the_board(build):
    """What was seen: 100000 on a bias of the classifier in model.onnx, and the build called it equal to the integer model."""
    import onnx
    from onnx import numpy_helper

    before = contents(build)
    model = onnx.load(build / "model.onnx")
    bias = next(each for each in model.graph.initializer if numpy_helper.to_array(each).shape == (10,))
    values = numpy_helper.to_array(bias).copy()
    values[3] += 100_000
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    onnx.save(model, build / "model.onnx")
    assert again(build) == 0 and contents(build) == before


def test_a_deploy_folder_vouches_for_every_file(build):
    deploy = build / "deploy"
    vouching = {name: json.loads((deploy / name).read_text()) for name in ("modes.json", "engine.json")}
    said = vouching["modes.json"]
    assert all(each["format"] == FORMAT for each in vouching.values())
    others = {name: content_digest(deploy / name) for name in places(deploy, Path.is_file) if name not in vouching}
    assert {**said["files"], **vouching["engine.json"]["files"]} == others
    assert set(said["files"]) == {"network.bin", "samples.npz"}
    assert set(vouching["engine.json"]["files"]) == {"accelerator.so", "accelerator.hwh", "interface.json"}
    for name in places(deploy, Path.is_file):
        whole = (deploy / name).read_bytes()
        for damage in FILE_DAMAGE:
            damage(deploy / name)
            with pytest.raises(GatefoldError, match="no finished build|damaged|another version"):
                read(deploy)
            assert main(["simulate", "resnet8", "--folder", str(build)]) == 2
            clear(deploy / name)
            (deploy / name).write_bytes(whole)
    assert read(deploy) == said


def test_images_of_another_build_are_refused(build):
    """Same names, same sizes, other weights: no digest, no run."""
    sizes, path = widths(EngineConfig.of(read(build / "deploy")["parameters"])), build / "deploy" / "network.bin"
    image = path.read_bytes()
    memories = read_image(image, sizes)
    memories["weights"].reverse()
    path.write_bytes(network_image(memories, image[16:20][::-1].hex(), sizes, image[24]))
    with pytest.raises(GatefoldError, match=r"network.bin is damaged or of another build"):
        read(build / "deploy")


def test_every_parameter_is_in_the_engine_hash(first):
    from flow.engine.compile import engine_hash

    said = read(first / "deploy")
    hashes = {engine_hash(said["parameters"], [])}
    for name, value in said["parameters"].items():
        hashes.add(engine_hash({**said["parameters"], name: value + 1}, []))
    assert len(hashes) == 1 + len(said["parameters"])


@pytest.mark.parametrize("damage", FILE_DAMAGE)
def test_a_cache_is_not_believed(tmp_path, damage):
    made = []

    def make(part):
        made.append(part)
        part.write_text("what was made")

    path = tmp_path / "cache" / "entry.o"
    for _ in range(2):
        assert kept(path, make).read_text() == "what was made"
    assert len(made) == 1
    for place in (path, tmp_path / "cache" / "entry.o.sha256"):
        damage(place)
        assert kept(path, make).read_text() == "what was made"
    assert len(made) == 3 and kept(path, make) and len(made) == 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_compiled_simulator_is_not_believed(first, tmp_path, monkeypatch):
    """Every object and library of the real cache damaged: the accelerator's library comes out as before."""
    cache = Path(
        shutil.copytree(build_root() / "cache" / "simulation" / "accelerator", tmp_path / "cache" / "simulation" / "accelerator")
    )
    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path))
    build = Path(shutil.copytree(first, tmp_path / "build"))
    before = contents(build)
    for number, path in enumerate(sorted(cache.iterdir())):
        FILE_DAMAGE[number % len(FILE_DAMAGE)](path)
    (build / "simulation" / "accelerator.so").write_bytes(b"")
    assert again(build) == 0 and contents(build) == before


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_models_of_finn_nodes_are_not_believed(tmp_path, monkeypatch):
    from flow.simulation import compile_model

    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path))
    source = Path(__file__).parents[1] / "simulation" / "lookup.sv"
    library = compile_model("lookup", [source], parameters={"OFFSET": 7})
    made, size = {path for path in tmp_path.rglob("*") if path.is_file()}, library.stat().st_size
    for number, path in enumerate(sorted(made)):
        FILE_DAMAGE[number % len(FILE_DAMAGE)](path)
    assert compile_model("lookup", [source], parameters={"OFFSET": 7}) == library and library.stat().st_size == size
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == made
