"""Selections and comparisons in a QONNX file that are no gates of the engine are refused by name."""

import copy

import numpy as np
import pytest

import flow.finn as gatefold_finn  # noqa: F401 (registers the nodes)
from flow.errors import GatefoldError
from flow.export import metadata
from flow.export.qonnx_export import export
from flow.finn.infer import recognise
from flow.finn.overlay import overlay
from flow.finn.steps import LAYER_STEPS, NetworkConfig, convert, parse_qonnx
from flow.graph.random_graph import random_gated


@pytest.fixture(scope="module")
def streamlined():
    """One block with a layer gate and a channel gate that it skips."""
    data = export(random_gated(1, (16, 16, 16), (1, 0, 0), ("both",))).model.SerializeToString()
    return convert(parse_qonnx(data, "gated"), LAYER_STEPS[:-1], NetworkConfig())


def wheres(model, layer):
    return [node for node in model.get_nodes_by_op_type("Where") if node.doc_string.startswith(f"stage1.block1.{layer}")]


def other_residual(model):
    wheres(model, "conv1")[0].input[2] = model.get_nodes_by_op_type("Add")[-2].input[1]


def constant_for_residual(model):
    model.set_initializer("none", np.float32(0))
    for node in wheres(model, "conv2"):
        node.input[2] = "none"


def one_left(model):
    model.set_initializer("one", np.float32(1))
    wheres(model, "conv1")[0].input[2] = "one"


def other_threshold(model):
    model.set_initializer(model.get_nodes_by_op_type("GreaterOrEqual")[0].input[1], np.float32(0.5))


def compares_backwards(model):
    node = model.get_nodes_by_op_type("GreaterOrEqual")[0]
    node.input[0], node.input[1] = node.input[1], node.input[0]


def ands_backwards(model):
    node = model.get_nodes_by_op_type("And")[0]
    node.input[0], node.input[1] = node.input[1], node.input[0]


def decided_by_a_map(model):
    for node in model.get_nodes_by_op_type("Unsqueeze"):
        node.input[0] = wheres(model, "conv1")[0].input[1]


def selects_without_gate(model):
    wheres(model, "conv1")[0].input[0] = wheres(model, "conv1")[0].input[1]


@pytest.mark.parametrize(
    "edit, words",
    [
        (constant_for_residual, "leaves a constant where a convolution is not computed; leave zero, or the map that is added"),
        (one_left, "leaves a constant where a convolution is not computed; leave zero"),
        (other_residual, "leaves the map of .* where stage1.block1.conv1 is not computed"),
        (other_threshold, "compares what is no output of a linear layer with zero"),
        (compares_backwards, "compares what is no output of a linear layer with zero"),
        (ands_backwards, "is no decision of a gate and of a layer gate"),
        (decided_by_a_map, "gives dimensions to what is no decision of a gate"),
        (selects_without_gate, "selects something else than, by the decision of a gate, the quantised map"),
    ],
)
def test_what_is_no_gate_is_refused(streamlined, edit, words):
    model = copy.deepcopy(streamlined)
    edit(model)
    with pytest.raises(GatefoldError, match=words) as error:
        recognise(model)
    assert str(error.value).startswith("Node ") and "\n" not in str(error.value)


@pytest.fixture(scope="module")
def several():
    """Two blocks: steps of an LSTM, and squeeze-and-excitation."""
    data = export(random_gated(1, (16, 16, 16), (3, 0, 0), ("recurrent", "recurrent", "acs"))).model.SerializeToString()
    return convert(parse_qonnx(data, "gated"), LAYER_STEPS[:-1], NetworkConfig())


def forgets(model):
    del model.get_nodes_by_op_type("LstmStep")[1].input[1]


def remembers_a_map(model):
    step = model.get_nodes_by_op_type("LstmStep")[1]
    step.input[1] = step.input[0]


def averages(model):
    model.set_initializer(model.find_producer(model.get_nodes_by_op_type("LstmStep")[0].input[0]).input[1], np.float32(1))


def factors_of_codes(model):
    node = model.get_nodes_by_op_type("Excited")[0]
    node.input[0] = model.find_producer(node.input[0]).input[0]


def other_channels(model):
    node = model.get_nodes_by_op_type("Excite")[0]
    for attribute in node.attribute:
        if attribute.name == "channels":
            attribute.i = 4
        elif attribute.name in ("weight", "expand_weight"):
            del attribute.ints[16:]
        elif attribute.name == "expand_bias":
            del attribute.ints[4:]


@pytest.mark.parametrize(
    "edit, words",
    [
        (forgets, "does not go on from the state of the step before it"),
        (remembers_a_map, "does not go on from the state of the step before it"),
        (averages, "reads something else than the sums over the pixels of a map"),
        (factors_of_codes, "multiplies something else than the accumulators of a convolution by factors"),
        (other_channels, "takes 4 channels of a map that has 8"),
    ],
)
def test_products_that_the_engine_lacks_are_refused(several, edit, words):
    model = copy.deepcopy(several)
    assert len(recognise(copy.deepcopy(model)).gates) == 4
    edit(model)
    with pytest.raises(GatefoldError, match=words) as error:
        recognise(model)
    assert str(error.value).startswith("Node ") and "\n" not in str(error.value)


def test_gates_without_metadata_are_found_by_their_connections(streamlined):
    graph = recognise(streamlined)
    gates = {gate.name: gate.when for gate in graph.gates}
    assert gates == {"stage1.block1.layer_gate": None, "stage1.block1.channel_gate.linear": "stage1.block1.layer_gate"}
    assert [layer.name for layer in graph.layers if layer.gate] == ["stage1.block1.channel_gate.conv"]
    assert graph["stage1.block1.channel_gate.conv"].pool and not graph["stem"].pool
    assert not graph.ungated and list(graph.modes) == ["full"]


def test_modes_without_gates_that_do_not_exist_are_refused(streamlined):
    model = copy.deepcopy(streamlined)
    metadata.write(model, ungated=["half"])
    with pytest.raises(GatefoldError, match="has no mode 'half' to run without gates"):
        overlay(recognise(model), model)
