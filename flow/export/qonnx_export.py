"""A layer graph as a QONNX model: the nodes that a Brevitas network's export has, on integer-valued float32 tensors.

One convolution becomes

    Quant(weights, 4 bits) -> Conv -> Mul(A) -> Add(B)
        -> Relu -> Quant(4 bits unsigned)                                          or, where a residual is added,
        -> Quant(5 bits signed, narrow) -> Add(residual) -> Relu -> Quant(4 bits unsigned)

all with scale 1, zero point 0 and rounding half to even, and where the layer shuffles its channels
Reshape -> Transpose -> Reshape. The head is GlobalAveragePool, Flatten, Mul by the number of pixels, MatMul and Add; the output
is the integer logits. A gate is such a head whose Add is followed by GreaterOrEqual with 0, [N, K] of bool; where a layer gate
comes before, And with its decision. A step of an LSTM is one node (`flow.export.lstm_step`) whose score goes into such a
comparison. Squeeze-and-excitation is a node that makes factors of sums and one that multiplies accumulators by them
(`flow.export.excite_step`). What is decided of a map is a selection behind its quantiser, for FINN moves factors about, and a
decision is none:

    Where(Unsqueeze(decisions), map, the residual, or 0 without one)

for its channels, and once more for the whole layer. The heads of early exits make further outputs, in their order behind the network's
logits. Every tensor holds integers that float32 represents exactly, except those between Mul and Quant,
which are the two roundings of the definition, and the averages, which are multiples of a power of two.

The nodes are the network in the mode "full", with its gates. The other modes, and A and B once more, are in the metadata (`flow.export.metadata`).

Tensors of layer L: "L.acc" the accumulators, "L.out" the quantised output, "L.masked", "L.when", "L.max", "L.shuffled", "L.pooled"
where there is one, of a gate "L.decision"; the classifier's output is "logits", that of an exit "L.logits", the input "image" (0…255, UINT8, [N, 3, 32, 32]). Conv and MatMul carry their layer's
name as documentation.
"""

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model

from flow.export import metadata
from flow.export.excite_step import excite_attributes
from flow.export.integer_operator import DOMAIN
from flow.export.lstm_step import step_attributes
from flow.graph.layers import IMAGE, SHUFFLE_GROUPS, LayerGraph

QUANT_DOMAIN = "qonnx.custom_op.general"
OPSETS = [helper.make_opsetid("", 13), helper.make_opsetid(QUANT_DOMAIN, 1), helper.make_opsetid(DOMAIN, 1)]
LOGITS = "logits"
FULL = "full"
BRANCH_BITS = 5
"""Of a branch before the addition, −15…15: beyond that the sum with 0…15 is clamped anyway."""


class _Builder:
    """Collects nodes and initializers."""

    def __init__(self):
        self.nodes, self.initializers = [], {}

    def constant(self, name, value):
        self.initializers[name] = np.asarray(value)
        return name

    def node(self, op, inputs, output, layer=None, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{output}/{op}", doc_string=layer, **attributes))
        return output

    def quant(self, source, output, bits, signed, narrow=False):
        # qonnx gives shared constants random new names, so every node has its own.
        constants = [("scale", 1), ("zero_point", 0), ("bits", bits)]
        return self.node(
            "Quant",
            [source, *(self.constant(f"{output}.{name}", np.float32(value)) for name, value in constants)],
            output,
            domain=QUANT_DOMAIN,
            signed=int(signed),
            narrow=int(narrow),
            rounding_mode="ROUND",
        )


def _convolution(build, layer, stored, setting):
    name, pad = layer.name, layer.kernel // 2
    weight = build.constant(f"{name}.weight", layer.weight.astype(np.float32))
    weight = build.quant(weight, f"{name}.weight_int", 4, signed=True, narrow=True)
    out = build.node(
        "Conv",
        [stored[layer.input], weight],
        f"{name}.acc",
        layer=name,
        kernel_shape=[layer.kernel] * 2,
        strides=[layer.stride] * 2,
        pads=[pad] * 4,
        dilations=[1, 1],
        group=1,
    )
    if layer.excite:
        return build.node(
            "Excited", [out, stored[layer.excite]], f"{name}.out", layer=name, domain=DOMAIN, shift=layer.factor_shift
        )
    scale, offset = layer.affine[setting]
    shape = (1, layer.out_channels, 1, 1)
    out = build.node("Mul", [out, build.constant(f"{name}.A", scale.reshape(shape))], f"{name}.scaled")
    out = build.node("Add", [out, build.constant(f"{name}.B", offset.reshape(shape))], f"{name}.affine")
    if layer.residual:
        out = build.quant(out, f"{name}.branch", BRANCH_BITS, signed=True, narrow=True)
        out = build.node("Add", [out, stored[layer.residual]], f"{name}.sum")
    out = build.node("Relu", [out], f"{name}.relu")
    out = build.quant(out, f"{name}.out", 4, signed=False)
    if layer.pool2:
        out = build.node("MaxPool", [out], f"{name}.max", kernel_shape=[2, 2], strides=[2, 2])
    for gate, output in ((layer.mask, "masked"), (layer.when, "when")):
        if gate:
            left = stored[layer.residual] if layer.residual else build.constant(f"{name}.{output}.none", np.float32(0))
            axes = build.constant(f"{name}.{output}.axes", np.array([2, 3]))
            decision = build.node("Unsqueeze", [stored[gate], axes], f"{name}.{output}.decision")
            out = build.node("Where", [decision, out, left], f"{name}.{output}")
    per_group = layer.out_channels // SHUFFLE_GROUPS
    if layer.shuffle and per_group > 1:
        size = [layer.out_size] * 2
        split = build.constant(f"{name}.split", np.array([0, SHUFFLE_GROUPS, per_group, *size]))
        merge = build.constant(f"{name}.merge", np.array([0, layer.out_channels, *size]))
        out = build.node("Reshape", [out, split], f"{name}.groups")
        out = build.node("Transpose", [out], f"{name}.transposed", perm=[0, 2, 1, 3, 4])
        out = build.node("Reshape", [out, merge], f"{name}.shuffled")
    return _pooled(build, name, layer, out) if layer.pool else out


def _pooled(build, name, layer, out):
    """Sums over the pixels of the map `out` of `layer`, as tensors of `name`."""
    out = build.node("GlobalAveragePool", [out], f"{name}.average")
    out = build.node("Flatten", [out], f"{name}.averages", axis=1)
    height, width = layer.valid_size
    return build.node("Mul", [out, build.constant(f"{name}.pixels", np.float32(height * width))], f"{name}.pooled")


def _linear(build, graph, layer, stored):
    """The classifier, or a gate."""
    name, sums = layer.name, stored[layer.input]
    if not graph[layer.input].pool:
        sums = _pooled(build, name, graph[layer.input], sums)
    weight = build.constant(f"{name}.weight", layer.weight.T.astype(np.float32))
    weight = build.quant(weight, f"{name}.weight_int", 8, signed=True, narrow=True)
    product = build.node("MatMul", [sums, weight], f"{name}.product", layer=name)
    bias = build.constant(f"{name}.bias", layer.bias.astype(np.float32))
    if layer.kind == "linear":
        return build.node("Add", [product, bias], f"{name}.logits" if layer.exit else LOGITS)
    score = build.node("Add", [product, bias], f"{name}.score")
    zero = build.constant(f"{name}.zero", np.float32(0))
    if not layer.when:
        return build.node("GreaterOrEqual", [score, zero], f"{name}.decision")
    decision = build.node("GreaterOrEqual", [score, zero], f"{name}.own")
    return build.node("And", [decision, stored[layer.when]], f"{name}.decision")


def _step(build, graph, layer, stored, state):
    """A step of an LSTM behind `state`, which is None or the tensor that the one before left."""
    name = layer.name
    inputs = [_pooled(build, name, graph[layer.input], stored[layer.input]), *([state] if state else [])]
    score, left = outputs = [f"{name}.score", f"{name}.state"]
    node = helper.make_node(
        "LstmStep", inputs, outputs, name=f"{name}/LstmStep", doc_string=name, domain=DOMAIN, **step_attributes(layer)
    )
    build.nodes.append(node)
    return build.node("GreaterOrEqual", [score, build.constant(f"{name}.zero", np.float32(0))], f"{name}.decision"), left


def export(graph: LayerGraph, batch: int = 1) -> ModelWrapper:
    """The QONNX model of a layer graph, in the full mode (every layer with one group).

    Args:
        batch: number of images N.

    Returns:
        The model with all shapes inferred; input "image" [N, 3, 32, 32], output "logits" [N, K] and those of exits.
    """
    build, state, states = _Builder(), None, {}
    stored = {IMAGE: IMAGE}
    for layer in graph.layers:
        if layer.kind == "conv":
            stored[layer.name] = _convolution(build, layer, stored, graph.setting(FULL, layer))
        elif layer.kind == "excite":
            sums = _pooled(build, layer.name, graph[layer.input], stored[layer.input])
            attributes = excite_attributes(layer)
            stored[layer.name] = build.node("Excite", [sums], f"{layer.name}.factors", layer.name, domain=DOMAIN, **attributes)
        elif layer.kind == "lstm":
            stored[layer.name], state = _step(build, graph, layer, stored, state)
            states[state] = [batch, 2 * layer.lstm.hidden]
        else:
            stored[layer.name] = _linear(build, graph, layer, stored)
    first = graph.layers[0]
    image = helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, [batch, first.in_channels, first.in_size, first.in_size])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, graph.classes])
        for name in (LOGITS, *(stored[exit.name] for exit in graph.exits))
    ]
    model = ModelWrapper(qonnx_make_model(helper.make_graph(build.nodes, graph.name, [image], outputs), opset_imports=OPSETS))
    for name, value in build.initializers.items():
        model.set_initializer(name, value)
    for name, shape in states.items():
        model.set_tensor_shape(name, shape)
    model.set_tensor_datatype(IMAGE, DataType["UINT8"])
    layers = {layer.name: metadata.layer_entry(layer) for layer in graph.layers}
    metadata.write(
        model,
        mode=FULL,
        modes=metadata.modes_entry(graph),
        **({"ungated": sorted(graph.ungated)} if graph.ungated else {}),
        layers=layers,
    )
    return model.transform(InferShapes())
