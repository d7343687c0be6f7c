"""The layer graph of a PyTorch model."""

from typing import TYPE_CHECKING

from flow.errors import GatefoldError
from flow.export.gates import decided_by, exit_after, gates_before, statistics
from flow.graph.layers import Layer, LayerGraph, Setting
from flow.nn.modes import MODES, group_vector, mode_names

if TYPE_CHECKING:
    from torch import nn

    from flow.nn.spec import LayerSpec

UNGATED = " ungated"
"""Behind the name of a mode: the same without gates."""


def layer_graph(model: "nn.Module") -> LayerGraph:
    """The layer graph of a quantised network of `flow.models`, with its five named modes and its searched ones after them.

    A network with gates runs them in its modes, and each mode is there once more without them, as "full ungated", with
    statistics of its own where the network was trained for both.

    Raises:
        GatefoldError: the network has no integers, or gates that have none.
    """
    if not hasattr(model, "integer_layer"):
        raise GatefoldError(f"The engine cannot run {model.name}, which has no integer model; choose a CIFAR ResNet.")
    exact = model.exact_gate_layers()
    foreign = next((spec.name for spec in model.gate_layers() if spec.name not in exact), None)
    if foreign:
        raise GatefoldError(
            f"The engine cannot run layer {foreign}, which has no integers; give weights of {model.name} without it."
        )
    modes = _modes(model)
    layers = []
    for spec in model.layers():
        for layer, groups in gates_before(model, spec.name):
            layers.append(layer)
            for settings in modes.values():
                settings[layer.name] = Setting(groups)
        layers.append(_layer(model, spec, modes))
        for layer, groups in exit_after(model, spec.name):
            layers.append(layer)
            for mode, settings in modes.items():
                own = Setting(groups, 1)
                settings[layer.name] = own if mode.endswith(UNGATED) and own in layer.affine else Setting(groups)
    return LayerGraph(model.name, layers, modes, ungated=frozenset(mode for mode in modes if mode.endswith(UNGATED)))


def _modes(model: "nn.Module") -> dict[str, dict[str, Setting]]:
    """The settings of the network's layers in every mode. Statistics of number 0 are those of the uniform modes, then come the
    searched ones', then, where a network was trained for both, in the same order those without gates."""
    names, convolutions = mode_names(model), {spec.name for spec in model.layers() if spec.kind == "conv"}
    searched = [mode for mode in names if mode not in MODES]
    numbers = {mode: searched.index(mode) + 1 if mode in searched else 0 for mode in names}
    if model.gates is not None:
        without = len(searched) + 1 if model.ungated else 0
        numbers |= {mode + UNGATED: without + number for mode, number in numbers.items()}
    return {
        mode: {
            name: Setting(n, number if name in convolutions else 0)
            for name, n in group_vector(model, mode.removesuffix(UNGATED)).items()
        }
        for mode, number in numbers.items()
    }


def _layer(model: "nn.Module", spec: "LayerSpec", modes: dict[str, dict[str, Setting]]) -> Layer:
    """A layer of the network."""
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
    if spec.kind == "linear":
        layer.bias, layer.logit_scale = integers.bias, integers.logit_scale
        return layer
    layer.mask, layer.when = decided_by(model, spec.name)
    with statistics(model, spec.name) as norm:
        norm.ungated = False
        layer.affine = {Setting(n): integers.affine(n, MODES[0]) for n in spec.group_counts}
        for mode, settings in modes.items():
            norm.ungated, uniform = mode.endswith(UNGATED), mode.removesuffix(UNGATED)
            if settings[spec.name] not in layer.affine:
                layer.affine[settings[spec.name]] = integers.affine(settings[spec.name].groups, uniform)
    return layer
