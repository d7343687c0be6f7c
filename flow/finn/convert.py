"""Layer graphs as FINN models, and back for the compiler."""

import numpy as np
from finn.util.basic import getHWCustomOp
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import qonnx_make_model

from flow.engine.config import Folding
from flow.errors import GatefoldError
from flow.export.excite_step import excite_attributes
from flow.export.lstm_step import step_attributes
from flow.finn.folding import attribute_values
from flow.finn.layers import initializers
from flow.graph.layers import IMAGE, LayerGraph, Setting

DOMAIN = "finn.custom_op.fpgadataflow"
OPS = ("SwitchableConv", "SwitchableLinear", "SwitchableGate", "SwitchableStep", "SwitchableExcite")


def build_layer_graph(graph: LayerGraph, folding: Folding | None = None, frames: int = 1) -> ModelWrapper:
    """A FINN model with one node per layer.

    Args:
        folding: that the nodes carry, the default where omitted.
        frames: number of images N.

    Returns:
        Input "image" [N, S, S, P] UINT8 (of a graph with an ImageInput its planes), output "logits" [N, K] INT32, and behind it those of
        early exits; tensor "L.out" is the output of layer L. Execution (`finn.core.onnx_exec`) runs in the mode that `SetMode` chose, at first mode 0.
    """
    return _Builder(graph, folding or Folding(), frames).run()


def layer_graph(model: ModelWrapper) -> LayerGraph:
    """The compiler's graph of a FINN model that consists of our layer nodes.

    Raises:
        GatefoldError: another node is among them.
    """
    tensors, makers, layers, modes = initializers(model), {model.graph.input[0].name: IMAGE}, [], {}
    image, order, ungated = None, None, set()
    for node in model.graph.node:
        if node.op_type not in OPS:
            raise GatefoldError(f"Node {node.name} ({node.op_type}) is no layer of the tile engine; convert the model first.")
    for op in sorted(map(getHWCustomOp, model.graph.node), key=lambda op: op.get_nodeattr("position")):
        node = op.onnx_node
        layer = op.to_layer(tensors, **{role: makers[tensor] for role, tensor in op.sources().items()})
        if node.op_type == "SwitchableConv":
            image = op.image_input() or image
        elif node.op_type == "SwitchableLinear":
            order = tuple(op.get_nodeattr("class_order")) or order
        layers.append(layer)
        makers[node.output[0]] = layer.name
        for name, code in zip(op.get_nodeattr("mode_names"), op.get_nodeattr("mode_settings"), strict=True):
            modes.setdefault(name, {})[layer.name] = Setting.of_code(code)
        ungated.update(name for name, without in zip(op.get_nodeattr("mode_names"), op.get_nodeattr("mode_ungated")) if without)
    return LayerGraph(model.graph.name, layers, modes, image, order, frozenset(ungated))


class _Builder:
    """Collects nodes, initializers and datatypes of one model."""

    def __init__(self, graph, folding, frames):
        self.graph, self.frames = graph, frames
        self.folding = attribute_values(folding)
        without = [int(mode in graph.ungated) for mode in graph.modes]
        self.ungated = {"mode_ungated": without} if any(without) else {}
        self.nodes, self.constants, self.datatypes, self.shapes = [], {}, {}, {}

    def run(self):
        for layer in self.graph.layers:
            {"conv": self._conv, "linear": self._linear, "gate": self._gate, "lstm": self._step, "excite": self._excite}[
                layer.kind
            ](layer)
        first, last = self.graph.layers[0], self.graph.layers[-1]
        image = [self.frames, first.in_size, first.in_size, first.in_channels]
        self.shapes[IMAGE] = image
        inputs = helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, image)
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [self.frames, last.out_channels])
            for name in ("logits", *(self._tensor(exit.name) for exit in self.graph.exits))
        ]
        model = ModelWrapper(qonnx_make_model(helper.make_graph(self.nodes, self.graph.name, [inputs], outputs)))
        for name, value in self.constants.items():
            model.set_initializer(name, value.astype(np.float32))
        for name, shape in self.shapes.items():
            model.set_tensor_shape(name, shape)
        for name, datatype in {IMAGE: "UINT8", **self.datatypes}.items():
            model.set_tensor_datatype(name, DataType[datatype])
        return model

    def _constant(self, name, value, datatype):
        self.constants[name], self.datatypes[name] = value, datatype
        return name

    def _node(self, op, layer, inputs, output, shape, datatype, more=(), **attributes):
        settings = [self.graph.setting(mode, layer).code for mode in self.graph.modes]
        self.nodes.append(
            helper.make_node(
                op, inputs, [output, *more], name=layer.name, domain=DOMAIN, backend="fpgadataflow", layer=layer.name, position=len(self.nodes),
                mode_names=list(self.graph.modes), mode_settings=settings, numInputVectors=self.frames,
                in_channels=layer.in_channels, **self.ungated, **self.folding, **attributes,
            )
        )  # fmt: skip
        self.shapes[output], self.datatypes[output] = shape, datatype

    def _conv(self, layer):
        name, wide = layer.name, layer.weight.max() > 7 or layer.weight.min() < -8
        inputs = [self._tensor(layer.input), self._constant(f"{name}.weight", layer.weight, "INT8" if wide else "INT4")]
        settings, attributes = layer.settings, {}
        if layer.thresholds:
            steps = np.stack([layer.thresholds[setting] for setting in settings])
            inputs.append(self._constant(f"{name}.thresholds", steps, "INT32"))
            attributes["steps"] = steps.shape[2]
        elif layer.excite:
            settings, attributes["factor_shift"] = [Setting(groups) for groups in layer.group_counts], layer.factor_shift
        else:
            for index, table in enumerate("AB"):
                values = np.stack([layer.affine[setting][index] for setting in settings])
                inputs.append(self._constant(f"{name}.{table}", values, "FLOAT32"))
        inputs += [self._tensor(source) for source in (layer.residual, layer.mask, layer.when, layer.excite) if source]
        for key in ("clamp", "residual_table", "sum_table", "pool2", "valid", "reach"):
            if (value := getattr(layer, key)) is not None:
                attributes[key] = value.tolist() if isinstance(value, np.ndarray) else value
        if layer.input == IMAGE and self.graph.image:
            attributes["image_size"] = self.graph.image.size
            attributes["pixel_table"] = self.graph.image.table.reshape(-1).tolist()
        shape = [self.frames, layer.out_channels]
        if not layer.pool:
            shape[1:1] = [layer.out_size] * 2
        self._node(
            "SwitchableConv", layer, inputs, self._tensor(name), shape, "UINT16" if layer.pool else "UINT4",
            out_channels=layer.out_channels, kernel=layer.kernel, stride=layer.stride, in_size=layer.in_size,
            out_size=layer.out_size, image=int(layer.input == IMAGE), residual=int(layer.residual is not None),
            mask=int(layer.mask is not None), when=int(layer.when is not None), excite=int(layer.excite is not None), gate=int(layer.gate),
            exit=layer.exit or "",
            shuffle=int(layer.shuffle), pool=int(layer.pool), settings=[setting.code for setting in settings], weight_type="INT8" if wide else "INT4", **attributes,
        )  # fmt: skip

    def _linear(self, layer):
        inputs = [
            self._tensor(layer.input),
            self._constant(f"{layer.name}.weight", layer.weight, "INT8"),
            self._constant(f"{layer.name}.bias", layer.bias, "INT32"),
        ]
        shape = [self.frames, layer.out_channels]
        order = {"class_order": self.graph.class_order} if self.graph.class_order and not layer.exit else {}
        self._node(
            "SwitchableLinear", layer, inputs, self._tensor(layer.name) if layer.exit else "logits", shape, "INT32",
            classes=layer.out_channels, logit_scale=float(layer.logit_scale), exit=layer.exit or "", **order,
        )  # fmt: skip

    def _gate(self, layer):
        inputs = [
            self._tensor(layer.input),
            self._constant(f"{layer.name}.weight", layer.weight, "INT8"),
            self._constant(f"{layer.name}.bias", layer.bias, "INT32"),
        ]
        if layer.when:
            inputs.append(self._tensor(layer.when))
        source = self.graph[layer.input]
        self._node(
            "SwitchableGate", layer, inputs, self._tensor(layer.name), [self.frames, layer.out_channels], "BINARY",
            decisions=layer.out_channels, size=0 if source.pool else source.out_size, when=int(layer.when is not None),
        )  # fmt: skip

    def _excite(self, layer):
        source = self.graph[layer.input]
        self._node(
            "SwitchableExcite", layer, [self._tensor(layer.input)], self._tensor(layer.name), [self.frames, layer.in_channels], "INT16",
            size=0 if source.pool else source.out_size, **excite_attributes(layer),
        )  # fmt: skip

    def _step(self, layer):
        before = next((node for node in reversed(self.nodes) if node.op_type == "SwitchableStep"), None)
        inputs = [self._tensor(layer.input), *([before.output[1]] if before else [])]
        source, state = self.graph[layer.input], f"{layer.name}.state"
        self.shapes[state], self.datatypes[state] = [self.frames, 2 * layer.out_channels], "INT16"
        attributes = step_attributes(layer)
        self._node(
            "SwitchableStep", layer, inputs, self._tensor(layer.name), [self.frames, 1], "BINARY", [state],
            size=0 if source.pool else source.out_size, **attributes,
        )  # fmt: skip

    @staticmethod
    def _tensor(layer):
        return IMAGE if layer == IMAGE else f"{layer}.out"
