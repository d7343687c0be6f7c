"""A picture becomes the same planes on the board as in the flow, and what modes.json says of it is checked."""

import numpy as np
import pytest

from board.description import PARAMETERS, Damaged, check_description, read_picture
from flow.build.deploy import image_description
from flow.engine.stream import padded_frames
from flow.graph.integer import picture_frames
from flow.graph.layers import ImageInput, Layer, LayerGraph, Setting, stored_size
from tests.board.conftest import seal

RNG = np.random.default_rng(3)


def network(height, width, colours, table):
    """A graph of one convolution and a classifier that reads such pictures."""
    size = stored_size(height, width)
    planes = colours * (2 if (table < 0).any() else 1)
    conv = Layer(
        "conv", "conv", np.ones((16, planes, 1, 1), np.int64), 1, size, size, pool=True, thresholds={Setting(): np.zeros((16, 15))}
    )
    linear = Layer("linear", "linear", np.ones((2, 16), np.int64), input="conv", bias=np.zeros(2, np.int64))
    return LayerGraph("net", [conv, linear], {"full": {}}, ImageInput((height, width), table))


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 28, 1), (20, 28, 2), (31, 25, 3), (8, 8, 1), (8, 7, 3)])
@pytest.mark.parametrize("low", [None, 0, -255])
def test_board_and_flow_make_the_same_planes(shape, low):
    rows = np.arange(256)[:, None] + np.zeros(shape[2], np.int64) if low is None else RNG.integers(low, 256, (256, shape[2]))
    graph = network(*shape, rows)
    described = image_description(graph)
    assert (described["table"] is None) == (low is None)
    picture = read_picture(described)
    pictures = RNG.integers(0, 256, (5, *shape), dtype=np.uint8)
    frames = np.full((5, picture.frame_bytes), 7, np.uint8)
    picture.to_frames(pictures, frames)
    assert picture.shape == shape and np.array_equal(frames, padded_frames(picture_frames(graph, pictures).transpose(0, 3, 1, 2)))


SOUND = {"height": 28, "width": 20, "colours": 1, "size": 32, "planes": 1, "table": None}


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 24}, {"size": 64}, {"size": True}, {"size": None}, {"size": 128}, {"height": 33}, {"height": 0}, {"width": "20"}, {"width": 20.0},
        {"colours": 0}, {"colours": 4, "planes": 4}, {"planes": 2}, {"planes": 0}, {"table": []}, {"table": [[1]] * 255},
        {"table": [[1, 2]] * 256}, {"table": [[256]] * 256}, {"table": [[0.5]] * 256}, {"table": [1] * 256}, {"table": [[-1]] * 256},
        {"table": [[True]] * 256}, {"table": "x" * 256},
    ],
)  # fmt: skip
def test_a_picture_that_cannot_be_is_refused(changes):
    assert read_picture(SOUND).shape == (28, 20, 1)
    assert read_picture({**SOUND, "planes": 2, "table": [[-1]] * 256}).planes == 2
    with pytest.raises(Damaged, match="modes.json: "):
        read_picture({**SOUND, **changes})


@pytest.mark.parametrize("entry", [None, [], "image", 7])
def test_no_picture_at_all_is_refused(entry):
    with pytest.raises(Damaged, match="describes no picture"):
        read_picture(entry)


@pytest.mark.parametrize("order", [[0], [0, 0], [0, 2], [1, 0, 2], [0, True], ["0", "1"], 3, {}, [0.0, 1.0]])
def test_an_order_that_is_none_is_refused(order):
    contents = {
        "model": "net",
        "board": "pynq-z2",
        "clock_mhz": 100,
        "engine_hash": "0" * 64,
        "engine": "e",
        "classes": ["cat", "dog"],
    }
    contents |= {"parameters": dict.fromkeys(PARAMETERS, 1), "logit_scale": 1.0}
    for sound in (None, [0, 1], [1, 0]):
        check_description({**contents, "class_order": sound})
    with pytest.raises(Damaged, match="class_order is no order of the classes"):
        check_description({**contents, "class_order": order})


def test_names_and_logits_follow_the_order(deploy, program):
    """The hardware's logit k belongs to class order[k]: predictions, logits and names move together."""
    import json

    run = ("--board-dir", deploy, "--count", 4)
    plain, text = json.loads(program(*run, "--json").out), program(*run).out
    order = [3, 1, 4, 0, 5, 9, 2, 6, 8, 7]
    seal(deploy, class_order=order)
    moved = json.loads(program(*run, "--json").out)
    assert moved["predictions"] == [order[number] for number in plain["predictions"]]
    for before, after in zip(plain["logits"], moved["logits"]):
        assert [after[number] for number in order] == before
    assert program(*run).out != text


def test_pictures_of_another_size_are_told(deploy, program, tmp_path):
    """The size comes from modes.json and not from the program."""
    said = {"height": 30, "width": 31, "colours": 3, "size": 32, "planes": 3, "table": None}
    seal(deploy, image=said)
    program.refuse("--board-dir", deploy, saying="give uint8 [N, 30, 31, 3]")
    np.savez(tmp_path / "x.npz", x=RNG.integers(0, 256, (2, 30, 31, 3), dtype=np.uint8))
    assert program("--board-dir", deploy, "--images", tmp_path / "x.npz", "--count", 2).code == 0
    seal(deploy, image={**said, "colours": 1, "planes": 1})
    program.refuse("--board-dir", deploy, "--images", tmp_path / "x.npz", saying="give uint8 [N, 30, 31, 1]")


def test_pictures_in_grey(deploy, program, tmp_path):
    """A network of one colour takes grey pictures, and refuses coloured ones. The accelerator is not run."""
    from PIL import Image

    seal(deploy, image={"height": 32, "width": 32, "colours": 1, "size": 32, "planes": 1, "table": None})
    colour = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "x.png")
    program.refuse(
        "--board-dir", deploy, "--images", tmp_path, saying="has colours and the network takes grey pictures; convert it"
    )
    seal(deploy, image={"height": 32, "width": 32, "colours": 2, "size": 32, "planes": 2, "table": None})
    program.refuse(
        "--board-dir", deploy, "--images", tmp_path, saying="takes images of 2 colours, which no picture has; give an .npz file"
    )
