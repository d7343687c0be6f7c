"""One layer of a switchable network as a FINN node.

The nodes describe, estimate and execute a layer; they have no hardware of their own: the TileEngine runs all of
them on one set of lanes. Feature maps are [N, H, W, C] as everywhere in FINN, and C counts channel slots, after the
producer's shuffle.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow import register_custom_op
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from onnx import GraphProto, numpy_helper
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper

from flow.engine.cost import Unplanned, layer_cost
from flow.engine.memories import ram_blocks, requant_blocks, weight_blocks
from flow.engine.plan import needs_tables
from flow.export.excite_step import TYPES as EXCITE_TYPES
from flow.export.excite_step import excite_layer
from flow.export.lstm_step import TYPES as STEP_TYPES
from flow.export.lstm_step import run_step, step_layer
from flow.finn.folding import attribute_types, folding_of
from flow.graph.excite import factors
from flow.graph.integer import convolve, decide, multiply
from flow.graph.layers import IMAGE, ImageInput, Layer, Setting


class SwitchableLayer(HWCustomOp):
    """What both kinds of layers share.

    Attributes of the node beside the folding attributes:
        layer: name of the layer; node names may be changed by FINN's transformations.
        position: of the layer in the order of execution; qonnx sorts nodes as it likes.
        mode_names, mode_settings: names of the modes and this layer's `Setting.code` in each.
        mode_ungated: of each mode, whether it runs no gates (1); empty: all do.
        mode: index of the mode for execution and cycles.
        numInputVectors: number of images N.
    """

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return {
            **super().get_nodeattr_types(),
            **attribute_types(),
            "layer": ("s", True, ""),
            "position": ("i", False, 0),
            "mode_names": ("strings", True, []),
            "mode_settings": ("ints", True, []),
            "mode_ungated": ("ints", False, []),
            "mode": ("i", False, 0),
            "numInputVectors": ("i", False, 1),
        }

    def gated(self) -> bool:
        """Whether gates count in the node's own mode."""
        ungated = self.get_nodeattr("mode_ungated")
        return not (len(ungated) and ungated[self.get_nodeattr("mode")])

    def _decisions(self, context):
        """(mask [N, K], when [N, 1]) that the node reads last, each None where it has none or the mode runs no gates."""
        names, found = [name for name in ("mask", "when") if self.get_nodeattr(name)], {}
        if self.gated():
            found = (
                {name: np.rint(context[tensor]) for name, tensor in zip(names, self.onnx_node.input[-len(names) :])}
                if names
                else {}
            )
        return found.get("mask"), found.get("when")

    def setting(self, mode: int | None = None) -> Setting:
        """The setting in the mode with index `mode`; in the node's own mode where omitted."""
        return Setting.of_code(self.get_nodeattr("mode_settings")[self.get_nodeattr("mode") if mode is None else mode])

    def groups(self, mode: int | None = None) -> int:
        """Group count in the mode with index `mode`; in the node's own mode where omitted."""
        return self.setting(mode).groups

    def get_exp_cycles(self, mode: int | None = None) -> int:
        """Clock cycles per image in a mode (index), overhead included, on an engine without what only other layers need."""
        layer = self.shape_only()
        features = {"tables": int(needs_tables(layer)), "pool2": int(layer.pool2 is not None)} if layer.kind == "conv" else {}
        return layer_cost(layer, self.groups(mode), Unplanned.of(folding_of(self), **features)).cycles

    def get_op_and_param_counts(self) -> dict[str, int]:
        """Multiplications per image in the node's mode, and stored parameters."""
        layer, groups = self.shape_only(), self.groups()
        macs = layer.weight.size // groups * layer.out_size**2
        return {f"op_mac_{self.weight_datatype().name}": macs, f"param_weight_{self.weight_datatype().name}": layer.weight.size}

    # A layer shares the engine's lanes; what it takes for itself is memory.
    def lut_estimation(self, fpgapart: str) -> int:
        return 0

    def dsp_estimation(self, fpgapart: str) -> int:
        return 0

    # No streams: maps stay in the engine's memories.
    def get_instream_width(self, ind: int = 0) -> int:
        return 0

    def get_outstream_width(self, ind: int = 0) -> int:
        return 0

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.get_normal_input_shape(ind)

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.get_normal_output_shape(ind)

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        for output in self.onnx_node.output:
            model.set_tensor_datatype(output, self.get_output_datatype())

    def verify_node(self) -> None:
        pass


@register_custom_op
class SwitchableConv(SwitchableLayer):
    """Convolution with a group count chosen at run time, requantised to at most 4 bits; `flow.graph.layers.Layer` defines it.

    Inputs:
        0: map [N, H, W, Ci], UINT4, or the image's planes [N, S, S, P], UINT8.
        1: weights [Co, Ci, k, k], INT4, of the full network; with n groups output o and input i connect
           iff o·n // Co == i·n // Ci. The first convolution may have INT8.
        2, 3: A and B, float32 [G, Co], one row per entry of `settings`, each a `Setting.code`;
           or with `steps` thresholds alone, INT32 [G, Co, steps].
        next: with `residual`, the map [N, Ho, Wo, Co] that is added before the last clamp or the sum table.
        next: with `mask`, the decisions [N, Co] of a SwitchableGate on the output channels.
        next: with `when`, the decision [N, 1] on the whole layer.
        last: with `excite`, the factors [N, Co] of a SwitchableExcite, in place of inputs 2 and 3.

    Output: [N, Ho, Wo, Co], UINT4, in channel slots (shuffled where `shuffle` is set: channel a·n' + b in slot
    b·16 + a); with `pool` the sums over all pixels, [N, Co], UINT16.

    Attributes that have `Layer`'s names mean the same. `image_size` and `pixel_table` (256 rows, a column per colour) are those of
    `ImageInput`, at the first convolution.
    """

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return {
            **super().get_nodeattr_types(),
            "in_channels": ("i", True, 0),
            "out_channels": ("i", True, 0),
            "kernel": ("i", True, 3),
            "stride": ("i", True, 1),
            "in_size": ("i", True, 0),
            "out_size": ("i", True, 0),
            "image": ("i", False, 0, {0, 1}),
            "residual": ("i", False, 0, {0, 1}),
            "mask": ("i", False, 0, {0, 1}),
            "when": ("i", False, 0, {0, 1}),
            "excite": ("i", False, 0, {0, 1}),
            "factor_shift": ("i", False, 8),
            "gate": ("i", False, 0, {0, 1}),
            "exit": ("s", False, ""),
            "shuffle": ("i", False, 0, {0, 1}),
            "pool": ("i", False, 0, {0, 1}),
            "settings": ("ints", True, []),
            "steps": ("i", False, 0),
            "clamp": ("ints", False, []),
            "residual_table": ("ints", False, []),
            "sum_table": ("ints", False, []),
            "pool2": ("s", False, "", {"", "max", "sum"}),
            "valid": ("ints", False, []),
            "reach": ("i", False, 0),
            "weight_type": ("s", False, "INT4", {"INT4", "INT8"}),
            "image_size": ("ints", False, []),
            "pixel_table": ("ints", False, []),
        }

    def weight_datatype(self) -> BaseDataType:
        return DataType[self.get_nodeattr("weight_type")]

    def _inputs(self):
        """(shape, datatype) of every input."""
        count, size, out_size = (self.get_nodeattr(name) for name in ("numInputVectors", "in_size", "out_size"))
        inputs, outputs, kernel = (self.get_nodeattr(name) for name in ("in_channels", "out_channels", "kernel"))
        table, steps = (len(self.get_nodeattr("settings")), outputs), self.get_nodeattr("steps")
        described = [
            ((count, size, size, inputs), DataType["UINT8" if self.get_nodeattr("image") else "UINT4"]),
            ((outputs, inputs, kernel, kernel), self.weight_datatype()),
            *([((*table, steps), DataType["INT32"])] if steps else [(table, DataType["FLOAT32"])] * self._tables()),
        ]
        if self.get_nodeattr("residual"):
            described.append(((count, out_size, out_size, outputs), DataType["UINT4"]))
        if self.get_nodeattr("mask"):
            described.append(((count, outputs), DataType["BINARY"]))
        if self.get_nodeattr("when"):
            described.append(((count, 1), DataType["BINARY"]))
        if self.get_nodeattr("excite"):
            described.append(((count, outputs), DataType["INT16"]))
        return described

    def _tables(self):
        """Inputs that requantise."""
        return 0 if self.get_nodeattr("excite") else 1 if self.get_nodeattr("steps") else 2

    def sources(self) -> dict[str, str]:
        """What the node reads beside constants: "input", "residual", "mask", "when" and "excite", as far as there are some, to its tensor."""
        names = [name for name in ("residual", "mask", "when", "excite") if self.get_nodeattr(name)]
        inputs = self.onnx_node.input
        return {"input": inputs[0], **dict(zip(names, inputs[len(inputs) - len(names) :], strict=True))}

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return self._inputs()[ind][1]

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["UINT16"] if self.get_nodeattr("pool") else DataType["UINT4"]

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self._inputs()[ind][0]

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        count, size, outputs = (self.get_nodeattr(name) for name in ("numInputVectors", "out_size", "out_channels"))
        return (count, outputs) if self.get_nodeattr("pool") else (count, size, size, outputs)

    def bram_estimation(self, fpgapart: str) -> int:
        """18-kbit blocks that the kernels and the requantisation entries of the modes in use would fill."""
        inputs = self.get_nodeattr("in_channels") * (2 if self.get_nodeattr("image") else 1)
        entries = len(set(self.get_nodeattr("mode_settings"))) * self.get_nodeattr("out_channels")
        return weight_blocks(inputs * self.get_nodeattr("out_channels")) + requant_blocks(entries)

    def shape_only(self) -> Layer:
        """The layer with zero weights: enough for the cost model."""
        return self._layer(np.zeros(self.get_normal_input_shape(1), np.int64))

    def to_layer(self, tensors: Mapping[str, np.ndarray], **sources: str) -> Layer:
        """The compiler's Layer.

        Args:
            tensors: input name -> array, for the weights and the requantisation.
            sources: names of the layers that make what is read, as `sources` has it; in part.
        """
        weight, *tables = self.onnx_node.input[1 : 2 + self._tables()]
        layer = self._layer(np.rint(tensors[weight]).astype(np.int64))
        for name, maker in sources.items():
            setattr(layer, name, maker)
        rows = list(enumerate(self._settings()))
        if len(tables) == 1:
            steps = np.rint(tensors[tables[0]]).astype(np.int64)
            layer.thresholds = {setting: steps[row] for row, setting in rows}
        elif tables:
            layer.affine = {setting: tuple(tensors[name][row].astype(np.float32) for name in tables) for row, setting in rows}
        return layer

    def image_input(self) -> ImageInput | None:
        """That of the first convolution; None where there is none."""
        size, table = self.get_nodeattr("image_size"), self.get_nodeattr("pixel_table")
        return ImageInput(tuple(size), np.array(table).reshape(256, -1)) if len(size) else None

    def _settings(self):
        return [Setting.of_code(code) for code in self.get_nodeattr("settings")]

    def _layer(self, weight):
        stride, in_size, out_size = (self.get_nodeattr(name) for name in ("stride", "in_size", "out_size"))
        clamp, valid, *tables = (self.get_nodeattr(name) for name in ("clamp", "valid", "residual_table", "sum_table"))
        residual_table, sum_table = (np.array(table, np.int64) if len(table) else None for table in tables)
        return Layer(
            self.get_nodeattr("layer"), "conv", weight, stride, in_size, out_size,
            tuple(sorted({setting.groups for setting in self._settings()})),
            input=IMAGE if self.get_nodeattr("image") else "before",
            residual="added" if self.get_nodeattr("residual") else None,
            excite="factors" if self.get_nodeattr("excite") else None, factor_shift=self.get_nodeattr("factor_shift"),
            mask="mask" if self.get_nodeattr("mask") else None, when="when" if self.get_nodeattr("when") else None,
            gate=bool(self.get_nodeattr("gate")), exit=self.get_nodeattr("exit") or None, shuffle=bool(self.get_nodeattr("shuffle")), pool=bool(self.get_nodeattr("pool")),
            clamp=tuple(clamp) or None, valid=tuple(valid) or None, pool2=self.get_nodeattr("pool2") or None,
            residual_table=residual_table, sum_table=sum_table, reach=self.get_nodeattr("reach") or None,
        )  # fmt: skip

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        """Integer-exact execution in the node's mode, by the compiler's reference."""
        node = self.onnx_node
        layer, residual = self.to_layer(context), None
        if layer.residual:
            residual = np.rint(context[self.sources()["residual"]]).astype(np.int64).transpose(0, 3, 1, 2)
        inputs = np.rint(context[node.input[0]]).astype(np.int64).transpose(0, 3, 1, 2)
        factor = np.rint(context[self.sources()["excite"]]).astype(np.int64) if layer.excite else None
        out = convolve(layer, self.setting(), inputs, residual, *self._decisions(context), factor=factor)
        context[node.output[0]] = (out if layer.pool else out.transpose(0, 2, 3, 1)).astype(np.float32)


@register_custom_op
class SwitchableLinear(SwitchableLayer):
    """The classifier, or that of an early exit, on the engine's vector unit: always one group.

    Inputs:
        0: sums [N, C], UINT16.
        1: weights [K, C], INT8, -127…127.
        2: bias [K], INT32.

    Output: logits [N, K], INT32; `logit_scale` is the real value of one unit, `class_order` the class of each logit where they
    are not in the network's order; `exit` is the name of its own layer at an exit, and of convolutions that belong to one.
    """

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return {
            **super().get_nodeattr_types(),
            "in_channels": ("i", True, 0),
            "classes": ("i", True, 0),
            "logit_scale": ("f", False, 1.0),
            "exit": ("s", False, ""),
            "class_order": ("ints", False, []),
        }

    def weight_datatype(self) -> BaseDataType:
        return DataType["INT8"]

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return (DataType["UINT16"], DataType["INT8"], DataType["INT32"])[ind]

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["INT32"]

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        inputs, classes = self.get_nodeattr("in_channels"), self.get_nodeattr("classes")
        return ((self.get_nodeattr("numInputVectors"), inputs), (classes, inputs), (classes,))[ind]

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (self.get_nodeattr("numInputVectors"), self.get_nodeattr("classes"))

    def bram_estimation(self, fpgapart: str) -> int:
        lanes = self.get_nodeattr("V")
        return ram_blocks(self.get_nodeattr("classes") * -(-self.get_nodeattr("in_channels") // lanes), 8 * lanes)

    def shape_only(self) -> Layer:
        """The layer with zero weights: enough for the cost model."""
        weight = np.zeros(self.get_normal_input_shape(1), np.int64)
        return Layer(self.get_nodeattr("layer"), "linear", weight, input="before", exit=self.get_nodeattr("exit") or None)

    def sources(self) -> dict[str, str]:
        """What the node reads beside constants: "input" to its tensor."""
        return {"input": self.onnx_node.input[0]}

    def to_layer(self, tensors: Mapping[str, np.ndarray], **sources: str) -> Layer:
        """The compiler's Layer; `tensors` maps the names of inputs 1 and 2 to arrays, `sources` as in SwitchableConv."""
        weight, bias = self.onnx_node.input[1:3]
        layer = self.shape_only()
        layer.weight, layer.bias = (np.rint(tensors[name]).astype(np.int64) for name in (weight, bias))
        layer.logit_scale = self.get_nodeattr("logit_scale")
        for name, maker in sources.items():
            setattr(layer, name, maker)
        return layer

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        """Integer-exact execution by the compiler's reference."""
        layer = self.to_layer(context)
        sums = np.rint(context[self.onnx_node.input[0]]).astype(np.int64)
        context[self.onnx_node.output[0]] = multiply(layer, sums).astype(np.float32)


@register_custom_op
class SwitchableGate(SwitchableLayer):
    """A gate, on the engine's vector unit: decision k is 1 where weights·sums + bias reaches 0.

    Inputs:
        0: sums [N, C], UINT16, or with `size` the map [N, H, W, C], UINT4, whose sums over the pixels it reads.
        1: weights [K, C], INT8, -127…127.
        2: bias [K], INT32.
        3: with `when`, the decision [N, 1] of another gate, without which all are 0.

    Output: decisions [N, K], BINARY; in a mode without gates all are 1.
    """

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return {
            **super().get_nodeattr_types(),
            "in_channels": ("i", True, 0),
            "decisions": ("i", True, 0),
            "size": ("i", False, 0),
            "mask": ("i", False, 0, {0}),
            "when": ("i", False, 0, {0, 1}),
        }

    def weight_datatype(self) -> BaseDataType:
        return DataType["INT8"]

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType[("UINT4" if self.get_nodeattr("size") else "UINT16", "INT8", "INT32", "BINARY")[ind]]

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["BINARY"]

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        count, inputs, outputs, size = (self.get_nodeattr(name) for name in ("numInputVectors", "in_channels", "decisions", "size"))
        return ((count, size, size, inputs) if size else (count, inputs), (outputs, inputs), (outputs,), (count, 1))[ind]

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (self.get_nodeattr("numInputVectors"), self.get_nodeattr("decisions"))

    def bram_estimation(self, fpgapart: str) -> int:
        lanes = self.get_nodeattr("V")
        return ram_blocks(self.get_nodeattr("decisions") * -(-self.get_nodeattr("in_channels") // lanes), 8 * lanes)

    def shape_only(self) -> Layer:
        """The layer with zero weights: enough for the cost model."""
        weight = np.zeros(self.get_normal_input_shape(1), np.int64)
        return Layer(self.get_nodeattr("layer"), "gate", weight, input="before", when="when" if self.get_nodeattr("when") else None)

    def sources(self) -> dict[str, str]:
        """What the node reads beside constants: "input" and "when", where it has that, to its tensor."""
        inputs = self.onnx_node.input
        return {"input": inputs[0], **({"when": inputs[3]} if self.get_nodeattr("when") else {})}

    def to_layer(self, tensors: Mapping[str, np.ndarray], **sources: str) -> Layer:
        """As that of SwitchableLinear."""
        layer = self.shape_only()
        layer.weight, layer.bias = (np.rint(tensors[name]).astype(np.int64) for name in self.onnx_node.input[1:3])
        for name, maker in sources.items():
            setattr(layer, name, maker)
        return layer

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        """Integer-exact execution by the compiler's reference."""
        inputs = np.rint(context[self.onnx_node.input[0]]).astype(np.int64)
        inputs = inputs.transpose(0, 3, 1, 2) if inputs.ndim == 4 else inputs
        _, when = self._decisions(context)
        made = decide(self.to_layer(context), inputs, when) if self.gated() else np.ones(self.get_normal_output_shape())
        context[self.onnx_node.output[0]] = made.astype(np.float32)


class _SeveralProducts(SwitchableLayer):
    """A layer of several products on the engine's vector unit that reads sums over the pixels of a map; its integers are attributes.

    Input 0: sums [N, C], UINT16, or with `size` the map [N, H, W, C], UINT4, whose sums over the pixels it reads.
    """

    TYPES: dict[str, tuple]
    MAKE: Callable[[str, Callable[[str], Any]], Layer]
    """From a name and the attributes to the layer."""

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return {**super().get_nodeattr_types(), **self.TYPES, "in_channels": ("i", True, 0), "size": ("i", False, 0)}

    def weight_datatype(self) -> BaseDataType:
        return DataType["INT8"]

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["UINT4" if self.get_nodeattr("size") else "UINT16"]

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        count, inputs, size = (self.get_nodeattr(name) for name in ("numInputVectors", "in_channels", "size"))
        return (count, size, size, inputs) if size else (count, inputs)

    def shape_only(self) -> Layer:
        """The layer itself."""
        return type(self).MAKE(self.get_nodeattr("layer"), self.get_nodeattr)

    def sources(self) -> dict[str, str]:
        """What the node reads beside a state: "input" to its tensor."""
        return {"input": self.onnx_node.input[0]}

    def to_layer(self, tensors: Mapping[str, np.ndarray], **sources: str) -> Layer:
        """As that of SwitchableLinear."""
        layer = self.shape_only()
        for name, maker in sources.items():
            setattr(layer, name, maker)
        return layer

    def sums(self, context: Mapping[str, np.ndarray]) -> np.ndarray:
        """What it reads, int64 [N, C]."""
        sums = np.rint(context[self.onnx_node.input[0]]).astype(np.int64)
        return sums.sum(axis=(1, 2)) if sums.ndim == 4 else sums


@register_custom_op
class SwitchableStep(_SeveralProducts):
    """A step of the LSTM of layer gates; `flow.graph.lstm` defines it.

    Input 1: state [N, 2H], INT16, that the step before left; absent in the first.

    Outputs: the decision [N, 1], BINARY, which is 1 in a mode without gates, and the state.

    Its integers are those of `flow.export.lstm_step`.
    """

    TYPES = {**STEP_TYPES, "mask": ("i", False, 0, {0}), "when": ("i", False, 0, {0})}
    MAKE = step_layer

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["INT16"] if ind else super().get_input_datatype()

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["INT16" if ind else "BINARY"]

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        for index, output in enumerate(self.onnx_node.output):
            model.set_tensor_datatype(output, self.get_output_datatype(index))

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        return self.get_normal_output_shape(1) if ind else super().get_normal_input_shape()

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (self.get_nodeattr("numInputVectors"), 2 * self.get_nodeattr("hidden") if ind else 1)

    def bram_estimation(self, fpgapart: str) -> int:
        """Those of the projection; what all steps share is counted with the first."""
        lanes, hidden = self.get_nodeattr("V"), self.get_nodeattr("hidden")
        words = hidden * -(-self.get_nodeattr("in_channels") // lanes)
        shared = (4 * hidden + 1) * -(-2 * hidden // lanes) if len(self.onnx_node.input) == 1 else 0
        return ram_blocks(words + shared, 8 * lanes)

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        """Integer-exact execution by the compiler's reference."""
        state = [context[name] for name in self.onnx_node.input[1:]]
        score, left = run_step(self.shape_only(), self.sums(context), state[0] if state else None)
        decided = score >= 0 if self.gated() else np.ones_like(score)
        for tensor, value in zip(self.onnx_node.output, (decided, left), strict=True):
            context[tensor] = value.astype(np.float32)


@register_custom_op
class SwitchableExcite(_SeveralProducts):
    """Factors of squeeze-and-excitation; `flow.graph.excite` defines them.

    Output: factors [N, C], 0…256, INT16.

    Its integers are those of `flow.export.excite_step`.
    """

    TYPES = EXCITE_TYPES
    MAKE = excite_layer

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["INT16"]

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        return (self.get_nodeattr("numInputVectors"), self.get_nodeattr("in_channels"))

    def bram_estimation(self, fpgapart: str) -> int:
        lanes, hidden, channels = (self.get_nodeattr(name) for name in ("V", "hidden", "in_channels"))
        return ram_blocks(hidden * -(-channels // lanes) + channels * -(-hidden // lanes), 8 * lanes)

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        """Integer-exact execution by the compiler's reference."""
        context[self.onnx_node.output[0]] = factors(self.shape_only(), self.sums(context)).astype(np.float32)


def initializers(model: ModelWrapper) -> dict[str, np.ndarray]:
    """Tensor name -> array of every initializer."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
