"""Integer-exact execution of a layer graph in numpy: the reference that the hardware must equal.

Accumulators are computed by floating-point BLAS, which is exact here: every partial sum is an integer below
2^24 (float32) or 2^53 (float64), whichever the layer's weights demand.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from flow.errors import GatefoldError
from flow.graph.excite import excited, factors
from flow.graph.layers import ACTIVATION_MAX, IMAGE, MAX, SUM, SUM_VALUES, Layer, LayerGraph, Setting, shuffle_slots


@dataclass
class Result:
    """What one run of the network leaves behind, for N images.

    Attributes:
        stations: layer name -> its stored output: uint8 [N, C, H, W] in channel slots (after the shuffle);
            for a pooling layer the sums int64 [N, C]; for the classifier the logits int64 [N, K]; for a gate its decisions.
            Layers that the mode does not run are absent, what a decision skips is there as the layers behind see it.
        logits: int64 [N, K].
        exit_logits: name of an exit's classifier -> int64 [N, K], in the order of the exits; where a frame stops is `flow.graph.exits`' matter.
        classes: int64 [N], the lowest index among the largest logits; `LayerGraph.class_order` may rename it.
        decisions: gate's name -> uint8 [N, K] of 0 and 1; empty where the mode runs no gates.
    """

    stations: dict[str, np.ndarray]
    logits: np.ndarray
    classes: np.ndarray
    decisions: dict[str, np.ndarray]
    exit_logits: dict[str, np.ndarray]


Requantise = Callable[[Layer, Setting, np.ndarray], np.ndarray]
"""(layer, setting, accumulators [N, Co, H, W]) -> levels before the clamp."""


def accumulate(layer: Layer, groups: int, inputs: np.ndarray) -> np.ndarray:
    """Accumulators of a convolution.

    Args:
        inputs: integers [N, Ci, H, W], not negative.

    Returns:
        int64 [N, Co, Ho, Wo].
    """
    count, _, size, _ = inputs.shape
    weight = layer.group_weight(groups)
    _, per_out, per_in, kernel, _ = weight.shape
    exact_in_float32 = np.abs(weight).sum(axis=(2, 3, 4)).max() * layer.input_max < 1 << 24
    dtype = np.float32 if exact_in_float32 else np.float64
    pad = kernel // 2
    padded = np.zeros((layer.in_channels, count, size + 2 * pad, size + 2 * pad), dtype)
    padded[:, :, pad : pad + size, pad : pad + size] = inputs.transpose(1, 0, 2, 3)
    out_size = (size - 1) // layer.stride + 1
    span = layer.stride * (out_size - 1) + 1
    columns = np.empty((layer.in_channels, kernel * kernel, count, out_size, out_size), dtype)
    for y in range(kernel):
        for x in range(kernel):
            columns[:, y * kernel + x] = padded[:, :, y : y + span : layer.stride, x : x + span : layer.stride]
    columns = columns.reshape(groups, per_in * kernel * kernel, -1)
    sums = weight.reshape(groups, per_out, -1).astype(dtype) @ columns
    sums = sums.reshape(layer.out_channels, count, out_size, out_size).transpose(1, 0, 2, 3)
    return np.rint(sums).astype(np.int64)


def rounded(acc: Any, scale: Any, offset: Any) -> Any:
    """round_half_even(fl(fl(acc·A) + B)): float32 arrays that broadcast against each other, of numpy or of PyTorch."""
    return (acc * scale + offset).round()


def affine_round(acc: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """`rounded` of integer accumulators, int64."""
    return rounded(acc.astype(np.float32), np.asarray(scale, np.float32), np.asarray(offset, np.float32)).astype(np.int64)


def affine(layer: Layer, setting: Setting, acc: np.ndarray) -> np.ndarray:
    """The float definition of requantisation for accumulators [N, Co, H, W]."""
    scale, offset = layer.affine[setting]
    return affine_round(acc, scale[:, None, None], offset[:, None, None])


def levels(layer: Layer, setting: Setting, acc: np.ndarray) -> np.ndarray:
    """The definition of requantisation, before the clamp, for accumulators [N, Co, H, W]: by thresholds where the layer has
    them, else by the float definition."""
    if not layer.thresholds:
        return affine(layer, setting, acc)
    out = np.empty_like(acc)
    for channel, steps in enumerate(layer.thresholds[setting]):
        out[:, channel] = np.searchsorted(steps, acc[:, channel], side="right")
    return out + layer.level_range[0]


def finish(layer: Layer, level: np.ndarray, residual: np.ndarray | None = None, kept: np.ndarray | None = None) -> np.ndarray:
    """From levels [N, Co, H, W] to the stored map, uint8 [N, Co, out_size, out_size]: clamp, residual, table, 2×2 pool, dropped
    channels, valid pixels, shuffle.

    Args:
        residual: codes [N, Co, H, W] of the map that is added.
        kept: bool [N, Co], which outputs are computed; of the others the residual's code is stored, or zero. None: all.
    """
    out = np.clip(level, *layer.level_range)
    if residual is not None:
        residual = residual.astype(np.int64)
        out = out + (residual if layer.residual_table is None else layer.residual_table[residual])
    if layer.pool2 == SUM:
        out = _windows(out).sum(axis=(3, 5))
    out = np.clip(out, 0, ACTIVATION_MAX) if layer.sum_table is None else layer.sum_table[out % SUM_VALUES]
    if layer.pool2 == MAX:
        out = _windows(out).max(axis=(3, 5))
    if kept is not None:
        out = np.where(kept[:, :, None, None], out, 0 if residual is None else residual)
    stored = np.zeros((*out.shape[:2], layer.out_size, layer.out_size), np.uint8)
    height, width = layer.valid or out.shape[2:]
    slots = shuffle_slots(layer.out_channels) if layer.shuffle else np.arange(layer.out_channels)
    stored[:, slots, :height, :width] = out[:, :, :height, :width]
    return stored


def _windows(maps):
    """[N, C, H, W] as 2×2 windows [N, C, H/2, 2, W/2, 2]."""
    count, channels, height, width = maps.shape
    return maps.reshape(count, channels, height // 2, 2, width // 2, 2)


def run(
    graph: LayerGraph,
    images: np.ndarray,
    mode: str,
    requantise: Requantise = levels,
    forced: dict[str, np.ndarray] | None = None,
) -> Result:
    """Run a batch of images.

    Args:
        graph: LayerGraph.
        images: uint8 [N, colours, height, width].
        mode: name of one of the graph's modes.
        requantise: function (layer, setting, acc [N, Co, H, W]) -> levels before the clamp; the definition unless given
            (`flow.engine.requant` has the hardware's integer one).
        forced: gate's name -> its decisions, 0 or 1, [N, K] or [K] for all images, in place of those that it would take; where a
            layer gate does not let it run they are 0 all the same. A step of an LSTM that is forced is left out. The hardware forces
            all gates or none, so there its state does not matter then.

    Returns:
        Result.

    Raises:
        GatefoldError: the images do not fit, there is no such mode, or decisions are forced that it has no gates for.
    """
    return run_planes(graph, planes(graph, images), mode, requantise, forced)


def planes(graph: LayerGraph, images: np.ndarray) -> np.ndarray:
    """What the first layer reads of images, uint8 [N, colours, height, width] -> uint8 [N, planes, in_size, in_size]."""
    images = np.asarray(images)
    first = graph.layers[0]
    shape = (first.in_channels, first.in_size, first.in_size)
    if graph.image:
        shape = (graph.image.colours, *graph.image.size)
    if images.dtype != np.uint8 or images.shape[1:] != shape:
        raise GatefoldError(
            f"{graph.name} takes uint8 images of shape {shape}, not {images.dtype} {images.shape[1:]}; convert them first"
        )
    return graph.image.planes(images, first.in_size) if graph.image else images


def picture_frames(graph: LayerGraph, pictures: np.ndarray) -> np.ndarray:
    """What the accelerator reads of pictures, uint8 [N, height, width, colours] -> uint8 [N, in_size, in_size, planes]."""
    return planes(graph, np.asarray(pictures).transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)


def run_planes(
    graph: LayerGraph,
    planes: np.ndarray,
    mode: str,
    requantise: Requantise = levels,
    forced: dict[str, np.ndarray] | None = None,
) -> Result:
    """As `run`, from the planes that the first layer reads, uint8 [N, planes, in_size, in_size] (see `ImageInput`)."""
    settings = {layer.name: graph.setting(mode, layer) for layer in graph.layers}
    forced = _forced(graph, mode, forced or {}, len(planes))
    stations = run_layers(graph.executed(mode, forced), settings, planes, requantise, forced, mode not in graph.ungated)
    del stations[IMAGE]
    for gate in graph.gates:
        if gate.name in forced and gate.when:
            stations[gate.name] = stations[gate.name] * stations[gate.when]
    decisions = {} if mode in graph.ungated else {gate.name: stations[gate.name] for gate in graph.gates}
    logits = stations[graph.layers[-1].name]
    exits = {exit.name: stations[exit.name] for exit in graph.exits}
    return Result(stations, logits, logits.argmax(axis=1), decisions, exits)


def _forced(graph, mode, forced, count):
    """Given decisions as uint8 [N, K], by their gates."""
    if forced and mode in graph.ungated:
        raise GatefoldError(f"mode {mode} of {graph.name} runs no gates; force decisions in another mode")
    names, complete = [gate.name for gate in graph.gates], {}
    for name, given in forced.items():
        if name not in names:
            raise GatefoldError(f"{graph.name} has no gate {name!r}; it has {', '.join(names) or 'none'}")
        given, width = np.asarray(given), graph[name].decisions
        if given.shape not in ((width,), (count, width)):
            raise GatefoldError(
                f"decisions of shape {given.shape} are forced on gate {name} of {graph.name}; give {width} for all images, or {count} times {width}"
            )
        if not np.isin(given, (0, 1)).all():
            raise GatefoldError(f"decisions forced on gate {name} of {graph.name} are 0 or 1, not {given.max()}")
        complete[name] = np.broadcast_to(given, (count, width)).astype(np.uint8)
    return complete


def run_layers(
    layers: list[Layer],
    settings: dict[str, Setting],
    images: np.ndarray,
    requantise: Requantise,
    decisions: Mapping[str, np.ndarray] | None = None,
    gated: bool = True,
) -> dict[str, np.ndarray]:
    """Run layers in order, each with its setting in the mode; returns the stations, the images among them.

    Args:
        decisions: of gates that are not among the layers, uint8 [N, K].
        gated: whether masks and skipped layers count.
    """
    stations, state = {IMAGE: images, **(decisions or {})}, None
    for layer in layers:
        inputs = stations[layer.input]
        mask, when = (stations[name] if gated and name else None for name in (layer.mask, layer.when))
        if layer.kind == "conv":
            residual = stations[layer.residual] if layer.residual else None
            made = stations[layer.excite] if layer.excite else None
            stations[layer.name] = convolve(layer, settings[layer.name], inputs, residual, mask, when, requantise, made)
        elif layer.kind == "gate":
            stations[layer.name] = decide(layer, inputs, when)
        elif layer.kind == "lstm":
            projected = layer.rescale(multiply(layer, inputs))
            stations[layer.name], state = layer.lstm.step(projected, state or layer.lstm.start(len(images)))
        elif layer.kind == "excite":
            stations[layer.name] = factors(layer, pixel_sums(inputs))
        else:
            stations[layer.name] = multiply(layer, inputs)
    return stations


def convolve(
    layer: Layer,
    setting: Setting,
    inputs: np.ndarray,
    residual: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    when: np.ndarray | None = None,
    requantise: Requantise = levels,
    factor: np.ndarray | None = None,
) -> np.ndarray:
    """Station of a convolution.

    Args:
        inputs, residual: stored maps [N, C, H, W].
        mask: [N, Co], and when: [N, 1], what is computed, 0 or 1; None: all.
        factor: [N, Co], of a layer with `excite`.
    """
    if mask is None and when is not None:
        mask = np.ones((1, layer.out_channels))
    kept = None if mask is None else (mask if when is None else mask * when).astype(bool)
    acc = accumulate(layer, setting.groups, inputs)
    level = excited(acc, factor, layer.factor_shift) if layer.excite else requantise(layer, setting, acc)
    out = finish(layer, level, residual, kept)
    return out.sum(axis=(2, 3), dtype=np.int64) if layer.pool else out


def multiply(layer: Layer, inputs: np.ndarray) -> np.ndarray:
    """weight @ sums + bias of a classifier or gate, int64 [N, K]; of a map [N, C, H, W] it takes the sums over the pixels."""
    return pixel_sums(inputs) @ layer.weight.T + layer.bias


def pixel_sums(inputs: np.ndarray) -> np.ndarray:
    """Sums over the pixels, int64 [N, C], of a map [N, C, H, W] or of sums."""
    return inputs.sum(axis=(2, 3), dtype=np.int64) if inputs.ndim == 4 else inputs.astype(np.int64)


def decide(layer: Layer, inputs: np.ndarray, when: np.ndarray | None = None) -> np.ndarray:
    """Decisions of a gate, uint8 [N, K]; all 0 where `when` [N, 1] is."""
    decisions = (multiply(layer, inputs) >= 0).astype(np.uint8)
    return decisions if when is None else decisions * when.astype(np.uint8)
