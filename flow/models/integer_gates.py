"""Gates and exits in the integers of the hardware (docs/decisions/020): convolutions as the network's, sums of pixels, linear layers with 8-bit
weights and integer bias, and decisions that compare an integer with zero."""

from collections.abc import Mapping
from math import log2
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flow.graph.excite import Expand, excited, factors
from flow.graph.layers import ACTIVATION_MAX, Layer
from flow.graph.lstm import FRACTION, ONE, Lstm, Rescale
from flow.models.integer import IntegerConv, IntegerGate, IntegerLinear, convolve_exactly, requantise
from flow.nn.gates.decision import ByProbability, where_executed
from flow.nn.spec import LayerSpec

EXCITED_WEIGHT = 4
"""Of the convolution that leaves a map as it is while factors multiply it: a power of two, with which the shift is one that the engine has."""


def gate_integers(model: nn.Module, gates: Mapping[str, LayerSpec], name: str) -> IntegerConv | IntegerLinear:
    """The integers of a gate's layer, or an exit's.

    Args:
        model: a ``Network``; gates: its ``exact_gate_layers``.
    """
    spec, unit = gates[name], model.get_submodule(name)
    if spec.kind == "conv":
        return IntegerConv(unit.conv, unit.norm, map_scale(model, gates, spec.input), unit.activation.scale)
    if name.endswith((".reduce", ".expand")):
        return IntegerLinear(unit, _input_scale(model, gates, spec))
    source = gates.get(spec.input) or next(layer for layer in model.layers() if layer.name == spec.input)
    unit_scale = map_scale(model, gates, spec.input) / source.out_size**2
    if name.startswith("exits."):
        return IntegerLinear(unit, unit_scale)
    return IntegerGate(unit, unit_scale, model.gates.threshold)


def excite_integers(model: nn.Module, gates: Mapping[str, LayerSpec], name: str) -> tuple[IntegerLinear, Rescale, Expand, int]:
    """Hidden units of a gate's squeeze-and-excitation, from sums, their rescaling to codes, what makes factors of these, and the shift of
    what multiplies ``EXCITED_WEIGHT`` times the codes of its map by them.

    Args:
        model: a ``Network``; gates: its ``exact_gate_layers``; name: of its ``SqueezeExcite``.
    """
    unit, source = model.get_submodule(name), gates[f"{name}.reduce"].input
    reduce, expand = (gate_integers(model, gates, f"{name}.{part}") for part in ("reduce", "expand"))
    ratio = log2(map_scale(model, gates, source) / unit.output.scale / EXCITED_WEIGHT)  # a whole number: scales are powers of two
    made = Expand(expand.weight, expand.bias, Rescale.of(expand.logit_scale * ONE))
    return reduce, Rescale.of(reduce.logit_scale / unit.hidden.scale), made, FRACTION - round(ratio)


def _input_scale(model, gates, spec):
    """One unit of what a linear layer of squeeze-and-excitation reads: sums, or codes of hidden units."""
    if spec.name.endswith(".expand"):
        return model.get_submodule(spec.name.rpartition(".")[0]).hidden.scale
    return map_scale(model, gates, spec.input) / gates[spec.input].out_size ** 2


def recurrent_integers(model: nn.Module, name: str, source: str) -> tuple[IntegerLinear, Rescale, Lstm]:
    """The projection of the map that layer ``source`` makes, from its sums to units of 1/256, and the LSTM behind it.

    Args:
        model: a ``Network``; name: of its ``LayerGate`` among its gates.
    """
    gate, spec = model.gates.get_submodule(name), next(spec for spec in model.layers() if spec.name == source)
    project = IntegerLinear(getattr(gate, f"project{spec.out_channels}"), model.output_scale(source) / spec.out_size**2)
    lstm, output = IntegerLinear(gate.lstm, 1 / ONE), IntegerGate(gate.output, 1 / ONE, model.gates.threshold)
    rescale = Rescale.of(lstm.logit_scale * ONE)
    return (
        project,
        Rescale.of(project.logit_scale * ONE),
        Lstm(lstm.weight, lstm.bias, rescale, output.weight[0], int(output.bias[0])),
    )


def map_scale(model: nn.Module, gates: Mapping[str, LayerSpec], source: str) -> float:
    """One unit of the map that a layer of the network or of a gate makes."""
    if source.endswith(".excite.expand"):
        return model.get_submodule(source.rpartition(".")[0]).output.scale
    return model.get_submodule(source).activation.scale if source in gates else model.output_scale(source)


class ByIntegers:
    """Lets the gates of a network decide by integers, and its exits compute with them (a ``Judge``); gates that have none decide by
    probabilities.

    Args:
        model: a ``Network``.
        stations: filled with the output of every gate's layer by its name, int64: maps [N, C, H, W] and decisions [N, K]; zeros
            for images that the gate does not run for. None: not.
    """

    soft = False

    def __init__(self, model: nn.Module, stations: dict[str, np.ndarray] | None = None):
        self.model, self.stations = model, stations
        self.gates = model.exact_gate_layers()
        self.others = ByProbability(model.gates, soft=False)

    def exit(self, name: str, x: Tensor) -> Tensor:
        """See ``Judge``; the logits are real ones, integers times their scale."""
        specs = [spec for spec in self.gates.values() if spec.name.startswith(f"exits.{name}.")]
        made = self.model.exits[name].prepare(x / map_scale(self.model, self.gates, specs[0].input))
        for spec in specs:
            made = self._layer(spec, made)
            if self.stations is not None:
                self.stations[spec.name] = made.cpu().numpy().astype(np.int64)
        return (made * gate_integers(self.model, self.gates, specs[-1].name).logit_scale).float()

    def __call__(self, name: str, x: Tensor, executed: Tensor | None = None) -> Tensor:
        """See ``Judge``."""
        prefix = f"gates.{name}."
        specs = [spec for spec in self.gates.values() if spec.name.startswith(prefix)]
        if not specs:
            return self.others(name, x, executed)
        made = x / map_scale(self.model, self.gates, specs[0].input)  # a power of two: integers again
        made = self.model.get_submodule(f"gates.{name}").prepare(made)
        for spec in specs:
            made = (
                self._layer(spec, made)
                if executed is None
                else where_executed(executed, made, lambda runs: self._layer(spec, runs))
            )
            if self.stations is not None and not spec.name.endswith(".reduce"):
                station = spec.name.replace(".excite.expand", ".excite.output")
                self.stations[station] = made.cpu().numpy().astype(np.int64)
        return made

    def recurrent(self, name: str, block: str, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See ``Judge``."""
        source = next(shape.source for shape in self.model.gates.blocks.values() if shape.key == block)
        project, rescale, lstm = recurrent_integers(self.model, name, source)
        sums = (x / self.model.output_scale(source)).sum((2, 3)).double().cpu().numpy().astype(np.int64)
        decisions, state = lstm.step(rescale(sums @ project.weight.T + project.bias), state or lstm.start(len(sums)))
        if self.stations is not None:
            self.stations[f"gates.{name}.{block}"] = decisions.astype(np.int64)
        return torch.from_numpy(decisions[:, 0]).to(x), state

    def _layer(self, spec: LayerSpec, x: Tensor) -> Tensor:
        if spec.name.endswith(".reduce"):
            return x  # with what it makes factors for
        if spec.name.endswith(".expand"):
            return self._excited(spec.name.rpartition(".")[0], x)
        integers = gate_integers(self.model, self.gates, spec.name)
        if spec.kind == "conv":
            acc = convolve_exactly(self.model.get_submodule(spec.name).conv, x, integers.weight)
            return requantise(acc, *integers.affine(1))
        sums = x.sum((2, 3)).double()
        weight, bias = (torch.from_numpy(value).to(sums) for value in (integers.weight, integers.bias))
        made = sums @ weight.t() + bias
        return (made >= 0).to(x) if isinstance(integers, IntegerGate) else made

    def _excited(self, name, x):
        reduce, rescale, expand, shift = excite_integers(self.model, self.gates, name)
        layer = Layer(name, "excite", reduce.weight, bias=reduce.bias, rescale=rescale, expand=expand)
        codes = x.cpu().numpy().astype(np.int64)
        made = factors(layer, codes.sum(axis=(2, 3)))
        if self.stations is not None:
            self.stations[name] = made
        return torch.from_numpy(np.clip(excited(EXCITED_WEIGHT * codes, made, shift), 0, ACTIVATION_MAX)).to(x)
