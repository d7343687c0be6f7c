"""`gatefold evaluate FILE.onnx`: the classes are Brevitas', of an .npz and of a folder of pictures of the network's own shape."""

import json
import warnings

import numpy as np
import plain_networks
import pytest
import torch
from PIL import Image
from plain_networks import Head, pixels, unit
from torch import nn

from flow.cli import main

SHAPE = (1, 8, 12)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """(path of the file, pictures uint8 [N, 8, 12, 1], Brevitas' classes of them)."""
    torch.manual_seed(5)
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("network") / "grey.onnx"
    pictures = np.random.default_rng(6).integers(0, 256, (80, *SHAPE[1:], 1), dtype=np.uint8)
    planes = torch.from_numpy(pictures.transpose(0, 3, 1, 2)).float() / 255
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        model = nn.Sequential(pixels(), *unit(1, 8), *unit(8, 8), Head(8, 3)).train()
        model(planes)
        model[-1].linear.bias -= model.eval()(planes).median(dim=0).values  # so that every class is somebody's
        plain_networks.save(model, SHAPE, path)
        classes = model(planes).argmax(dim=1).numpy()
    assert set(classes) == {0, 1, 2}
    return str(path), pictures, classes


def evaluated(capsys, *arguments):
    assert main(["evaluate", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_classes_are_those_of_brevitas(network, tmp_path, capsys):
    path, pictures, classes = network
    labels = classes.copy()
    labels[:20] = (labels[:20] + 1) % 3
    np.savez(tmp_path / "own.npz", x=pictures, y=labels)
    seen = evaluated(capsys, path, "--data", tmp_path / "own.npz")
    assert seen == {"full": {"model": "grey", "mode": "full", "accuracy": 0.75, "predictions": classes.tolist()}}
    assert evaluated(capsys, path, "--data", tmp_path / "own.npz", "--mode", "full", "--count", 20)["accuracy"] == 0


def test_a_folder_of_pictures(network, tmp_path, capsys):
    path, pictures, classes = network
    for part in ("train", "test"):
        for number, (picture, label) in enumerate(zip(pictures, classes, strict=True)):
            file = tmp_path / part / str(label) / f"{number:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture[:, :, 0]).convert("RGB" if number % 2 else "L").save(file)
    assert evaluated(capsys, path, "--data", tmp_path, "--mode", "full")["accuracy"] == 1


def test_what_does_not_go_with_a_file_is_refused(network, tmp_path, capsys):
    path, pictures, classes = network
    np.savez(tmp_path / "wide.npz", x=np.zeros((1, 32, 32, 3), np.uint8), y=[0])
    np.savez(tmp_path / "many.npz", x=pictures, y=np.full(len(pictures), 3))
    for arguments, words in (
        (["--mode", "1/2"], "There is no mode '1/2'"),
        (["--checkpoint", "x"], "leave out --checkpoint"),
        (["--margin", "1"], "leave out --margin"),
        (["--data", "digits"], "The images of digits are [32, 32, 3] and the network takes [8, 12, 1]; resize them."),
        (["--data", str(tmp_path / "wide.npz")], "save them as uint8 [N, 8, 12, 1]"),
        (["--data", str(tmp_path / "many.npz")], "tells 3 classes apart"),
    ):
        assert main(["evaluate", path, *arguments]) == 2
        assert words in capsys.readouterr().err
    assert main(["evaluate", "resnet8", "--mean", "0.5"]) == 2
    assert "belong to a QONNX file; resnet8 brings its own." in capsys.readouterr().err
