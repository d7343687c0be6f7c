"""Gates on the road from PyTorch over QONNX and FINN to the layer graph: the same integers and the same decisions at every station."""

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

import flow.finn as gatefold_finn
from flow.export.from_model import layer_graph
from flow.export.modes import ApplyMode
from flow.export.qonnx_export import export
from flow.finn.steps import LAYER_STEPS, NetworkConfig, convert, parse_qonnx
from flow.graph.integer import run
from flow.graph.random_graph import random_gated
from flow.models import create, initialise

IMAGES = 8
FIELDS = (
    "name", "kind", "stride", "in_size", "out_size", "input", "residual", "pool", "mask", "when", "gate", "pool2", "valid", "group_counts", "excite", "factor_shift"
)  # fmt: skip


def pictures(count):
    return np.random.default_rng(7).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def trained(kind):
    """Random weights, and gates whose biases are spread."""
    torch.set_num_threads(1)
    model = initialise(create("resnet8", gates=kind, ungated=True), 3)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.gates.named_parameters():
        if name.endswith("linear.bias"):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return model.eval()


def same_layers(ours, theirs):
    assert [layer.name for layer in ours.layers] == [layer.name for layer in theirs.layers]
    for layer, other in zip(ours.layers, theirs.layers, strict=True):
        assert [getattr(layer, key) for key in FIELDS] == [getattr(other, key) for key in FIELDS]
        assert layer.shuffle == other.shuffle or layer.out_channels == 16  # which is the identity
        assert np.array_equal(layer.weight, other.weight)
        assert layer.bias is None or np.array_equal(layer.bias, other.bias)
        assert layer.rescale == other.rescale and (layer.lstm is None or layer.lstm.same(other.lstm))
        assert layer.expand is None or layer.expand.same(other.expand)
        assert sorted(layer.affine) == sorted(other.affine)
        for setting, pair in layer.affine.items():
            assert np.array_equal(pair, other.affine[setting])
    assert (list(ours.modes), ours.ungated) == (list(theirs.modes), theirs.ungated)
    for mode in ours.modes:
        assert all(ours.setting(mode, layer) == theirs.setting(mode, layer) for layer in ours.layers)


def check_qonnx(graph, images, modes):
    qonnx = export(graph, len(images))
    for mode in modes:
        tensors = execute_onnx(qonnx.transform(ApplyMode(mode)), {"image": images.astype(np.float32)}, True)
        expected = run(graph, images, mode)
        assert np.array_equal(tensors["logits"], expected.logits), mode
        assert all(np.array_equal(tensors[f"{name}.decision"], rows) for name, rows in expected.decisions.items())
        assert expected.decisions or not any(name.endswith(".decision") for name in tensors)


def check_nodes(nodes, graph, images, modes):
    """Layer nodes, an image at a time."""
    import finn.core.onnx_exec as oxe

    for mode in modes:
        chosen, expected = nodes.transform(gatefold_finn.SetMode(mode)), run(graph, images, mode)
        for number, image in enumerate(images):
            feed = {"image": image.transpose(1, 2, 0)[None].astype(np.float32)}
            tensors = oxe.execute_onnx(chosen, feed, return_full_exec_context=True)
            assert np.array_equal(tensors["logits"][0], expected.logits[number])
            for name, rows in expected.decisions.items():
                assert np.array_equal(tensors[f"{name}.out"][0], rows[number]), (mode, name)


def decision_of(model, name):
    """The tensor of a gate's decisions in a streamlined graph."""
    node = next(node for node in model.get_nodes_by_op_type("MatMul") if node.doc_string == name)
    while (after := model.find_consumers(node.output[0])) and after[0].op_type != "Unsqueeze":
        node = after[0]
    return node.output[0]


def test_from_pytorch_to_layer_nodes():
    model, images = trained("channel"), pictures(IMAGES)
    graph = layer_graph(model)
    stations = model.integer_stations(images.transpose(0, 2, 3, 1))
    expected = run(graph, images, "full")
    assert np.array_equal(stations["classifier"], expected.logits)
    assert all(np.array_equal(stations[name], rows) for name, rows in expected.decisions.items())
    taken = np.concatenate([rows.reshape(-1) for rows in expected.decisions.values()])
    assert 0.2 < taken.mean() < 0.9
    check_qonnx(graph, images, ["full", "1/4", "1/4 ungated"])
    streamlined = convert(parse_qonnx(export(graph).model.SerializeToString(), "gated"), LAYER_STEPS[:-1], NetworkConfig())
    assert len(streamlined.get_nodes_by_op_type("Where")) == 6
    for number, image in enumerate(images):
        tensors = execute_onnx(streamlined, {streamlined.graph.input[0].name: image[None].astype(np.float32)}, True)
        assert np.array_equal(tensors[streamlined.graph.output[0].name][0], expected.logits[number])
        for name, rows in expected.decisions.items():
            assert np.array_equal(tensors[decision_of(streamlined, name)][0], rows[number])
    nodes = convert(streamlined, LAYER_STEPS[-1:], NetworkConfig())
    same_layers(graph, gatefold_finn.layer_graph(nodes))
    check_nodes(nodes, graph, images, ["full", "1/4 ungated"])


@pytest.mark.parametrize(
    "kinds, blocks",
    [
        (("both", "pooled", "each"), (1, 1, 1)),
        (("ddi", "ddi", "acs"), (1, 1, 1)),
        pytest.param(("both", "pooled", "each", "ddi", "ddi", "acs"), (2, 2, 2), marks=pytest.mark.slow),
    ],
)
def test_every_kind_of_gate(kinds, blocks, tmp_path):
    """Layer gates with and without channel gates, gates on the sums of a map that others read, a gate for each convolution, steps of
    an LSTM, and squeeze-and-excitation."""
    graph, images = random_gated(2, (16, 16, 32), blocks, kinds), pictures(2)
    check_qonnx(graph, images, ["full", "1/4", "full ungated"])
    export(graph).save(str(tmp_path / "gated.onnx"))
    nodes = gatefold_finn.read_network(tmp_path / "gated.onnx")
    nodes.save(str(tmp_path / "layers.onnx"))
    again = ModelWrapper(str(tmp_path / "layers.onnx"))
    same_layers(graph, gatefold_finn.layer_graph(again))
    check_nodes(again, graph, images, ["full", "1/4", "full ungated"])
    kept = gatefold_finn.layer_graph(again.transform(gatefold_finn.KeepModes(["1/4 ungated", "full"])))
    assert list(kept.modes) == ["1/4 ungated", "full"] and kept.ungated == {"1/4 ungated"}
