"""The gates and exits of a PyTorch model as layers of its layer graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import gcd
from typing import TYPE_CHECKING

import numpy as np

from flow.export.gate_groups import MOST, arrange, scheduled
from flow.graph.excite import Expand
from flow.graph.layers import MAP_SIZES, MAX, WEIGHT_MAX, Layer, Setting, shuffle_slots
from flow.models.integer_gates import EXCITED_WEIGHT, excite_integers, gate_integers, recurrent_integers
from flow.nn.dynamic_group import DynamicGroupConv2d

if TYPE_CHECKING:
    from torch import nn

    from flow.nn.batchnorm import SwitchableBatchNorm2d
    from flow.nn.gates.gating import BlockGates


def decided_by(model: "nn.Module", layer: str) -> tuple[str | None, str | None]:
    """(mask, when) of a convolution of the network: names of the gate layers that decide on its channels, and on it."""
    block, _, part = layer.rpartition(".")
    gates = _of_block(model, block)
    if gates is None or part not in ("conv1", "conv2"):
        return None, None
    return tuple(gate and _decision(model, gate) for gate in (getattr(gates, part), gates.layer))


def gates_before(model: "nn.Module", layer: str) -> Iterator[tuple[Layer, int]]:
    """Layers of the gates that stand before a layer of the network, each with its group count in every mode.

    Before a block come its gates, its layer gate first; the second convolution's own gate, which reads the first one's map, comes
    before that convolution.
    """
    block, _, part = layer.rpartition(".")
    gates = _of_block(model, block)
    if gates is None:
        return
    if layer == _first(model, block):
        if gates.layer:
            yield from [_step(model, gates.layer)] if _recurrent(model, gates.layer) else _gate(model, gates.layer)
        if gates.conv1:
            yield from _gate(model, gates.conv1, gates.layer)
    elif part == "conv2" and gates.conv2 and gates.conv2 != gates.conv1:
        yield from _gate(model, gates.conv2, gates.layer)


def _of_block(model: "nn.Module", block: str) -> "BlockGates | None":
    if model.gates is None or block not in {shape.name for shape in model.block_shapes()}:
        return None
    return model.gates.of_block(block)


def _first(model: "nn.Module", block: str) -> str:
    return next(spec.name for spec in model.layers() if spec.name.rpartition(".")[0] == block)


def _recurrent(model: "nn.Module", gate: str) -> bool:
    """Whether a gate is a step of the one that all blocks share."""
    return gate not in {name for name, _ in model.gates.named_modules()}


def _decision(model: "nn.Module", gate: str) -> str:
    """The layer of a gate that decides."""
    return f"gates.{gate}" if _recurrent(model, gate) else f"gates.{gate}.linear"


def _step(model: "nn.Module", gate: str) -> tuple[Layer, int]:
    """A step of the LSTM, on the block whose key the gate's name ends with."""
    name, _, key = gate.partition(".")
    source = next(shape.source for shape in model.block_shapes() if shape.key == key)
    project, rescale, lstm = recurrent_integers(model, name, source)
    layer = Layer(_decision(model, gate), "lstm", project.weight, input=source, bias=project.bias, rescale=rescale, lstm=lstm)
    return layer, 1


def _gate(model: "nn.Module", gate: str, when: str | None = None) -> Iterator[tuple[Layer, int]]:
    """The layers of one gate.

    Args:
        gate: its name among the network's gates; when: that of the layer gate without which it is not asked.
    """
    gates, when = model.exact_gate_layers(), when and _decision(model, when)
    specs = [spec for name, spec in gates.items() if name.startswith(f"gates.{gate}.")]
    source = next(spec for spec in model.layers() if spec.name == specs[0].input)
    slots = shuffle_slots(source.out_channels) if source.shuffle else np.arange(source.out_channels)
    if specs[0].max_pool:
        pool = _max_pool(f"gates.{gate}.pool", source.name, source.out_channels, source.out_size)
        pool.gate, pool.when = True, when
        yield pool, pool.group_counts[0]
    read = pool.name if specs[0].max_pool else source.name
    order, groups_of = _arrangement(model, specs)
    for spec in specs:
        if spec.name.endswith(".reduce"):
            continue
        if spec.name.endswith(".expand"):
            excite, applied = _excite(model, gates, spec.name.rpartition(".")[0], read, order, when)
            yield excite, 1
            yield applied, applied.group_counts[0]
            read = applied.name
            continue
        integers = gate_integers(model, gates, spec.name)
        weight = _ordered(integers.weight, order, spec, read != source.name)
        if read == source.name:
            weight[:, slots] = weight.copy()
        if spec.kind == "linear":
            yield Layer(spec.name, "gate", weight, input=read, bias=integers.bias, when=when), 1
        else:
            groups = groups_of.get(spec.name) or spec.group_counts[0]
            layer = _convolution(spec.name, weight, spec.stride, spec.in_size, groups, read)
            layer.gate, layer.when = True, when
            constants = tuple(table if order is None else table[order] for table in integers.affine(1))
            layer.affine, layer.pool = {Setting(groups): constants}, spec is specs[-2]
            yield layer, groups
        read = spec.name


def exit_after(model: "nn.Module", layer: str) -> Iterator[tuple[Layer, int]]:
    """Layers of the exit that branches off behind a layer of the network, each with its group count in every mode; none where there is
    none. A convolution has statistics of number 1 for modes without gates where the network was trained for both."""
    block, _, part = layer.rpartition(".")
    key = block.replace(".", "_")
    if part != "conv2" or key not in model.exits:
        return
    gates, exit = model.exact_gate_layers(), f"exits.{key}"
    source = next(spec for spec in model.layers() if spec.name == layer)
    read, size = layer, source.out_size
    for number in range(1, model.exits[key].pools + 1):
        pool = _max_pool(f"{exit}.pool{number}", read, source.out_channels, size)
        pool.exit = f"{exit}.classifier"
        yield pool, pool.group_counts[0]
        read, size = pool.name, size // 2
    for spec in (spec for spec in gates.values() if spec.name.startswith(f"{exit}.")):
        integers = gate_integers(model, gates, spec.name)
        if spec.kind == "linear":
            made = Layer(spec.name, "linear", integers.weight, input=read, bias=integers.bias, logit_scale=integers.logit_scale)
        else:
            made = _convolution(spec.name, integers.weight, spec.stride, spec.in_size, 1, read)
            made.pool = spec.name.endswith(".conv2")
            with statistics(model, spec.name) as norm:
                for number in range(1 + norm.separated):
                    norm.ungated = bool(number)
                    made.affine[Setting(1, number)] = integers.affine(1)
        made.exit = f"{exit}.classifier"
        yield made, 1
        read = spec.name


@contextmanager
def statistics(model: "nn.Module", name: str) -> Iterator["SwitchableBatchNorm2d"]:
    """The batch normalisation of a layer, which is as it was afterwards."""
    norm = model.get_submodule(name).norm
    before = norm.ungated
    try:
        yield norm
    finally:
        norm.ungated = before


def _arrangement(model, specs):
    """(order of the channels between a gate's convolutions or None for their own, group counts by name) where it has dynamic groups."""
    units = {spec.name: getattr(model.get_submodule(spec.name), "conv", None) for spec in specs}
    dynamic = {name: conv for name, conv in units.items() if isinstance(conv, DynamicGroupConv2d)}
    if not dynamic:
        return None, {}
    order, counts = arrange(*dynamic.values())
    return order, dict(zip(dynamic, counts, strict=True))


def _ordered(weight, order, spec, behind):
    """Weights of a layer of a gate whose maps have another order of channels; `behind`: it reads one of them."""
    if order is not None and spec.kind == "conv":
        weight = weight[order]
    return weight[:, order] if order is not None and behind else weight.copy()


def _excite(model, gates, name, source, order, when):
    """Squeeze-and-excitation of the map that the layer `source` of a gate makes: its factors, and the convolution that multiplies it."""
    reduce, rescale, expand, shift = excite_integers(model, gates, name)
    ordered = Expand(expand.weight[order], expand.bias[order], expand.rescale)
    layer = Layer(
        name, "excite", reduce.weight[:, order], input=source, bias=reduce.bias, rescale=rescale, expand=ordered, when=when
    )
    channels = len(order)
    weight = EXCITED_WEIGHT * np.eye(channels, dtype=np.int64)[:, :, None, None]
    applied = _convolution(f"{name}.output", weight, 1, gates[source].out_size, scheduled(channels, channels), source)
    applied.gate, applied.when = True, when
    applied.excite, applied.factor_shift = name, shift
    return layer, applied


def _convolution(name, weight, stride, size, groups, source):
    """A convolution of maps of `size` pixels; smaller maps than the engine stores lie at the upper left."""
    out = -(-size // stride)
    stored_in, stored = (max(side, MAP_SIZES[0]) for side in (size, out))
    valid = None if out == stored else (out, out)
    return Layer(name, "conv", weight, stride, stored_in, stored, (groups,), source, valid=valid)


def _max_pool(name: str, source: str, channels: int, size: int) -> Layer:
    """A 2x2 maximum, which the engine has behind a convolution only: behind one that leaves the map as it is, seven times every code
    by a seventh."""
    groups = scheduled(gcd(channels, MOST), channels)
    weight = WEIGHT_MAX * np.eye(channels, dtype=np.int64)[:, :, None, None]
    layer = _convolution(name, weight, 1, size, groups, source)
    half = size // 2
    layer.pool2, layer.out_size = MAX, max(half, MAP_SIZES[0])
    layer.valid = None if half == layer.out_size else (half, half)
    layer.affine = {Setting(groups): (np.full(channels, 1 / WEIGHT_MAX, np.float32), np.zeros(channels, np.float32))}
    return layer
