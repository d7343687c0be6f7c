"""The memory plan: where every feature map, kernel and requantisation entry of a graph lies.

Feature memory X carries the residual stream in two regions: a convolution that ends a block writes in place
over the map it adds, and where the map's shape changes the shortcut writes the other region. Feature memory M
carries the inside of a block, and behind it two buffers for images. Layers that neither add nor are added alternate
between M and X. The maps' layout in the row banks is in `map_words`.
"""

from dataclasses import dataclass, replace

import numpy as np

from flow.engine.config import EngineConfig
from flow.engine.interface import load_interface
from flow.errors import GatefoldError
from flow.graph.layers import ACTIVATION_MAX, IMAGE

X, M = 0, 1
IMAGE_BUFFER_WORDS = 12
MAP_SIZES = (8, 16, 32)
NIBBLE_CHANNELS = 6
CLASSES = range(2, 256)
"""Classes that the engine tells apart: the register `config` counts them in 8 bits, and one class has no bias address."""
MODES = 255
"""Modes of an engine at most: a frame's mode is a byte."""
WEIGHT_MAX = 7


@dataclass(frozen=True)
class Place:
    """A feature map: memory X (0) or M (1) and its first word in every bank."""

    memory: int
    base: int


@dataclass
class Plan:
    """Addresses of everything, and the engine that they need.

    Attributes:
        config: EngineConfig with depths, layers, modes and classes filled in.
        maps: layer name -> Place of its output; None for pooled outputs and logits.
        residuals: layer name -> Place of the map that it adds, for those that add one.
        weights: layer name -> first word in the weight memory (of the classifier: in the vector unit's).
        requants: (layer name, setting in a mode) -> first requantisation entry.
    """

    config: EngineConfig
    maps: dict
    residuals: dict
    weights: dict
    requants: dict


def map_words(channels, size):
    """Words that a map takes in each of the 16 row banks.

    A word is one row of one channel, 32 nibbles. Row r of channel c lies, for size 32, in bank r % 16 at word
    2·c + r // 16; for size 16 in bank r at word c; for size 8 in bank r + 8·(c % 2) at word c // 2.
    """
    return {32: 2 * channels, 16: channels, 8: -(-channels // 2)}[size]


def _refuse(layer, why):
    raise GatefoldError(f"layer {layer.name} {why}")


def check_classes(name, count):
    """Raise GatefoldError where the engine cannot run a classifier of so many classes."""
    if count not in CLASSES:
        raise GatefoldError(
            f"The engine tells {CLASSES[0]} to {CLASSES[-1]} classes apart and {name} has {count}; train it on data with as many."
        )


def _check_supported(graph):
    check_classes(graph.name, graph.classes)
    if len(graph.modes) > MODES:
        raise GatefoldError(f"{graph.name} has {len(graph.modes)} modes and the engine holds {MODES}; name fewer with --modes.")
    if len(graph.modes) == 1 and any(graph.used_groups(layer) != [1] for layer in graph.layers):
        raise GatefoldError(
            f"{graph.name} with {next(iter(graph.modes))} as its only mode: an engine for one mode has no group logic; "
            "add another mode or choose full."
        )
    by_name = {layer.name: layer for layer in graph.layers}
    for index, layer in enumerate(graph.layers):
        last = index == len(graph.layers) - 1
        if (layer.kind == "linear") != last:
            _refuse(layer, "is out of place: the engine runs convolutions and then one linear layer; reorder the model")
        if layer.kind == "linear":
            source = by_name.get(layer.input)
            if source is None or not source.pool:
                _refuse(layer, "needs a global pool before it; pool its input")
            continue
        if layer.kernel not in (1, 3):
            _refuse(layer, f"has a {layer.kernel}x{layer.kernel} kernel; the engine does 3x3 and 1x1")
        _check_features(layer, graph.image)
        if layer.out_size not in MAP_SIZES or layer.in_size not in MAP_SIZES:
            _refuse(layer, f"makes {layer.out_size}x{layer.out_size} maps; the engine does 32, 16 and 8")
        if layer.stride not in (1, 2) or layer.in_size != layer.stride * layer.out_size:
            _refuse(layer, f"has stride {layer.stride}; the engine does 1, and 2 from 32 to 16 and from 16 to 8")
        if layer.pool and layer.out_size != 8:
            _refuse(layer, f"pools a {layer.out_size}x{layer.out_size} map; the engine pools 8x8")
        if layer.input == IMAGE and (layer.in_channels, layer.in_size, layer.stride) != (3, 32, 1):
            _refuse(layer, "reads the image; the engine takes 3 channels of 32x32 at stride 1")
        if layer.input == IMAGE and (index != 0 or graph.used_groups(layer) != [1]):
            _refuse(layer, "reads the image; only the first layer may, with one group")
        if layer.input != IMAGE and by_name[layer.input].pool:
            _refuse(layer, "follows a global pool; only the classifier may")
        if layer.pool and graph.layers[index + 1].kind != "linear":
            _refuse(layer, "pools before the last convolution; pool only before the classifier")


def _check_features(layer, image):
    """Refuse what the definition of a layer has and the engine's hardware lacks."""
    if layer.residual_table is not None:
        _refuse(
            layer,
            "adds branches of different scales; the engine adds codes as they are: give the quantiser before the addition 5 bits "
            "(narrow) and the scale of both the shortcut's and the sum's QuantReLU",
        )
    if layer.pool2:
        _refuse(layer, "is followed by a 2x2 pool; the engine has none: use a convolution of stride 2")
    if layer.sum_table is not None:
        _refuse(layer, "is quantised twice; the engine quantises once: leave out one of the quantisers")
    if layer.level_range != ((0, ACTIVATION_MAX) if layer.residual is None else (-ACTIVATION_MAX, ACTIVATION_MAX)):
        _refuse(
            layer,
            f"has levels {layer.level_range[0]} to {layer.level_range[1]}; the engine makes 0 to 15: use activations of 4 bits",
        )
    if layer.valid is not None:
        _refuse(layer, f"makes a map of {layer.valid[0]}x{layer.valid[1]}; the engine does 32x32, 16x16 and 8x8")
    if max(layer.weight.max(), -1 - layer.weight.min()) > WEIGHT_MAX:
        _refuse(layer, f"has weights from {layer.weight.min()} to {layer.weight.max()}; the engine does 4 bits")
    if layer.input == IMAGE and image is not None and not (image.table == np.arange(len(image.table))[:, None]).all():
        _refuse(
            layer, "reads an image that is not quantised to its own pixels; use an unsigned quantiser of 8 bits with scale 1/255"
        )


def _place_maps(graph):
    """(maps, residuals, words of a stream region of X, words of M)."""
    last_use = {}
    for index, layer in enumerate(graph.layers):
        for source in (layer.input, layer.residual):
            last_use[source] = index
    added = {layer.residual for layer in graph.layers if layer.residual}
    streams, inner = ((X, 0), (X, 1)), (M, 0)
    owners, regions, adding = dict.fromkeys((*streams, inner)), {}, {}

    for index, layer in enumerate(graph.layers):
        if layer.kind == "linear" or (layer.pool and not layer.residual):
            continue
        if layer.residual:
            region, other = regions.get(layer.residual), graph[layer.residual]
            same = (other.out_channels, other.out_size) == (layer.out_channels, layer.out_size)
            if region not in streams or not same:
                _refuse(layer, f"adds {layer.residual}, whose map has another shape; add maps of one shape")
            if last_use[layer.residual] > index:
                _refuse(layer, f"overwrites {layer.residual}, which a later layer reads; add it in the later layer")
            if regions.get(layer.input) != inner:
                _refuse(layer, "adds to a map while it reads from the residual stream; put a convolution before it")
            adding[layer.name] = region
        else:
            choice = streams if layer.name in added or layer.input == IMAGE else (inner, *streams)
            free = [at for at in choice if owners[at] is None or last_use.get(owners[at], -1) < index]
            if not free:
                _refuse(
                    layer,
                    "finds no free feature memory: the engine holds two residual maps and one inner map; "
                    "use blocks of two convolutions",
                )
            region = free[0]
        owners[region] = layer.name
        regions[layer.name] = region

    words = {name: map_words(graph[name].out_channels, graph[name].out_size) for name in regions}
    stream_words = max(words[name] for name, region in regions.items() if region in streams)
    inner_words = max((words[name] for name, region in regions.items() if region == inner), default=0)
    places = {region: Place(region[0], region[1] * stream_words) for region in owners}
    maps = {layer.name: None if layer.kind == "linear" or layer.pool else places[regions[layer.name]] for layer in graph.layers}
    return maps, {name: places[region] for name, region in adding.items()}, stream_words, inner_words


def plan(graph, config=None):
    """Lay a graph out in the engine's memories.

    Args:
        graph: LayerGraph.
        config: EngineConfig whose P, PE, R, V and multiplier mix are wanted; its depths are replaced.

    Returns:
        Plan.

    Raises:
        GatefoldError: the engine lacks what a layer needs; the sentence names the layer.
    """
    config = config or EngineConfig()
    _check_supported(graph)
    maps, residuals, stream_words, inner_words = _place_maps(graph)
    inner_words = max(inner_words, 1)

    weights, weight_words = {}, 0
    requants, requant_words = {}, 0
    for layer in graph.layers:
        if layer.kind == "linear":
            weights[layer.name] = 0
            fc_words = layer.out_channels * -(-layer.in_channels // config.v)
            continue
        weights[layer.name] = weight_words
        inputs = NIBBLE_CHANNELS if layer.input == IMAGE else layer.in_channels
        weight_words += layer.out_channels * inputs
        for setting in graph.used_settings(layer):
            requants[layer.name, setting] = requant_words
            requant_words += layer.out_channels

    _check_sizes(graph, stream_words, inner_words, weight_words, requant_words)
    config = replace(
        config,
        x_depth=_power_of_two(2 * stream_words),
        m_depth=_power_of_two(inner_words + 2 * IMAGE_BUFFER_WORDS),
        image_base=inner_words,
        weight_depth=_multiple(weight_words, 1024),
        requant_depth=_multiple(requant_words, 512),
        fc_depth=fc_words,
        modes=len(graph.modes),
        layers=_power_of_two(len(graph.layers)),
        classes=graph.classes,
    )
    return Plan(config, maps, residuals, weights, requants)


def _check_sizes(graph, stream_words, inner_words, weight_words, requant_words):
    """Raise GatefoldError where an address or a count exceeds its field of the descriptor."""
    room = {name: 1 << width for name, width in load_interface().descriptor}
    for layer in graph.layers:
        for count in (layer.in_channels, layer.out_channels):
            if count >= room["out_count"]:
                _refuse(layer, f"has {count} channels; the engine counts to {room['out_count'] - 1}")
    for what, need, most in (
        ("words of a feature memory for the residual stream", 2 * stream_words, room["dst_base"]),
        ("words of a feature memory inside its blocks", inner_words + 2 * IMAGE_BUFFER_WORDS, room["dst_base"]),
        ("kernels", weight_words, room["weight_base"]),
        ("requantisation entries", requant_words, room["requant_base"]),
    ):
        if need > most:
            raise GatefoldError(
                f"{graph.name} needs {need} {what} and the engine addresses {most}; choose a smaller model or fewer modes."
            )


def _power_of_two(value):
    return 1 << (value - 1).bit_length()


def _multiple(value, unit):
    return -(-value // unit) * unit
