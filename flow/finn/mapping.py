"""From the graph of layers to one TileEngine node, and the choice of the mode."""

from collections.abc import Sequence

import numpy as np
from finn.util.basic import getHWCustomOp
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.util.basic import qonnx_make_model

from flow.engine.config import EngineConfig
from flow.engine.network import memories_digest
from flow.engine.shared import text_of
from flow.engine.stream import frame_bytes
from flow.errors import GatefoldError
from flow.finn.convert import OPS, layer_graph
from flow.finn.folding import attribute_values, folding_of
from flow.finn.tile_engine import BEAT_BYTES, OP, RTL_DOMAIN, TileEngine


class SetMode(Transformation):
    """Choose the mode that our nodes execute and estimate.

    For layer nodes it changes the result; a TileEngine node takes its mode from each frame, and only
    estimates follow.

    Args:
        mode: a mode's name.

    Raises:
        GatefoldError: no such mode.
    """

    def __init__(self, mode: str):
        super().__init__()
        self.mode = mode

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.graph.node:
            if node.op_type not in (*OPS, OP):
                continue
            op = getHWCustomOp(node)
            names = op.get_nodeattr("mode_names")
            if self.mode not in names:
                raise GatefoldError(f"There is no mode {self.mode!r}; choose one of {', '.join(names)}.")
            op.set_nodeattr("mode", names.index(self.mode))
        return model, False


class KeepModes(Transformation):
    """Leave only some modes in a graph of layer nodes.

    Args:
        modes: their names, in the order that gives their index; None for all.

    Raises:
        GatefoldError: no such mode.
    """

    def __init__(self, modes: Sequence[str] | None):
        super().__init__()
        self.modes = modes

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        for node in model.graph.node if self.modes else ():
            op = getHWCustomOp(node)
            names, ungated = op.get_nodeattr("mode_names"), op.get_nodeattr("mode_ungated")
            settings = dict(zip(names, op.get_nodeattr("mode_settings"), strict=True))
            for name in self.modes:
                if name not in settings:
                    raise GatefoldError(f"There is no mode {name!r}; {model.graph.name} has {', '.join(settings)}.")
            op.set_nodeattr("mode_names", list(self.modes))
            op.set_nodeattr("mode_settings", [settings[name] for name in self.modes])
            if len(ungated):
                op.set_nodeattr("mode_ungated", [ungated[names.index(name)] for name in self.modes])
        return model, False


class MapToTileEngine(Transformation):
    """Put a graph of layer nodes into one TileEngine node.

    Before: image [N, S, S, planes] -> layer nodes -> logits [N, K].
    After: image, mode [N, 1] (the mode's index) -> frame [N, bytes] -> TileEngine -> record [N, words] -> logits.
    The nodes around the engine are what the host does: planes, header beat, record.

    Memories and requantisation are laid out here, so that a layer which the engine lacks is refused here, by name; the node's
    `memories_digest` says which memories follow.

    Args:
        engine: EngineConfig of the engine that the network goes onto; None: one is made for it.
    """

    def __init__(self, engine: EngineConfig | None = None):
        super().__init__()
        self.engine = engine

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        if any(node.op_type == OP for node in model.graph.node):
            return model, False
        graph = layer_graph(model)
        first = getHWCustomOp(model.graph.node[0])
        frames = first.get_nodeattr("numInputVectors")
        engine = helper.make_node(
            OP, ["frame"], ["record"], name=f"{OP}_0", domain=RTL_DOMAIN, backend="fpgadataflow", body=model.graph,
            mode_names=list(graph.modes), numInputVectors=frames, engine=text_of(self.engine), **attribute_values(folding_of(first)),
        )  # fmt: skip
        op = TileEngine(engine)
        op.set_nodeattr("memories_digest", memories_digest(op.build().memories))
        return _around(engine, op, model.graph.name, frames, graph), False


def _around(engine, op, name, frames, graph):
    """The host's part around an engine node."""
    first = graph.layers[0]
    pixels = first.in_channels * first.in_size**2
    rest = frame_bytes(first.in_channels, first.in_size) - pixels
    record = op.get_normal_output_shape()[1]
    start = record_start()
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [frames, first.in_size, first.in_size, first.in_channels])
    mode = helper.make_tensor_value_info("mode", TensorProto.FLOAT, [frames, 1])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [frames, graph.classes])
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], name="planes", perm=[0, 3, 1, 2]),
        helper.make_node("Reshape", ["planes", "flat"], ["pixels"], name="flatten"),
        helper.make_node("Concat", ["mode", "header", "pixels", *["rest"] * (rest > 0)], ["frame"], name="header", axis=1),
        engine,
        helper.make_node("Slice", ["record", "first", "last", "axis"], ["logits"], name="logits"),
    ]
    model = ModelWrapper(qonnx_make_model(helper.make_graph(nodes, name, [image, mode], [logits])))
    for constant, value in {
        "flat": np.array([frames, pixels]),
        "header": np.zeros((frames, BEAT_BYTES - 1), np.float32),
        **({"rest": np.zeros((frames, rest), np.float32)} if rest else {}),
        "first": np.array([start]),
        "last": np.array([start + graph.classes]),
        "axis": np.array([1]),
    }.items():
        model.set_initializer(constant, value)
    for tensor, shape in {
        "planes": [frames, first.in_channels, first.in_size, first.in_size],
        "pixels": [frames, pixels],
        "frame": [frames, BEAT_BYTES + pixels + rest],
        "record": [frames, record],
    }.items():
        model.set_tensor_shape(tensor, shape)
    for tensor in ("image", "mode", "planes", "pixels", "header", *["rest"] * (rest > 0), "frame"):
        model.set_tensor_datatype(tensor, DataType["UINT8"])
    for tensor in ("record", "logits"):
        model.set_tensor_datatype(tensor, DataType["INT32"])
    return model


def record_start() -> int:
    """Index of the first logit in a record."""
    from flow.engine.interface import load_interface

    return len(load_interface().record)
