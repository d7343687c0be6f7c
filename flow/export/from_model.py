"""The layer graph of a PyTorch model."""

from dataclasses import replace
from typing import TYPE_CHECKING

from flow.errors import GatefoldError
from flow.graph.layers import Layer, LayerGraph, Setting
from flow.nn.modes import MODES, group_vector, mode_names

if TYPE_CHECKING:
    from torch import nn


def layer_graph(model: "nn.Module") -> LayerGraph:
    """The layer graph of a quantised network of `flow.models`, with its five named modes and its searched ones after them.

    Raises:
        GatefoldError: the network has no integers, or gates or exits, which the engine cannot run.
    """
    if not hasattr(model, "integer_layer"):
        raise GatefoldError(f"The engine cannot run {model.name}, which has no integer model; choose a CIFAR ResNet.")
    adaptive = model.gate_layers() if hasattr(model, "gate_layers") else []
    if adaptive:
        raise GatefoldError(
            f"The engine cannot run layer {adaptive[0].name}: it has no gates and exits yet; give weights of {model.name} "
            "without them."
        )
    modes = {mode: {name: Setting(n) for name, n in group_vector(model, mode).items()} for mode in mode_names(model)}
    searched = [mode for mode in modes if mode not in MODES]
    layers = []
    for spec in model.layers():
        integers = model.integer_layer(spec.name)
        layer = Layer(
            spec.name,
            spec.kind,
            integers.weight,
            spec.stride,
            spec.in_size,
            spec.out_size,
            spec.group_counts,
            spec.input,
            spec.residual,
            spec.shuffle,
            spec.pool,
        )
        if spec.kind == "conv":
            layer.affine = {Setting(n): integers.affine(n, MODES[0]) for n in spec.group_counts}
            for index, mode in enumerate(searched, 1):
                setting = modes[mode][spec.name] = replace(modes[mode][spec.name], statistics=index)
                layer.affine[setting] = integers.affine(setting.groups, mode)
        else:
            layer.bias, layer.logit_scale = integers.bias, integers.logit_scale
        layers.append(layer)
    return LayerGraph(model.name, layers, modes)
