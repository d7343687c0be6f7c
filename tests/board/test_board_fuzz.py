"""Every file that the board program reads, damaged at random: the right result, or one sentence and exit code 2.

The end of a test run prints how many inputs each of these tests tried.
"""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from tests.board.conftest import seal, sealed
from tests.mutations import (
    FOREIGN,
    INPUTS_TRIED,
    OTHER_THINGS,
    contents_of,
    damages,
    foreign,
    json_damages,
    other_things,
    remove,
    sweep,
    thing,
    truncations,
)

MEGABYTES = 250  # of the process that runs all of them
DEPLOY_FILES = [
    "modes.json",
    "engine.json",
    "interface.json",
    "accelerator.hwh",
    "accelerator.so",
    "samples.npz",
    "network.bin",
]
ARRAYS = ["stored.npz", "compressed.npz", "bare.npy"]
PICTURES = ["x.png", "x.jpg", "x.bmp", "x.ppm", "x.webp"]
IMAGES = np.random.default_rng(8).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
LABELS = np.array([3, 7])


@pytest.fixture(scope="module")
def folder(build, tmp_path_factory):
    """A deploy folder and images, to be damaged and restored file by file: deploy/, arrays/, pictures/ with a folder for each."""
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(build / "deploy", folder / "deploy")
    (folder / "arrays").mkdir()
    np.savez(folder / "arrays" / "stored.npz", x=IMAGES, y=LABELS)
    np.savez_compressed(folder / "arrays" / "compressed.npz", x=IMAGES, y=LABELS)
    np.save(folder / "arrays" / "bare.npy", IMAGES)
    for name in PICTURES:
        (folder / "pictures" / name).mkdir(parents=True)
        Image.fromarray(IMAGES[0]).save(folder / "pictures" / name / name)
    return folder


@pytest.fixture(scope="module")
def tried(folder, program):
    """A function: what the program says of the folder after a damage of one file, which is then restored."""

    def call(path, damage, *options, run=program, after=lambda: None):
        deploy, aside = folder / "deploy", folder / "aside"
        vouching = {name: (deploy / name).read_bytes() for name in ("modes.json", "engine.json")}
        path.rename(aside)
        shutil.copy(aside, path)
        damage(path)
        after()
        try:
            return run("--board-dir", deploy, "--json", "--mode", "1/16,1/8", "--count", 2, *options)
        finally:
            remove(path)
            aside.rename(path)  # the same file, which the process may have mapped
            for name, text in vouching.items():
                (deploy / name).write_bytes(text)

    return call


@pytest.fixture(scope="module")
def right(program, folder):
    """A function: the program's output with images at a path, nothing damaged."""
    seen = {}

    def call(*options):
        if options not in seen:
            done = program("--board-dir", folder / "deploy", "--json", "--mode", "1/16,1/8", "--count", 2, *options)
            assert (done.code, done.err) == (0, "")
            seen[options] = done.out
        return seen[options]

    return call


@pytest.fixture(autouse=True)
def unharmed(program, folder, right):
    """After each test the whole folder still runs in the same process: no refusal above was one of everything."""
    yield
    done = program("--board-dir", folder / "deploy", "--json", "--mode", "1/16,1/8", "--count", 2)
    assert (done.code, done.out, done.err) == (0, right(), "")


def expected(path, damage, right):
    """`right`, or None where a file carries no checksum or another whole picture has taken its place."""
    return (
        None
        if path.suffix in (".npy", ".jpg", ".bmp", ".ppm", ".webp") or (path.suffix == ".png" and "a black PNG" in repr(damage))
        else right
    )


def judge(done, expected=None, what=""):
    """One of the two outcomes; `expected`: the right output, where it can be known."""
    assert done.peak < MEGABYTES, (done.peak, what)
    if done.code == 0:
        assert done.err == "", (what, done.err)
        assert expected in (None, done.out), what
        assert len(json.loads(done.out)["predictions"]) == 2
    else:
        lines = done.err.splitlines()
        assert (done.code, done.out, len(lines)) == (2, "", 1) and lines[0].startswith("gatefold: ") and lines[0].endswith("."), (
            what,
            done,
        )


def test_deploy_files(folder, tried, right, record_property):
    def check(name, damage):
        judge(tried(folder / "deploy" / name, damage), right(), (name, damage))

    sweep(check, 600, record_property, name=st.sampled_from(DEPLOY_FILES), damage=damages())


def test_json_edits(folder, tried, right, record_property):
    """modes.json and engine.json vouch for themselves, engine.json for interface.json: an edit is told, or says the same."""

    def check(name, damage):
        judge(tried(folder / "deploy" / name, damage), right(), (name, damage))

    sweep(check, 200, record_property, name=st.sampled_from(["modes.json", "engine.json", "interface.json"]), damage=json_damages())


def test_json_edits_that_are_vouched_for(folder, tried, right, record_property):
    """What a faulty build could write with a digest that is right: the same logits, or a sentence."""

    def check(damage):
        done = tried(folder / "deploy" / "modes.json", damage)
        judge(done, None, damage)
        if done.code == 0:
            assert json.loads(done.out)["logits"] == json.loads(right())["logits"]

    sweep(check, 150, record_property, damage=json_damages(lambda value: sealed(value) if isinstance(value, dict) else value))


def test_interfaces_that_are_vouched_for(folder, tried, record_property):
    """Of what no file contradicts only the form can be judged: a result, or a sentence."""

    def check(damage):
        deploy = folder / "deploy"
        judge(tried(deploy / "interface.json", damage, "--timeout", 1, after=lambda: seal(deploy)), None, damage)

    sweep(check, 100, record_property, damage=json_damages())


def test_files_that_are_vouched_for(folder, tried, record_property):
    """What the digests are right of, but no library can read. (A damaged accelerator.so would end the process in dlopen.)"""

    def check(name, damage):
        deploy = folder / "deploy"
        judge(tried(deploy / name, damage, after=lambda: seal(deploy)), None, (name, damage))

    names = st.sampled_from(["accelerator.hwh", "samples.npz"])
    sweep(check, 150, record_property, name=names, damage=st.one_of(truncations(), foreign(), damages()))


def test_arrays(folder, tried, right, record_property):
    """An archive carries checksums, so that a result must be the right one."""

    def check(name, damage):
        path = folder / "arrays" / name
        judge(tried(path, damage, "--images", path), expected(path, damage, right("--images", path)), (name, damage))

    sweep(check, 250, record_property, name=st.sampled_from(ARRAYS), damage=damages())


def test_pictures(folder, tried, right, record_property):
    """Of these formats only PNG carries checksums."""

    def check(name, damage):
        path = folder / "pictures" / name / name
        judge(tried(path, damage, "--images", path.parent), expected(path, damage, right("--images", path.parent)), (name, damage))

    sweep(check, 150, record_property, name=st.sampled_from(PICTURES), damage=damages())


def test_everything_foreign_everywhere(folder, tried, right, record_property):
    """All of the catalogue, and nothing by chance."""
    count = 0
    for place in [*(f"deploy/{name}" for name in DEPLOY_FILES), "arrays/stored.npz", "arrays/bare.npy", "pictures/x.png/x.png"]:
        path = folder / place
        options = {"deploy": (), "arrays": ("--images", path), "pictures": ("--images", path.parent)}[place.split("/")[0]]
        for damage in [*map(contents_of, FOREIGN), *map(thing, OTHER_THINGS)]:
            judge(tried(path, damage, *options), expected(path, damage, right(*options)), (place, damage))
            count += 1
    record_property(INPUTS_TRIED, count)


def test_the_real_process(folder, tried, right, board, record_property):
    """A few of the same, each in a process of its own."""

    def run(*arguments):
        done = board("board/run.py", *arguments)
        return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr, peak=0)

    def check(name, damage):
        judge(
            tried(folder / name, damage, "--images", folder / "arrays" / "stored.npz", run=run),
            right("--images", folder / "arrays" / "stored.npz"),
            (name, damage),
        )

    names = st.sampled_from([*(f"deploy/{name}" for name in DEPLOY_FILES), "arrays/stored.npz"])
    sweep(check, 6, record_property, name=names, damage=st.one_of(damages(), other_things()))
