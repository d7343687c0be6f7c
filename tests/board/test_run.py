"""The board program on the simulated board: exact results, every mode."""

import json
import re

import numpy as np
import pytest
from PIL import Image

KEYS = {"simulated", "model", "mode", "frames", "predictions", "logits", "cycles", "frames_per_s", "latency_ms", "energy"}


@pytest.fixture(scope="module")
def run(build, program):
    """A function that runs the program with --json on the build and returns its object."""

    def call(*arguments):
        done = program("--board-dir", build, "--json", *arguments)
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    return call


@pytest.fixture(scope="module")
def graph(build):
    """The layer graph of the build's network."""

    from flow.build.deploy import built_graph, read

    return built_graph(build, read(build / "deploy"))


def expected_logits(graph, images, modes):
    """Logits of the integer model, int [N, classes], every image in its own mode."""
    from flow.graph.integer import run

    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return np.concatenate([run(graph, planes[i : i + 1], mode).logits for i, mode in enumerate(modes)]).tolist()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """.npz with 8 random images and labels: its path and its images."""
    path = tmp_path_factory.mktemp("images") / "random.npz"
    images = np.random.default_rng(1).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    np.savez(path, x=images, y=np.arange(8))
    return path, images


@pytest.mark.parametrize("mode", ["full", "1/2", "1/4", "1/8", "1/16"])
def test_every_mode_equals_the_integer_model(run, graph, pictures, mode):
    path, images = pictures
    seen = run("--mode", mode, "--count", 8, "--images", path)
    assert seen["logits"] == expected_logits(graph, images, [mode] * 8)
    assert seen["predictions"] == np.argmax(seen["logits"], axis=1).tolist()


def test_mode_list_changes_every_frame(run, graph, pictures):
    path, images = pictures
    modes = ["full", "1/16", "1/4", "1/2"]
    seen = run("--mode", ",".join(modes), "--count", 8, "--images", path)
    assert seen["logits"] == expected_logits(graph, images, modes * 2)
    assert seen["frame_cycles"][:4] == seen["frame_cycles"][4:]
    assert len(set(seen["frame_cycles"])) == 4


def test_batches_give_what_one_batch_gives(run, pictures):
    path, _ = pictures
    one, three = run("--count", 8, "--images", path), run("--count", 8, "--images", path, "--batch", 3)
    assert one["logits"] == three["logits"]
    assert (one["batches"], three["batches"]) == (1, 3)


def test_figures_belong_together(run, pictures):
    path, _ = pictures
    seen = run("--count", 8, "--images", path)
    assert KEYS <= set(seen)
    assert seen["simulated"] is True and seen["model"] == "resnet8" and seen["frames"] == 8
    seconds = seen["cycles"] / 142.857143e6
    assert seen["latency_ms"] == pytest.approx(1e3 * seconds)
    assert seen["frames_per_s"] == pytest.approx(8 / seconds)
    millijoule = 1e3 * (1.58 * seconds + (1.76 - 1.58) * sum(seen["tiles"]) / 142.857143e6)
    assert seen["energy"] == {"kind": "modelled", "millijoule": pytest.approx(millijoule)}
    assert sum(seen["frame_cycles"]) <= seen["cycles"] <= 1.1 * sum(seen["frame_cycles"])
    assert seen["accuracy"] == np.mean(np.array(seen["predictions"]) == np.arange(8))


def test_pictures_of_a_folder(run, graph, pictures, tmp_path):
    _, images = pictures
    for number, image in enumerate(images[:3]):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    seen = run("--count", 3, "--images", tmp_path)
    assert seen["logits"] == expected_logits(graph, images[:3], ["full"] * 3)


def test_text_says_simulated_and_modelled(build, board):
    done = board("board/run.py", "--board-dir", build, "--mode", "1/16", "--count", 2)
    assert done.returncode == 0, done.stderr
    assert "simulated" in done.stdout and "modelled" in done.stdout and "measured" not in done.stdout
    # Two frames of some 2,118 cycles at 142.857 MHz and the load of the first: 0.03 to 0.035 ms. 1.7 W × 0.0158 ms = 0.027 mJ a frame.
    assert 0.024 < float(re.search(r"energy +([0-9.]+) mJ a frame", done.stdout)[1]) < 0.032
