"""What gates may decide: the checks of a layer graph's gates, masks and skipped layers."""

from typing import TYPE_CHECKING

import numpy as np

from flow.errors import GatefoldError

if TYPE_CHECKING:
    from flow.graph.layers import Layer, LayerGraph

WEIGHT_MAX = 127
"""Of a gate, in magnitude."""


def check_gates(graph: "LayerGraph") -> None:
    """Raise GatefoldError, naming the layer, where gates and what they decide contradict each other."""
    unknown = sorted(graph.ungated - set(graph.modes))
    if unknown:
        raise GatefoldError(f"{graph.name} has no mode {unknown[0]!r} to run without gates; it has {', '.join(graph.modes)}")
    seen = {}
    for layer in graph.layers:
        where = f"layer {layer.name} of {graph.name}"
        _check_reads(layer, where, seen)
        if layer.decisions:
            _check_gate(layer, where)
        if layer.kind == "lstm":
            _check_lstm(layer, where, seen)
        if layer.kind == "excite":
            _check_excite(layer, where)
        if layer.excite:
            _check_excited(layer, where, seen.get(layer.excite))
        if layer.kind != "conv" and (layer.mask or layer.gate):
            raise GatefoldError(f"{where} has a mask or belongs to a gate, which only a convolution can; leave that out")
        if layer.kind == "linear" and layer.when:
            raise GatefoldError(f"{where} is a classifier, which always runs; leave out its {layer.when}")
        for role, name, outputs in (("masked", layer.mask, layer.out_channels), ("skipped", layer.when, 1)):
            if name is not None:
                _check_decision(graph, where, role, name, outputs, seen)
        if layer.mask or layer.when:
            _check_dropped(graph, layer, where)
        seen[layer.name] = layer
    _check_readers(graph)


def _check_reads(layer: "Layer", where: str, seen: dict[str, "Layer"]) -> None:
    """Convolutions read and add maps, classifiers and gates read the sums of a convolution."""
    if layer.kind != "conv" and layer.input not in seen:
        raise GatefoldError(f"{where} reads {layer.input}; a {layer.kind} layer reads the sums of a convolution")
    for name in (layer.input, layer.residual):
        source = seen.get(name)
        if source is None:
            continue
        if source.kind != "conv":
            raise GatefoldError(f"{where} reads {name}, a {source.kind} layer, which makes no map; read a convolution")
        if layer.kind == "conv" and source.pool:
            raise GatefoldError(f"{where} reads the map of {name}, of which only the sums are kept; read another layer")


def _check_gate(layer: "Layer", where: str) -> None:
    if layer.bias is None or layer.weight.ndim != 2 or layer.bias.shape != layer.weight.shape[:1]:
        raise GatefoldError(f"{where} needs weights [decisions, channels] and a bias for each decision")
    if np.abs(layer.weight).max() > WEIGHT_MAX:
        raise GatefoldError(f"{where} has weights up to {np.abs(layer.weight).max()}; a gate's are {-WEIGHT_MAX} to {WEIGHT_MAX}")


def _check_lstm(layer: "Layer", where: str, seen: dict[str, "Layer"]) -> None:
    """One LSTM for the whole graph, which no decision skips: every step is one of its state."""
    if layer.lstm is None or layer.rescale is None or layer.lstm.hidden != layer.out_channels:
        raise GatefoldError(f"{where} needs an LSTM of {layer.out_channels} hidden units and a rescaling")
    if layer.when:
        raise GatefoldError(f"{where} is a step of an LSTM, which always runs; leave out its {layer.when}")
    other = next((each for each in seen.values() if each.kind == "lstm" and not each.lstm.same(layer.lstm)), None)
    if other is not None:
        raise GatefoldError(f"{where} has another LSTM than {other.name}; give all steps the same")


def _check_excite(layer: "Layer", where: str) -> None:
    shape = (layer.in_channels, layer.out_channels)
    if layer.expand is None or layer.rescale is None or layer.bias is None or layer.expand.weight.shape != shape:
        raise GatefoldError(f"{where} needs a rescaling, and weights [{shape[0]}, {shape[1]}] from its hidden units to factors")
    if max(np.abs(layer.weight).max(), np.abs(layer.expand.weight).max()) > WEIGHT_MAX:
        raise GatefoldError(f"{where} has weights beyond {WEIGHT_MAX}, which a gate's are not")
    if layer.when:
        raise GatefoldError(f"{where} makes factors in every frame; leave out its {layer.when}")


def _check_excited(layer: "Layer", where: str, source: "Layer | None") -> None:
    """A convolution of a gate whose levels nothing but factors make."""
    if source is None or source.kind != "excite":
        raise GatefoldError(f"{where} is multiplied by {layer.excite}, which is no excite layer before it; reorder the layers")
    if source.in_channels != layer.out_channels:
        raise GatefoldError(
            f"{where} has {layer.out_channels} channels and {source.name} {source.in_channels} factors; fix the model"
        )
    own = layer.residual or layer.pool2 or layer.clamp or layer.sum_table is not None or layer.affine or layer.thresholds
    if layer.kind != "conv" or not layer.gate or layer.when or own:
        raise GatefoldError(f"{where} is multiplied by factors; it is a convolution of a gate with nothing else behind it")


def _check_decision(graph: "LayerGraph", where: str, role: str, name: str, outputs: int, seen: dict[str, "Layer"]) -> None:
    """A gate that comes before, and decides on as many things as there are."""
    if name not in graph or not graph[name].decisions:
        gates = ", ".join(gate.name for gate in graph.gates) or "none"
        raise GatefoldError(f"{where} is {role} by {name}, which is no gate; the gates are {gates}")
    if name not in seen:
        raise GatefoldError(f"{where} is {role} by {name}, which does not come before it; reorder the layers")
    decisions = graph[name].decisions
    if decisions != outputs:
        raise GatefoldError(
            f"{where} is {role} by {name}, which decides on {decisions} things, and there are {outputs}; give it a gate that fits"
        )


def _check_dropped(graph: "LayerGraph", layer: "Layer", where: str) -> None:
    """What is left of a dropped output has to mean the same to who reads it."""
    if layer.residual is None:
        adding = next((other.name for other in graph.layers if other.residual == layer.name), None)
        if adding:
            raise GatefoldError(
                f"{where} may be dropped without leaving anything behind, and {adding} adds it; give it a residual of its own"
            )
    elif layer.residual_table is not None or layer.sum_table is not None or layer.pool2:
        raise GatefoldError(
            f"{where} keeps codes of {layer.residual} where it is dropped; leave out its tables and its pool, which change what a code is worth"
        )


def _check_readers(graph: "LayerGraph") -> None:
    """What belongs to a gate has no other readers, and has some."""
    for layer in graph.layers:
        if not layer.gate and layer.kind != "excite":
            continue
        readers = [other for other in graph.layers if layer.name in (other.input, other.residual, other.excite)]
        other = next((each.name for each in readers if not each.decides), None)
        where = f"layer {layer.name} of {graph.name}"
        if other:
            raise GatefoldError(
                f"{where} belongs to a gate and {other}, which runs without gates too, reads it; read another layer"
            )
        if not readers:
            raise GatefoldError(f"{where} belongs to a gate and none reads it; leave it out")
