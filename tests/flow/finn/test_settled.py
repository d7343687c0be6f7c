"""Transformations that are left out: the model is what it is with all of them, and each that changes something runs."""

import plain_networks
import pytest
import torch
from onnx import TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveUniqueNodeNames
from qonnx.util.basic import qonnx_make_model

from flow.finn import streamline
from flow.finn.settled import Memory, SettledModel
from flow.finn.steps import parse_qonnx, read_qonnx


class Counted(Transformation):
    """Gives the first node another name until it has `wanted` letters; counts how often it is asked."""

    asked = 0

    def __init__(self, wanted, other=None):
        super().__init__()
        self.wanted, self.other = wanted, other

    def apply(self, model):
        Counted.asked += 1
        node = model.graph.node[0]
        changes = len(node.name) < self.wanted
        node.name += "x" * changes
        return model, changes


def identity():
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"], name="n")], "g", tensors[:1], tensors[1:])
    return ModelWrapper(qonnx_make_model(graph))


@pytest.mark.parametrize("other, again", [(None, 0), ([1], 1)])
def test_what_changes_nothing_is_asked_once(other, again):
    """Options that cannot be compared are no reason to leave anything out."""
    Counted.asked, model = 0, SettledModel(identity())
    named = model.transform(Counted(3, other))
    assert named.graph.node[0].name == "nxx" and model.graph.node[0].name == "n" and Counted.asked == 3
    assert named.transform(Counted(3, other)).graph.node[0].name == "nxx" and Counted.asked == 4
    copied = named.transform(Counted(3, other))
    assert Counted.asked == 4 + again
    copied.graph.node[0].name = "y"
    assert named.graph.node[0].name == "nxx", "a model that was left as it is is a copy all the same"
    assert copied.transform(Counted(3, other)).graph.node[0].name == "yxx", "another model"
    assert named.transform(Counted(4, other)).graph.node[0].name == "nxxx", "other options"
    assert type(named.plain()) is ModelWrapper


def test_streamlining_gives_the_very_model(tmp_path, monkeypatch):
    torch.manual_seed(3)
    network = torch.nn.Sequential(
        plain_networks.pixels(), *plain_networks.unit(3, 8), plain_networks.Block(8, 8), plain_networks.Head(8)
    )
    path = plain_networks.save(network.train(), (3, 8, 8), tmp_path / "network.onnx")
    runs = []

    def streamlined():
        model = parse_qonnx(read_qonnx(path), path)
        for step in (streamline.step_tidy_up, streamline.step_convert_to_finn, streamline.step_streamline):
            model = step(model, None)
        return model.model.SerializeToString(deterministic=True)

    def count(self, model, own=GiveUniqueNodeNames.apply):
        runs[-1] += 1
        return own(self, model)

    monkeypatch.setattr(GiveUniqueNodeNames, "apply", count)
    runs.append(0)
    left_out = streamlined()
    monkeypatch.setattr(Memory, "add", lambda self, key: None)
    runs.append(0)
    assert streamlined() == left_out
    assert 2 * runs[0] < runs[1]
