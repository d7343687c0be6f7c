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
from qonnx.custom_op.registry import add_op_to_domain

from flow.export.integer_operator import DOMAIN, IntegerOperator, product_attributes, product_of, product_types
from flow.graph.excite import Expand, excited, factors
from flow.graph.layers import ACTIVATION_MAX, Layer

PREFIXES = ("", "expand_")
TYPES = {"channels": ("i", True, 0), "hidden": ("i", True, 0)}
TYPES |= {name: kind for prefix in PREFIXES for name, kind in product_types(prefix).items()}
"""Attributes of Excite; weight is [J, C] and expand_weight [C, J]."""


def excite_attributes(layer: Layer) -> dict[str, Any]:
    """The attributes of a layer of kind "excite"."""
    made = {"channels": layer.in_channels, "hidden": layer.out_channels}
    for prefix, part in zip(PREFIXES, (layer, layer.expand), strict=True):
        made |= product_attributes(prefix, part.weight, part.bias, part.rescale)
    return made


def excite_layer(name: str, attribute: Callable[[str], Any]) -> Layer:
    """The layer of a node's attributes.

    Args:
        attribute: from an attribute's name to its value.
    """
    channels, hidden = attribute("channels"), attribute("hidden")
    shapes = (hidden, channels), (channels, hidden)
    (weight, bias, rescale), expand = (product_of(*each, attribute) for each in zip(PREFIXES, shapes, strict=True))
    return Layer(name, "excite", weight, input="before", bias=bias, rescale=rescale, expand=Expand(*expand))


class Excite(IntegerOperator):
    """From sums to factors."""

    TYPES = TYPES

    def make_shape_compatible_op(self, model: ModelWrapper) -> NodeProto:
        return helper.make_node("Relu", self.onnx_node.input, self.onnx_node.output)

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        model.set_tensor_datatype(self.onnx_node.output[0], DataType["INT16"])

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        node = self.onnx_node
        layer = excite_layer(node.name, self.get_nodeattr)
        context[node.output[0]] = factors(layer, np.rint(context[node.input[0]]).astype(np.int64)).astype(np.float32)


class Excited(IntegerOperator):
    """From accumulators and factors to codes."""

    TYPES = {"shift": ("i", True, 0)}

    def make_shape_compatible_op(self, model: ModelWrapper) -> NodeProto:
        return helper.make_node("Relu", self.onnx_node.input[:1], self.onnx_node.output)

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        model.set_tensor_datatype(self.onnx_node.output[0], DataType["UINT4"])

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        acc, factor = (np.rint(context[name]).astype(np.int64) for name in self.onnx_node.input)
        made = np.clip(excited(acc, factor, self.get_nodeattr("shift")), 0, ACTIVATION_MAX)
        context[self.onnx_node.output[0]] = made.astype(np.float32)


for operator in (Excite, Excited):
    add_op_to_domain(DOMAIN, operator)
