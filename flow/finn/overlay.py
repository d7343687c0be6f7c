"""What the nodes of a network of ours cannot say: its modes, and the constants that decide how a sum is rounded.

Streamlined, a batch norm is a row of thresholds, (k − 1/2 − B) / A in float32. The network is defined by two roundings instead,
fl(fl(acc·A) + B) (docs/decisions/003), which can step one accumulator earlier or later, and its other modes have constants of their own.
So the inferred layers take A and B from the file's metadata. They have to be those of the nodes, up to that rounding.
"""

from dataclasses import replace

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper

from flow.engine.requant import float_steps
from flow.errors import GatefoldError
from flow.export import metadata
from flow.graph.layers import LayerGraph, Setting


def overlay(graph: LayerGraph, model: ModelWrapper) -> tuple[LayerGraph, dict[str, str]]:
    """A recognised network with the modes and constants that its file's metadata give it.

    Args:
        graph: that of the nodes, with the one mode "full".
        model: that it was recognised in; without metadata the graph stays as it is.

    Returns:
        (graph, {layer name: what was taken from the metadata, in words}).

    Raises:
        GatefoldError: nodes and metadata contradict each other.
    """
    described = metadata.read(model, "layers")
    if described is None:
        return graph, {}
    if metadata.read(model, "mode") != "full":
        raise GatefoldError(f"The QONNX model is in mode {metadata.read(model, 'mode')}; build the one of the full network.")
    remarks = {}
    try:
        modes = metadata.modes_of(metadata.read(model, "modes"))
        if sorted(described) != sorted(layer.name for layer in graph.layers):
            raise _contradiction("they name other layers")
        for layer in graph.layers:
            entry = described[layer.name]
            if layer.kind == "linear":
                layer.logit_scale = entry["logit_scale"]
            elif layer.kind == "conv":
                layer.group_counts = tuple(entry["group_counts"])
                if not layer.excite:
                    remarks[layer.name] = _constants(layer, metadata.affine_of(entry), modes["full"].get(layer.name, Setting()))
        layers = [graph[name] for name in described]
        return replace(graph, layers=layers, modes=modes, ungated=frozenset(metadata.read(model, "ungated", []))), remarks
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise _contradiction(f"they are damaged: {error}") from None


def _contradiction(why):
    return GatefoldError(f"The QONNX file's metadata do not belong to its nodes ({why}); export the network again.")


def _constants(layer, affine, full):
    """Replace a layer's thresholds by A and B, those of the setting `full` at first; returns how many differ."""
    scale, offset = affine[full]
    layer.weight = layer.weight * np.where(scale < 0, -1, 1)[:, None, None, None]  # FINN moves the sign into the kernel
    layer.thresholds, found = {}, layer.thresholds[Setting()]
    layer.affine = affine
    low, high = layer.accumulator_range(1)
    low, high = np.where(scale < 0, -high, low), np.where(scale < 0, -low, high)
    lowest, highest = layer.level_range
    exact = float_steps(np.abs(scale), offset, low, high, np.arange(lowest + 1, highest + 1))
    off = np.abs(exact - found) if exact.shape == found.shape else np.full(1, 2)
    if off.max() > 1:
        raise _contradiction(f"thresholds of {layer.name} differ by up to {off.max()}")
    return f"scale and bias of the model; FINN's thresholds, rounded elsewhere, are an accumulator off at {(off > 0).sum()} of {off.size}"
