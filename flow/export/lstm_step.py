"""A step of the LSTM of layer gates as a node of ONNX graphs.

Standard operators cannot carry its fixed point through FINN: sums reach 2^31 where float32 tensors hold 2^24, and every factor between
two roundings is one that streamlining moves. So the step is one operator, `gatefold::LstmStep`, whose integers are attributes.

Inputs:
    0: sums [N, C] over the pixels of a map.
    1: state [N, 2H] that the step before left, hidden and cell values; absent in the first step, which starts with zeros.

Outputs:
    0: score [N, 1]; the decision is whether it is at least 0.
    1: state [N, 2H].

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
from flow.graph.layers import Layer
from flow.graph.lstm import Lstm

TYPES = {"channels": ("i", True, 0), "hidden": ("i", True, 0), **product_types(""), **product_types("lstm_")}
TYPES |= {"score_weight": ("ints", True, []), "score_bias": ("i", True, 0)}
"""Attributes; weight is [H, C], lstm_weight [4H, 2H] and score_weight [H]."""


def step_attributes(layer: Layer) -> dict[str, Any]:
    """The attributes of a layer of kind "lstm"."""
    lstm = layer.lstm
    return {
        "channels": layer.in_channels,
        "hidden": lstm.hidden,
        **product_attributes("", layer.weight, layer.bias, layer.rescale),
        **product_attributes("lstm_", lstm.weight, lstm.bias, lstm.rescale),
        "score_weight": lstm.output.tolist(),
        "score_bias": lstm.output_bias,
    }


def step_layer(name: str, attribute: Callable[[str], Any]) -> Layer:
    """The layer of a node's attributes.

    Args:
        attribute: from an attribute's name to its value.
    """
    hidden = attribute("hidden")
    weight, bias, rescale = product_of("", (hidden, attribute("channels")), attribute)
    gates = product_of("lstm_", (4 * hidden, 2 * hidden), attribute)
    lstm = Lstm(*gates, np.array(attribute("score_weight"), np.int64), int(attribute("score_bias")))
    return Layer(name, "lstm", weight, input="before", bias=bias, rescale=rescale, lstm=lstm)


def run_step(layer: Layer, sums: np.ndarray, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(score [N, 1], state [N, 2H]), int64, of sums [N, C] and a state [N, 2H] or None at the start."""
    lstm = layer.lstm
    before = lstm.start(len(sums)) if state is None else tuple(np.split(np.rint(state).astype(np.int64), 2, axis=1))
    projected = layer.rescale(np.rint(sums).astype(np.int64) @ layer.weight.T + layer.bias)
    _, after = lstm.step(projected, before)
    return lstm.score(after)[:, None], np.concatenate(after, axis=1)


class LstmStep(IntegerOperator):
    """The operator, as qonnx executes it."""

    TYPES = TYPES

    def make_shape_compatible_op(self, model: ModelWrapper) -> NodeProto:
        node = self.onnx_node
        return helper.make_node("ReduceMax", node.input[:1], node.output[:1], axes=[1], keepdims=1)

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        for tensor, datatype in zip(self.onnx_node.output, ("INT32", "INT16"), strict=False):
            model.set_tensor_datatype(tensor, DataType[datatype])

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        inputs = [context[name] for name in self.onnx_node.input]
        made = run_step(step_layer(self.onnx_node.name, self.get_nodeattr), inputs[0], inputs[1] if len(inputs) > 1 else None)
        for tensor, value in zip(self.onnx_node.output, made, strict=True):
            context[tensor] = value.astype(np.float32)


add_op_to_domain(DOMAIN, LstmStep)
