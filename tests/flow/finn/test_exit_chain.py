"""Early exits on the road from PyTorch over QONNX and FINN to the layer graph: the same integers at every exit."""

import copy

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from test_gated_chain import FIELDS, same_layers

import flow.finn as gatefold_finn
from flow.errors import GatefoldError
from flow.export.from_model import layer_graph
from flow.export.modes import ApplyMode
from flow.export.qonnx_export import export
from flow.finn.infer import recognise
from flow.finn.steps import LAYER_STEPS, NetworkConfig, convert, parse_qonnx
from flow.graph.integer import run
from flow.graph.random_graph import random_gated, with_exits
from flow.models import create, initialise

IMAGES = 4


def pictures(count):
    return np.random.default_rng(7).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def trained(gates):
    """Random weights; gates whose biases are spread, and exits that differ with gates and without."""
    torch.set_num_threads(1)
    model = initialise(create("resnet8", gates=gates, exits=True, ungated=gates is not None), 3)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if name.endswith("linear.bias"):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
        elif name.endswith("-ungated.bias"):
            parameter.data += 0.3
    return model.eval()


@pytest.mark.parametrize("gates, modes", [(None, ("full", "1/4")), ("channel", ("full", "1/16", "full ungated"))])
def test_model_and_layer_graph_agree_at_every_exit(gates, modes):
    model, images = trained(gates), pictures(IMAGES)
    graph = layer_graph(model)
    assert [exit.name for exit in graph.exits] == [f"exits.stage{n}_block1.classifier" for n in (1, 2)]
    for mode in modes:
        if gates:
            model.set_gates(mode not in graph.ungated)
        model.set_mode(mode.removesuffix(" ungated"))
        stations, result = model.integer_stations(images.transpose(0, 2, 3, 1)), run(graph, images, mode)
        for name, logits in result.exit_logits.items():
            branch = [layer.name for layer in graph.layers if layer.exit == name and not layer.name[:-1].endswith("pool")]
            for layer in branch[:-2]:
                assert np.array_equal(result.stations[layer], stations[layer]), (mode, layer)
            assert np.array_equal(result.stations[branch[-2]], stations[branch[-2]].sum(axis=(2, 3))), mode
            assert np.array_equal(logits, stations[name]), (mode, name)
        assert np.array_equal(result.logits, stations["classifier"])
        with torch.no_grad():
            model(torch.from_numpy(images).float() / 255)
        for exit, real in zip(graph.exits, model.exit_logits, strict=True):
            assert np.array_equal(np.rint(real.numpy() / exit.logit_scale), result.exit_logits[exit.name])


def test_statistics_of_exits_without_gates():
    model, images = trained("channel"), pictures(1)
    graph = layer_graph(model)
    conv = graph[graph.exits[0].input]
    assert [graph.setting(mode, conv).statistics for mode in ("full", "1/4", "full ungated")] == [0, 0, 1]
    one = {gate.name: np.ones(gate.decisions, int) for gate in graph.gates}
    forced, without = run(graph, images, "full", forced=one), run(graph, images, "full ungated")
    assert not np.array_equal(forced.exit_logits[graph.exits[0].name], without.exit_logits[graph.exits[0].name])


def check_everywhere(graph, images, modes, tmp_path):
    """QONNX, streamlined graph and layer nodes give the logits of every exit, and the same layer graph."""
    import finn.core.onnx_exec as oxe

    qonnx, results = export(graph, len(images)), {mode: run(graph, images, mode) for mode in modes}
    for mode, expected in results.items():
        tensors = execute_onnx(qonnx.transform(ApplyMode(mode)), {"image": images.astype(np.float32)}, True)
        assert np.array_equal(tensors["logits"], expected.logits)
        assert all(np.array_equal(tensors[f"{name}.logits"], logits) for name, logits in expected.exit_logits.items())
    streamlined = convert(parse_qonnx(export(graph).model.SerializeToString(), "exits"), LAYER_STEPS[:-1], NetworkConfig())
    names = [output.name for output in streamlined.graph.output]
    expected = run(graph, images, "full")
    for number, image in enumerate(images):
        tensors = execute_onnx(streamlined, {streamlined.graph.input[0].name: image[None].astype(np.float32)}, True)
        for name, logits in zip(names, (expected.logits, *expected.exit_logits.values()), strict=True):
            assert np.array_equal(tensors[name][0], logits[number])
    convert(streamlined, LAYER_STEPS[-1:], NetworkConfig()).save(str(tmp_path / "layers.onnx"))
    nodes = ModelWrapper(str(tmp_path / "layers.onnx"))
    theirs = gatefold_finn.layer_graph(nodes)
    same_layers(graph, theirs)
    assert [layer.exit for layer in graph.layers] == [layer.exit for layer in theirs.layers]
    assert [exit.logit_scale for exit in theirs.exits] == pytest.approx([exit.logit_scale for exit in graph.exits])
    for mode, expected in results.items():
        chosen = nodes.transform(gatefold_finn.SetMode(mode))
        feed = {"image": images[:1].transpose(0, 2, 3, 1).astype(np.float32)}
        tensors = oxe.execute_onnx(chosen, feed, return_full_exec_context=True)
        assert np.array_equal(tensors["logits"][0], expected.logits[0])
        assert all(np.array_equal(tensors[f"{name}.out"][0], logits[0]) for name, logits in expected.exit_logits.items())
    return streamlined


def test_from_pytorch_to_layer_nodes(tmp_path):
    check_everywhere(layer_graph(trained(None)), pictures(2), ["full", "1/4"], tmp_path)


@pytest.fixture(scope="module")
def streamlined(tmp_path_factory):
    """An exit of a network with gates, and one behind it; its stages are checked on the way."""
    graph = with_exits(random_gated(2, (16, 16, 32), (1, 1, 1), ("both", "channel")), ("stage1.block1", "stage2.block1"))
    return check_everywhere(graph, pictures(2), ["full", "1/4 ungated"], tmp_path_factory.mktemp("exits"))


def test_exits_without_metadata_are_found_by_their_connections(streamlined):
    graph = recognise(streamlined)
    assert [exit.name for exit in graph.exits] == [f"stage{n}.block1.exit.classifier" for n in (1, 2)]
    names = [layer.name for layer in graph.layers]
    assert names.index("stage1.block1.exit.pool1") == names.index("stage1.block1.conv2") + 1
    assert all(layer.exit == layer.name.rpartition(".")[0] + ".classifier" for layer in graph.layers if ".exit." in layer.name)
    assert FIELDS and not any(layer.exit for layer in graph.layers if ".exit." not in layer.name)


def fractional_bias(model):
    node = next(each for each in model.get_nodes_by_op_type("MatMul") if each.doc_string == "stage1.block1.exit.classifier")
    add = model.find_consumer(node.output[0])
    model.set_initializer(add.input[1], model.get_initializer(add.input[1]) + np.float32(0.5))


def output_is_a_map(model):
    conv = next(each for each in model.get_nodes_by_op_type("MaxPool"))
    model.graph.output[1].name = conv.output[0]


@pytest.mark.parametrize(
    "edit, words",
    [
        (fractional_bias, "whose bias is no whole number of logit units; round it"),
        (output_is_a_map, "ends the network; end it with a global average pool and one linear layer"),
    ],
)
def test_what_is_no_exit_is_refused(streamlined, edit, words):
    model = copy.deepcopy(streamlined)
    edit(model)
    with pytest.raises(GatefoldError, match=words) as error:
        recognise(model)
    assert str(error.value).startswith("Node ") and "\n" not in str(error.value)
