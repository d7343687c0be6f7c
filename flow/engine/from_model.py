"""The layer graph of a PyTorch model."""

from flow.engine.graph import Layer, LayerGraph
from flow.nn.modes import MODES, group_vector


def layer_graph(model, modes=None):
    """LayerGraph of a quantised network of `flow.models`, with its five named modes and the given ones after them.

    Args:
        modes: mode name -> {layer name: group count}.
    """
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
            layer.affine = {n: integers.affine(n) for n in spec.group_counts}
        else:
            layer.bias, layer.logit_scale = integers.bias, integers.logit_scale
        layers.append(layer)
    return LayerGraph(model.name, layers, {mode: group_vector(model, mode) for mode in MODES} | (modes or {}))
