"""A build is a FINN build: without FINN's steps there is none, and the deployed images are those of the TileEngine node."""

import json
import warnings

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from finn.util.basic import getHWCustomOp
from qonnx.core.modelwrapper import ModelWrapper
from torch import nn

from flow.cli import main
from flow.engine.images import widths
from flow.engine.network import memories_digest, network_image, read_image
from flow.finn import accelerator, steps, streamline
from flow.paths import build_root


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Path of the QONNX file of a small network of brevitas.nn."""
    from brevitas.export import export_qonnx
    from brevitas.quant import Uint8ActPerTensorFloat

    torch.manual_seed(0)
    torch.set_num_threads(1)

    def unit(inputs, outputs, stride):
        conv = qnn.QuantConv2d(inputs, outputs, 3, stride, 1, bias=False, weight_bit_width=4)
        return [conv, nn.BatchNorm2d(outputs), qnn.QuantReLU(bit_width=4)]

    pixels = qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat, scaling_impl_type="const", min_val=0.0, max_val=1.0, bit_width=8)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), qnn.QuantLinear(8, 3, bias=True, weight_bit_width=8)]
    model = nn.Sequential(pixels, *unit(3, 8, 1), *unit(8, 8, 2), *unit(8, 8, 2), *head)
    path = tmp_path_factory.mktemp("network") / "small.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train()(torch.rand(8, 3, 32, 32))
        export_qonnx(model.eval(), args=torch.zeros(1, 3, 32, 32), export_path=str(path))
    return path


class Nothing:
    """A transformation that changes nothing."""

    def __init__(self, *args):
        pass

    def apply(self, model):
        return model, False


@pytest.mark.parametrize("left_out", [step.__name__ for step in steps.LAYER_STEPS if step is not steps.step_tidy_up])
def test_without_a_step_there_is_no_build(network, left_out, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(steps, "LAYER_STEPS", [step for step in steps.LAYER_STEPS if step.__name__ != left_out])
    assert main(["build", str(network), "--output", str(tmp_path / "build")]) == 2
    assert capsys.readouterr().err.count("gatefold: ") == 1 and not (tmp_path / "build").exists()


@pytest.mark.parametrize("transformation", ["ConvertQONNXtoFINN", "Streamline"])
def test_without_finn_there_is_no_build(network, transformation, tmp_path, monkeypatch, capsys):
    """Nor of a network of ours, whose weights are at hand."""
    monkeypatch.setattr(streamline, transformation, Nothing)
    for arguments in ([str(network)], ["resnet8", "--untrained"]):
        assert main(["build", *arguments, "--output", str(tmp_path / "build")]) == 2
        assert capsys.readouterr().err.count("gatefold: ") == 1 and not (tmp_path / "build").exists()


def test_images_of_another_writer_are_refused(network, tmp_path, monkeypatch, capsys):
    """The node's digest is that of what MakeAccelerator wrote, and `gatefold build` compares what lies there."""
    apply = accelerator.MakeAccelerator.apply

    def with_another_image(self, model):
        result = apply(self, model)
        path, sizes = self.folder / "network.bin", widths(accelerator.engine_node(model).layout()[1].config)
        image = path.read_bytes()
        memories = read_image(image, sizes)
        memories["weights"].reverse()
        path.write_bytes(network_image(memories, image[16:20][::-1].hex(), sizes, image[24]))
        return result

    monkeypatch.setattr(accelerator.MakeAccelerator, "apply", with_another_image)
    assert main(["build", str(network), "--output", str(tmp_path / "build")]) == 2
    assert "The network's memories are not those of the node TileEngine_0" in capsys.readouterr().err
    assert not (tmp_path / "build" / "deploy").exists()


def test_a_node_that_makes_other_images_is_refused(network, tmp_path, monkeypatch):
    """The node was made for other constants than it gives now."""
    folder = tmp_path / "accelerator"
    folder.mkdir()
    model = steps.convert(steps.read_network(network), steps.ENGINE_STEPS, steps.NetworkConfig())
    node = accelerator.engine_node(model)
    good = node.get_nodeattr("memories_digest")
    assert good == memories_digest(node.build().memories)
    node.set_nodeattr("memories_digest", good[::-1])
    with pytest.raises(accelerator.GatefoldError, match="their digests differ"):
        model.transform(accelerator.MakeAccelerator(folder))
    assert not any(folder.iterdir())


def test_the_deployed_images_are_the_node_s():
    """Of the build that the other tests use: resnet8 with random weights."""
    folder = build_root() / "test" / "board"
    assert main(["build", "resnet8", "--untrained", "--output", str(folder)]) == 0
    (node,) = ModelWrapper(str(folder / "engine.onnx")).get_nodes_by_op_type("TileEngine")
    op = getHWCustomOp(node)
    deployed = read_image((folder / "deploy" / "network.bin").read_bytes(), widths(op.layout()[1].config))
    assert memories_digest(deployed) == op.get_nodeattr("memories_digest") == memories_digest(op.build().memories)
    said = json.loads((folder / "deploy" / "modes.json").read_text())
    assert said["image"] == {"height": 32, "width": 32, "colours": 3, "size": 32, "planes": 3, "table": None}
    layers = ModelWrapper(str(folder / "layers.onnx"))
    assert all("scale and bias of the model" in node.doc_string for node in layers.graph.node[:-1])
    assert {node.op_type for node in ModelWrapper(str(folder / "model.onnx")).graph.node} == {
        "Quant", "Conv", "Mul", "Add", "Relu", "Reshape", "Transpose", "GlobalAveragePool", "Flatten", "MatMul"
    }  # fmt: skip
    assert np.load(folder / "deploy" / "samples.npz")["x"].shape == (16, 32, 32, 3)


CLASS = """
from flow.models.network import Network
from flow.nn.layers import Classifier, Conv, Residual


class Net(Network):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.stem = Conv(3, 16)
        self.block1 = Residual(16, 32, stride=2)
        self.block2 = Residual(32, 64, stride=2)
        self.classifier = Classifier(64, num_classes)
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_class_of_a_user_s_is_built_with_its_modes(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(CLASS)
    assert main(["build", f"{tmp_path / 'mine.py'}:Net", "--untrained", "--output", str(tmp_path / "build"), "--json"]) == 0
    built = json.loads(capsys.readouterr().out)
    assert built["model"] == "Net" and list(built["modes"]) == ["full", "1/2", "1/4", "1/8", "1/16"]
    assert built["modes"]["1/16"]["cycles_rtl"] < built["modes"]["full"]["cycles_rtl"] / 2
