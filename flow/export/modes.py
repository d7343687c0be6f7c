"""Rewrite a full QONNX model to one of its group modes."""

import numpy as np
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_shapes import InferShapes

from flow.errors import GatefoldError
from flow.export import metadata
from flow.export.qonnx_export import FULL
from flow.graph.layers import Setting


class ApplyMode(Transformation):
    """The graph in the mode called `mode`: every convolution grouped, with that group count's batch norm; without gates where the
    mode has none.

    Only the weights in use remain, so a rewritten graph cannot be rewritten again.

    Args:
        mode: a name in the model's mode table.

    Raises:
        GatefoldError: the model has no such mode, or is not in the full mode.
    """

    def __init__(self, mode: str):
        super().__init__()
        self.mode = mode

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        modes = metadata.modes_of(metadata.read(model, "modes", {}))
        if self.mode not in modes:
            raise GatefoldError(
                f"the QONNX model has no mode {self.mode!r}; it has {', '.join(modes) or 'none: export it with gatefold'}"
            )
        if metadata.read(model, "mode") != FULL:
            raise GatefoldError(f"the QONNX model is in mode {metadata.read(model, 'mode')}; apply modes to the full model only")
        layers = metadata.read(model, "layers")
        for conv in [node for node in model.graph.node if node.op_type == "Conv"]:
            setting = modes[self.mode].get(conv.doc_string, Setting())
            _group_weights(model, conv, setting.groups)
            affine = metadata.affine_of(layers[conv.doc_string])
            for node, value in zip(_affine_nodes(model, conv), affine[setting], strict=True) if affine else ():
                model.set_initializer(node.input[1], value.reshape(1, -1, 1, 1))
        if self.mode in metadata.read(model, "ungated", []):
            _remove_gates(model)
        metadata.write(model, mode=self.mode)
        return model.transform(InferShapes()), False


def _remove_gates(model):
    """Everything runs: what is selected is always the map, and nothing decides."""
    for node in model.get_nodes_by_op_type("Where"):
        for reader in model.find_consumers(node.output[0]):
            for index, name in enumerate(reader.input):
                if name == node.output[0]:
                    reader.input[index] = node.input[1]
    needed = {output.name for output in model.graph.output}
    for node in reversed(list(model.graph.node)):
        if needed.isdisjoint(node.output):
            model.graph.node.remove(node)
        else:
            needed.update(node.input)


def _group_weights(model, conv, groups):
    """Set the Conv's group count and keep, for each output, the inputs of its group."""
    quant = model.find_producer(conv.input[1])
    name = quant.input[0] if quant is not None else conv.input[1]
    weight = model.get_initializer(name)
    outputs, inputs = weight.shape[0] // groups, weight.shape[1] // groups
    blocks = [weight[g * outputs : (g + 1) * outputs, g * inputs : (g + 1) * inputs] for g in range(groups)]
    sliced = np.concatenate(blocks)
    model.set_initializer(name, sliced)
    if quant is not None:
        model.set_tensor_shape(conv.input[1], list(sliced.shape))
    kept = [attribute for attribute in conv.attribute if attribute.name != "group"]
    del conv.attribute[:]
    conv.attribute.extend([*kept, helper.make_attribute("group", groups)])


def _affine_nodes(model, conv):
    """The Mul and the Add that follow a Conv."""
    scale = model.find_consumer(conv.output[0])
    offset = model.find_consumer(scale.output[0])
    if (scale.op_type, offset.op_type) != ("Mul", "Add"):
        raise GatefoldError(f"{conv.name} is not followed by Mul and Add; export the model again")
    return scale, offset
