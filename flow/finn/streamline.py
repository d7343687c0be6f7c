"""From a QONNX file to FINN's integer form, as steps that FINN's users know.

Every step takes (model, cfg) and returns the model, as the functions of `finn.builder.build_dataflow_steps`. FINN's own
builder is not used: its steps around these need vendor tools or write into the home folder. `StreamlinePlus` does not
end on networks with residual branches; the list below, repeated until the graph stays as it is, does.

What is left of a network are convolutions and matrix products with integer weights, thresholds (MultiThreshold) that
count the integers of the next layer, pools, and a scale per tensor that no integer layer could absorb.
"""

import json
from collections import Counter

import numpy as np
from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
from finn.transformation.streamline import Streamline
from finn.transformation.streamline.reorder import MoveLinearPastEltwiseAdd, MoveLinearPastFork
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.transformation.batchnorm_to_affine import BatchNormToAffine
from qonnx.transformation.fold_constants import FoldConstants
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames
from qonnx.transformation.infer_data_layouts import InferDataLayouts
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import get_by_name
from qonnx.util.cleanup import cleanup_model

from flow.finn.settled import SettledModel

ROUNDS = 20
"""More repetitions than any network needs: each moves every scale by at least one node."""

TINY = 2.0**-100


SCOPES = "pkg.torch.onnx.name_scopes"
SPATIAL = {2, 3}


def step_tidy_up(model: ModelWrapper, cfg: object) -> ModelWrapper:
    """QONNX's own clean-up: shapes, constants, names. A node's `doc_string` keeps its title: the name of its module, from the
    second use on with a number."""
    used = Counter()
    for node in model.graph.node:
        title = module_name(node)
        used[title, node.op_type] += 1
        count = used[title, node.op_type]
        node.doc_string = f"{title}:{count}" if count > 1 else title
    return cleanup_model(model).transform(GlobalMeanToPool()).transform(ReshapeToFlatten())


def step_convert_to_finn(model: ModelWrapper, cfg: object) -> ModelWrapper:
    """Quantised weights become integers behind a scale, activation quantisers become thresholds."""
    titles = {
        node.output[0]: node.doc_string
        for node in model.graph.node
        if node.op_type == "Quant" and model.get_initializer(node.input[0]) is None
    }
    linear = [node.doc_string for node in _by_structure(model, "Gemm", "MatMul")]
    model = model.transform(FoldIntegerWeights()).transform(ConvertQONNXtoFINN()).transform(FoldConstants())
    for tensor, title in titles.items():  # nodes that are replaced keep their output, unless an addition of zeros goes behind them
        node = model.find_producer(tensor)
        while node is not None and node.op_type in ("Mul", "Add"):
            node = model.find_producer(next(name for name in node.input if model.get_initializer(name) is None))
        if node is not None:
            node.doc_string = title
    _retitle(model, "MatMul", linear)
    return _named(model.transform(RoundHalfToEven()).transform(ChannelsFirst()))


def step_streamline(model: ModelWrapper, cfg: object) -> ModelWrapper:
    """Scales and batch norms move into the thresholds, until the graph stays as it is."""
    before, titles = None, {op: [node.doc_string for node in _by_structure(model, op)] for op in ("Conv", "MatMul")}
    model = SettledModel(model).transform(BatchNormToAffine()).transform(NeverZero())
    for _ in range(ROUNDS):
        if before == (before := [(node.op_type, *node.input) for node in model.graph.node]):
            break
        for step in (Streamline(), MoveScalarMulPastAveragePool(), MoveLinearPastEltwiseAdd(), MoveLinearPastFork()):
            model = _named(model.transform(step))
    for op, known in titles.items():
        _retitle(model, op, known)
    return model.plain()


class FoldIntegerWeights(Transformation):
    """Quantisers of weights that are integers already, which they leave as they are, become the integers' type, all at once: FINN
    infers every shape of the network anew for each."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.get_nodes_by_op_type("Quant"):
            values = [model.get_initializer(name) for name in node.input]
            quantiser = getCustomOp(node)
            if any(value is None for value in values) or values[1].size != 1 or float(values[1].flat[0]) != 1:
                continue
            made = {node.output[0]: None, **dict(zip(node.input, values, strict=True))}
            quantiser.execute_node(made, model.graph)
            if np.array_equal(made[node.output[0]], values[0]):
                weight, output, datatype = values[0], node.output[0], quantiser.get_integer_datatype(model)
                model.graph.node.remove(node)
                model.set_initializer(output, weight)
                model.set_tensor_datatype(output, datatype)
        return model, False


class ChannelsFirst(Transformation):
    """Channels come first everywhere; FINN takes what a channel shuffle transposes for maps whose channels come last, and executes the
    thresholds behind it so."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.get_nodes_by_op_type("MultiThreshold"):
            if len(model.get_tensor_shape(node.output[0])) == 4:
                getCustomOp(node).set_nodeattr("data_layout", "NCHW")
        return model, False


class NeverZero(Transformation):
    """Factors of zero, of channels that batch norm switches off, become the smallest that leaves what is added as it is: FINN takes a
    factor apart into its sign and its magnitude, and divides by the latter."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.get_nodes_by_op_type("Mul"):
            for name in node.input:
                factor = model.get_initializer(name)
                if factor is not None and factor.size > 1 and (factor == 0).any():
                    model.set_initializer(name, np.where(factor == 0, TINY, factor).astype(np.float32))
        return model, False


class GlobalMeanToPool(Transformation):
    """ReduceMean over height and width becomes GlobalAveragePool, past which FINN moves scales."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.get_nodes_by_op_type("ReduceMean"):
            axes, keep = get_by_name(node.attribute, "axes"), get_by_name(node.attribute, "keepdims")
            axes = list(axes.ints) if axes is not None else model.get_initializer(node.input[1]) if len(node.input) > 1 else []
            shape = model.get_tensor_shape(node.input[0])
            if len(shape) != 4 or {int(axis) % 4 for axis in axes} != SPATIAL:
                continue
            del node.input[1:], node.attribute[:]
            node.op_type = "GlobalAveragePool"
            if keep is not None and not keep.i:
                flat, output = model.make_new_valueinfo_name(), node.output[0]
                node.output[0] = flat
                model.set_tensor_shape(flat, [*shape[:2], 1, 1])
                index = list(model.graph.node).index(node)
                model.graph.node.insert(index + 1, helper.make_node("Flatten", [flat], [output], axis=1))
        return model, False


class ReshapeToFlatten(Transformation):
    """Reshape of a map to one row per image becomes Flatten, which fits any number of images."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.get_nodes_by_op_type("Reshape"):
            shape, flat = model.get_tensor_shape(node.input[0]), model.get_tensor_shape(node.output[0])
            if len(shape) == 4 and list(flat) == [shape[0], int(np.prod(shape[1:]))]:
                del node.input[1:], node.attribute[:]
                node.op_type = "Flatten"
        return model, False


class RoundHalfToEven(Transformation):
    """Quantisers round half to even, MultiThreshold counts thresholds from equality on: where a half rounds down, to an even
    integer, the threshold becomes the next float."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.get_nodes_by_op_type("MultiThreshold"):
            steps = model.get_initializer(node.input[1])
            scale = steps[:, 1:2] - steps[:, :1] if steps.shape[1] > 1 else 2 * np.abs(steps[:, :1])
            with np.errstate(divide="ignore", invalid="ignore"):
                level = np.rint(np.nan_to_num(steps / scale + 0.5))
            odd = level % 2 == 1
            model.set_initializer(node.input[1], np.where(odd, np.nextafter(steps, np.float32(np.inf)), steps).astype(np.float32))
        return model, False


class MoveScalarMulPastAveragePool(Transformation):
    """AveragePool(x·c) becomes AveragePool(x)·c."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for pool in model.get_nodes_by_op_type("AveragePool"):
            mul = model.find_producer(pool.input[0])
            if mul is None or mul.op_type != "Mul" or model.is_fork_node(mul):
                continue
            factor = model.get_initializer(mul.input[1])
            if factor is None or factor.size != 1:
                continue
            source, inner, output = mul.input[0], mul.output[0], pool.output[0]
            pool.input[0], pool.output[0], mul.input[0], mul.output[0] = source, inner, inner, output
            model.set_tensor_shape(inner, model.get_tensor_shape(output))
            nodes = model.graph.node
            nodes.remove(mul)
            nodes.insert(list(nodes).index(pool) + 1, mul)
        return model, False


def module_name(node: NodeProto) -> str:
    """What the network's author calls a node: the name of its module where torch's exporter wrote that down, else its own."""
    if node.doc_string:
        return node.doc_string
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), None)
    try:
        scopes = json.loads(scopes.replace("'", '"')) if scopes else []
    except ValueError:
        scopes = []
    return scopes[-2].split(".act_quant")[0].split(".weight_quant")[0] if len(scopes) > 2 else node.name


def _retitle(model, op, titles):
    """Give nodes their titles back: some are made anew, and branches side by side are sorted otherwise."""
    for node, title in zip(_by_structure(model, op), titles, strict=True):
        node.doc_string = title


def _by_structure(model, *ops):
    """The nodes of some types in an order that only the connections make: an operand's before its reader, a first operand's before a
    second's, from the first output on."""
    makers = {output: node for node in model.graph.node for output in node.output}
    found, seen, path = [], set(), [(output.name, False) for output in reversed(model.graph.output)]
    while path:
        tensor, left = path.pop()
        node = makers.get(tensor)
        if node is None or (tensor in seen and not left):
            continue
        if left:
            found.append(node)
            continue
        seen.add(tensor)
        path.append((tensor, True))
        path += [(name, False) for name in reversed(node.input)]
    return [node for node in found if node.op_type in ops]


def _named(model):
    for step in (InferShapes(), InferDataTypes(), InferDataLayouts(), GiveUniqueNodeNames(), GiveReadableTensorNames()):
        model = model.transform(step)
    return model
