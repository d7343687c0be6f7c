"""`gatefold engine` of networks in files, beside one of ours."""

import warnings

import plain_networks
import pytest
import torch

from flow.cli import main
from flow.engine.shared import read_engine


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A QONNX file of a network that shares an engine with resnet8."""
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plain_networks.save(plain_networks.vgg().eval(), (3, 32, 32), tmp_path_factory.mktemp("files") / "vgg.onnx")


def test_untrained_is_for_those_without_weights(file, tmp_path):
    """A file has its own, and goes with a network that has none yet; a board has its own name in any case."""
    path = tmp_path / "engine.json"
    arguments = ["resnet8", str(file), "--untrained", "--resident", "--board", "ZedBoard", "--no-simulator"]
    assert main(["engine", *arguments, "--output", str(path)]) == 0
    board, engine = read_engine(path)
    assert (board, engine.modes) == ("zedboard", 6)
    assert main(["report", str(file), "--engine", str(path), "--board", "Zedboard", "--no-synthesis", "--json"]) == 0
