"""A QONNX model as a layer graph: what the compiler starts from."""

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import get_by_name

from flow.errors import GatefoldError
from flow.export import metadata
from flow.export.qonnx_export import FULL
from flow.graph.layers import IMAGE, SHUFFLE_GROUPS, Layer, LayerGraph


def load(path):
    """Read a QONNX file.

    Raises:
        GatefoldError: the file is missing or not an ONNX model.
    """
    try:
        return ModelWrapper(str(path))
    except Exception as error:  # onnx raises protobuf's own exception types
        raise GatefoldError(f"cannot read the QONNX file {path} ({error}); export it again") from None


def import_graph(model):
    """The layer graph of a QONNX model in the full mode.

    Layers are recognised by their nodes (see `flow.export.qonnx_export`); names, modes and the batch norms of the
    other group counts come from the metadata. A model without metadata has the one mode "full", and its
    layers are called after their nodes.

    Args:
        model: qonnx ModelWrapper.

    Raises:
        GatefoldError: a node is not part of any layer that the engine can run; the sentence names it.
    """
    if metadata.read(model, "mode", FULL) != FULL:
        raise GatefoldError(f"the QONNX model is in mode {metadata.read(model, 'mode')}; import the full model")
    return _Importer(model).run()


class _Importer:
    """Walks the nodes once; `layers` grows with every Conv and MatMul, `maker` tells which layer made a tensor."""

    def __init__(self, model):
        self.model = model
        self.described = metadata.read(model, "layers", [])
        self.tables = metadata.affine_tables(model)
        self.layers = []
        self.maker = {model.graph.input[0].name: IMAGE}
        self.done = set()

    def run(self):
        for node in self.model.graph.node:
            if node.name in self.done or self._makes_weights(node):
                continue
            if node.op_type == "Conv":
                self._convolution(node)
            elif node.op_type == "MatMul":
                self._linear(node)
            else:
                raise GatefoldError(f"QONNX node {node.name} ({node.op_type}) belongs to no layer that the engine runs")
        name = metadata.read(self.model, "model", self.model.graph.name)
        modes = metadata.read(self.model, "modes", {FULL: {layer.name: 1 for layer in self.layers}})
        return LayerGraph(name, self.layers, modes)

    def _makes_weights(self, node):
        return node.op_type == "Quant" and self.model.get_initializer(node.input[0]) is not None

    def _describe(self, node):
        index = len(self.layers)
        if not self.described:
            return {"name": node.name, "group_counts": [1], "affine": {}}
        if index >= len(self.described):
            raise GatefoldError(f"QONNX node {node.name} is not in the model's layer table; export the model again")
        return self.described[index]

    def _weight(self, node):
        """Integer weights behind a node's second input."""
        quant = self.model.find_producer(node.input[1])
        weight = self.model.get_initializer(quant.input[0] if quant is not None else node.input[1])
        if quant is not None and self.model.get_initializer(quant.input[1]) != 1:
            raise GatefoldError(f"QONNX node {node.name} has scaled weights; export integer weights of scale 1")
        if weight is None or not np.array_equal(weight, np.rint(weight)):
            raise GatefoldError(f"QONNX node {node.name} has no constant integer weights; export the model again")
        return weight.astype(np.int64)

    def _next(self, node, *expected):
        """The one consumer of a node's output if it has an expected type, else None."""
        consumers = self.model.find_consumers(node.output[0])
        if len(consumers) == 1 and consumers[0].op_type in expected:
            self.done.add(consumers[0].name)
            return consumers[0]
        return None

    def _require(self, node, *expected):
        found = self._next(node, *expected)
        if found is None:
            raise GatefoldError(
                f"QONNX node {node.name} is not followed by {' or '.join(expected)}; the engine runs convolution, "
                "batch norm, residual addition and 4-bit quantisation in this order"
            )
        return found

    def _convolution(self, node):
        described = self._describe(node)
        weight = self._weight(node)
        if get_by_name(node.attribute, "group").i != 1:
            raise GatefoldError(f"QONNX node {node.name} is grouped; import the full model and let the modes group it")
        kernel = weight.shape[2]
        if list(get_by_name(node.attribute, "pads").ints) != [kernel // 2] * 4:
            raise GatefoldError(f"QONNX node {node.name} has unequal padding; pad by half the kernel on every side")
        mul = self._require(node, "Mul")
        add = self._require(mul, "Add")
        scale, offset = (self.model.get_initializer(n.input[1]) for n in (mul, add))
        if scale is None or offset is None:
            raise GatefoldError(f"QONNX node {node.name} has no constant batch norm; export the model again")
        affine = self.tables.get(described["name"], {})
        affine[1] = scale.reshape(-1), offset.reshape(-1)

        last = self._require(add, "Relu", "Quant")
        residual = None
        if last.op_type == "Quant":
            self._check_quant(last, 8, signed=True)
            last = self._require(last, "Add")
            others = [self.maker.get(name) for name in last.input]
            residual = next((name for name in others if name), None)
            if residual is None:
                raise GatefoldError(f"QONNX node {last.name} adds something that no earlier layer made")
            last = self._require(last, "Relu")
        last = self._require(last, "Quant")
        self._check_quant(last, 4, signed=False)
        out, shuffle = self._shuffle(last, weight.shape[0])
        pool = self._next(out, "ReduceSum")
        if pool is not None and list(get_by_name(pool.attribute, "axes").ints) != [2, 3]:
            raise GatefoldError(f"QONNX node {pool.name} does not sum over the map; the engine pools globally")
        in_size, out_size = (self.model.get_tensor_shape(name)[2] for name in (node.input[0], node.output[0]))
        self._append(
            (pool or out).output[0],
            Layer(
                described["name"],
                "conv",
                weight,
                get_by_name(node.attribute, "strides").ints[0],
                in_size,
                out_size,
                tuple(described["group_counts"]),
                self._input(node),
                residual,
                shuffle,
                pool is not None,
                affine,
            ),
        )

    def _check_quant(self, node, bits, signed):
        """Refuse an activation quantiser that is not integer to integer with rounding half to even."""
        values = [float(self.model.get_initializer(name)) for name in node.input[1:4]]
        rounding = get_by_name(node.attribute, "rounding_mode").s.decode()
        if values != [1, 0, bits] or bool(get_by_name(node.attribute, "signed").i) != signed or rounding != "ROUND":
            kind = "signed" if signed else "unsigned"
            raise GatefoldError(
                f"QONNX node {node.name} is not a quantiser to {bits} bits {kind} with scale 1, zero point 0 and rounding to "
                "even; fold scales into the batch norm before"
            )

    def _shuffle(self, node, channels):
        """(last node of a channel shuffle behind `node`, True), or (node, False)."""
        split = self._next(node, "Reshape")
        if split is None:
            return node, False
        transpose = self._require(split, "Transpose")
        merge = self._require(transpose, "Reshape")
        shape = self.model.get_tensor_shape(split.output[0])
        perm = list(get_by_name(transpose.attribute, "perm").ints)
        if shape[1:3] != [SHUFFLE_GROUPS, channels // SHUFFLE_GROUPS] or perm != [0, 2, 1, 3, 4]:
            raise GatefoldError(f"QONNX node {split.name} is not the channel shuffle of {SHUFFLE_GROUPS} groups")
        return merge, True

    def _linear(self, node):
        described = self._describe(node)
        add = self._require(node, "Add")
        layer = Layer(
            described["name"],
            "linear",
            self._weight(node).T,
            group_counts=tuple(described["group_counts"]),
            input=self._input(node),
            bias=self.model.get_initializer(add.input[1]).astype(np.int64),
            logit_scale=described.get("logit_scale", 1.0),
        )
        self._append(add.output[0], layer)

    def _input(self, node):
        if node.input[0] not in self.maker:
            raise GatefoldError(f"QONNX node {node.name} reads {node.input[0]}, which no layer made")
        return self.maker[node.input[0]]

    def _append(self, tensor, layer):
        self.layers.append(layer)
        self.maker[tensor] = layer.name
