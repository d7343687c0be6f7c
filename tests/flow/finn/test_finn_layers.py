"""Layer nodes: shapes, types, cycles, integer-exact execution, conversion from QONNX and back."""

import numpy as np
import pytest
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

import flow.finn as gatefold_finn
from flow.engine.config import Folding
from flow.engine.cost import Unplanned, mode_costs
from flow.errors import GatefoldError
from flow.graph.integer import run
from flow.graph.random_graph import MODE_NAMES, random_resnet

CONFIG = Folding(p=32, pe=1, r=16, v=8)


@pytest.fixture(scope="module")
def graph():
    return random_resnet(3)


@pytest.fixture(scope="module")
def model(graph):
    return gatefold_finn.build_layer_graph(graph, CONFIG, frames=2)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)


def execute(model, images):
    import finn.core.onnx_exec as oxe

    feed = {"image": images.transpose(0, 2, 3, 1).astype(np.float32)}
    return oxe.execute_onnx(model, feed, return_full_exec_context=True)


@pytest.mark.parametrize("mode", MODE_NAMES)
def test_every_layer_equals_the_reference(graph, model, images, mode):
    tensors = execute(model.transform(gatefold_finn.SetMode(mode)), images)
    expected = run(graph, images, mode)
    for layer in graph.layers[:-1]:
        station = expected.stations[layer.name]
        station = station if layer.pool else station.transpose(0, 2, 3, 1)
        assert np.array_equal(tensors[f"{layer.name}.out"], station), layer.name
    assert np.array_equal(tensors["logits"], expected.logits)


def test_nodes_know_shapes_types_and_cycles(graph, model):
    from finn.util.basic import getHWCustomOp
    from qonnx.transformation.infer_shapes import InferShapes

    inferred = model.transform(InferShapes())
    for node in inferred.graph.node:
        op = getHWCustomOp(node)
        for i, tensor in enumerate(node.input):
            assert list(op.get_normal_input_shape(i)) == model.get_tensor_shape(tensor)
            assert op.get_input_datatype(i) == model.get_tensor_datatype(tensor)
        assert list(op.get_normal_output_shape()) == inferred.get_tensor_shape(node.output[0])
        assert op.get_output_datatype() == model.get_tensor_datatype(node.output[0])
    for mode in MODE_NAMES:
        nodes = inferred.transform(gatefold_finn.SetMode(mode)).graph.node
        cycles = {node.name: getHWCustomOp(node).get_exp_cycles() for node in nodes}
        assert cycles == {name: cost.cycles for name, cost in mode_costs(graph, mode, Unplanned.of(CONFIG)).items()}


def test_counts_and_memory_of_a_layer(graph, model):
    from finn.util.basic import getHWCustomOp

    op = getHWCustomOp(model.get_node_from_name("stage2.block1.conv2"))
    assert op.get_op_and_param_counts() == {"op_mac_INT4": 32 * 32 * 9 * 256, "param_weight_INT4": 32 * 32 * 9}
    op.set_nodeattr("mode", 2)
    assert op.get_op_and_param_counts()["op_mac_INT4"] == 32 * 32 * 9 * 256 // 4
    op.set_nodeattr("mode", 0)
    assert op.bram_estimation("xc7z020clg400-1") == 4 + 3


def test_layer_graph_survives_a_file(graph, model, tmp_path):
    model.save(str(tmp_path / "layers.onnx"))
    again = gatefold_finn.layer_graph(ModelWrapper(str(tmp_path / "layers.onnx")))
    assert [layer.name for layer in again.layers] == [layer.name for layer in graph.layers]
    for layer, expected in zip(again.layers, graph.layers, strict=True):
        assert np.array_equal(layer.weight, expected.weight)
        assert (layer.input, layer.residual, layer.shuffle, layer.pool) == (
            expected.input, expected.residual, expected.shuffle, expected.pool
        )  # fmt: skip
        for n, pair in expected.affine.items():
            assert np.array_equal(layer.affine[n], pair)
        assert all(again.groups(mode, layer) == graph.groups(mode, expected) for mode in MODE_NAMES)


def test_conversion_from_qonnx(graph, images, tmp_path):
    import finn.core.onnx_exec as oxe

    from flow.export.qonnx_export import export

    qonnx = export(graph)
    qonnx.save(str(tmp_path / "model.onnx"))
    model = gatefold_finn.read_network(tmp_path / "model.onnx", gatefold_finn.NetworkConfig(CONFIG))
    assert model.get_tensor_datatype("image") == DataType["UINT8"]
    expected = oxe.execute_onnx(qonnx, {"image": images[:1].astype(np.float32)})
    got = execute(model, images[:1])["logits"]
    assert np.array_equal(got, expected["logits"])
    quarter = execute(model.transform(gatefold_finn.SetMode("1/4")), images[:1])["logits"]
    assert np.array_equal(quarter, run(graph, images[:1], "1/4").logits)


def test_unknown_mode_is_named(model):
    with pytest.raises(GatefoldError, match="no mode '1/3'; choose one of full"):
        model.transform(gatefold_finn.SetMode("1/3"))
