"""Squeeze-and-excitation of gates as nodes of ONNX graphs, for the reasons of `flow.export.lstm_step`.

`gatefold::Excite`: sums [N, C] over the pixels of a map -> factors [N, C], 0…256. Its integers are attributes.
`gatefold::Excited`: accumulators [N, C, H, W], factors [N, C] -> codes [N, C, H, W], 0…15; attribute `shift`.

All are integers in float32.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import GraphProto, NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.base import CustomOp
from qonnx.custom_op.registry import add_op_to_domain

from flow.export.lstm_step import DOMAIN
from flow.graph.excite import Expand, excited, factors
from flow.graph.layers import ACTIVATION_MAX, Layer
from flow.graph.lstm import Rescale

TYPES = {
    "channels": ("i", True, 0),
    "hidden": ("i", True, 0),
    "weight": ("ints", True, []),
    "bias": ("ints", True, []),
    "rescale": ("ints", True, []),
    "expand_weight": ("ints", True, []),
    "expand_bias": ("ints", True, []),
    "expand_rescale": ("ints", True, []),
}
"""Attributes of Excite, as qonnx describes them. weight [J, C] and expand_weight [C, J] in rows, rescale (multiplier, shift)."""


def excite_attributes(layer: Layer) -> dict[str, Any]:
    """The attributes of a layer of kind "excite"."""
    made = {"channels": layer.in_channels, "hidden": layer.out_channels}
    for prefix, part in (("", layer), ("expand_", layer.expand)):
        made[f"{prefix}weight"] = part.weight.reshape(-1).tolist()
        made[f"{prefix}bias"] = part.bias.tolist()
        made[f"{prefix}rescale"] = [part.rescale.multiplier, part.rescale.shift]
    return made


def excite_layer(name: str, attribute: Callable[[str], Any]) -> Layer:
    """The layer of a node's attributes.

    Args:
        attribute: from an attribute's name to its value.
    """
    channels, hidden = attribute("channels"), attribute("hidden")
    parts = []
    for prefix, shape in (("", (hidden, channels)), ("expand_", (channels, hidden))):
        weight, bias = (np.array(attribute(f"{prefix}{part}"), np.int64) for part in ("weight", "bias"))
        parts.append((weight.reshape(shape), bias, Rescale(*(int(value) for value in attribute(f"{prefix}rescale")))))
    (weight, bias, rescale), expand = parts
    return Layer(name, "excite", weight, input="before", bias=bias, rescale=rescale, expand=Expand(*expand))


class Excite(CustomOp):
    """The operator, as qonnx executes it."""

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return TYPES

    def make_shape_compatible_op(self, model: ModelWrapper) -> NodeProto:
        return helper.make_node("Relu", self.onnx_node.input, self.onnx_node.output)

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        model.set_tensor_datatype(self.onnx_node.output[0], DataType["INT16"])

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        node = self.onnx_node
        layer = excite_layer(node.name, self.get_nodeattr)
        context[node.output[0]] = factors(layer, np.rint(context[node.input[0]]).astype(np.int64)).astype(np.float32)

    def verify_node(self) -> None:
        pass


class Excited(CustomOp):
    """The operator, as qonnx executes it."""

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return {"shift": ("i", True, 0)}

    def make_shape_compatible_op(self, model: ModelWrapper) -> NodeProto:
        return helper.make_node("Relu", self.onnx_node.input[:1], self.onnx_node.output)

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        model.set_tensor_datatype(self.onnx_node.output[0], DataType["UINT4"])

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        acc, factor = (np.rint(context[name]).astype(np.int64) for name in self.onnx_node.input)
        made = np.clip(excited(acc, factor, self.get_nodeattr("shift")), 0, ACTIVATION_MAX)
        context[self.onnx_node.output[0]] = made.astype(np.float32)

    def verify_node(self) -> None:
        pass


for operator in (Excite, Excited):
    add_op_to_domain(DOMAIN, operator)
