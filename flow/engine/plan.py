"""The memory plan: where every feature map, kernel and requantisation entry of a graph lies.

Feature memory X carries the residual stream in two regions: a convolution that ends a block writes in place
over the map it adds, and where the map's shape changes the shortcut writes the other region. Feature memory M
carries the inside of a block, behind it what gates need and two buffers for images. Layers outside of blocks alternate between M and X.
The maps' layout in the row banks is in `map_words`.

The maps of an exit's branch lie where the inside of a block does and, in turn, in the free region of X. Sums of pixels, which classifiers
and gates read, are made as maps are written. A map that is made in place over another one has its
sums in the same place, so that those of dropped channels are already there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from flow.engine.config import EngineConfig, Folding
from flow.engine.cost import QUARTERS, packs
from flow.engine.interface import load_interface
from flow.engine.products import KINDS, Products, check_excited, check_products, place_products, several
from flow.engine.requant import ACCUMULATOR_BITS, WIDE_ACCUMULATOR_BITS, accumulator_bits
from flow.engine.shared import check_holds, join
from flow.errors import GatefoldError
from flow.graph.layers import ACTIVATION_MAX, IMAGE, MAP_SIZES, MAX, SUM, SUM_VALUES, WEIGHT_MAX, Layer, LayerGraph, Setting

X, M = 0, 1
PLANES = range(1, 7)
"""Planes of an image: one for each colour, two where its integers are signed."""
POOL_BITS = {8: 10, 16: 12, 32: 14}
"""Size of a map -> bits of the sum of its pixels."""
SPAN = 32
"""Levels that a requantiser makes."""
WIDE_DSPS = 2
"""DSP blocks of a requantiser whose accumulators have more than 18 bits."""
QUAD_DSPS = 9
"""DSP blocks of a pixel pair's products."""
CLASSES = range(2, 256)
"""Classes that the engine tells apart: the register `config` counts them in 8 bits, and one class has no bias address."""
SIXTEENTHS = 16
"""Parts of a mask's channels, of which groups are made."""
MASK_CHANNELS = 512
"""Channels of a mask at most."""
EXITS = 255
"""Exits of an engine at most: their number has eight bits."""
EXIT_LAYERS = 16
"""Layers of an exit's branch at most, of which the descriptor of the first counts the others in four bits."""
MODES = 255
"""Modes of an engine at most: a frame's mode is a byte."""


@dataclass(frozen=True)
class Place:
    """A feature map: memory X (0) or M (1) and its first word in every bank."""

    memory: int
    base: int


@dataclass
class Plan:
    """Addresses of everything, and the engine that they need.

    Attributes:
        folding: that was asked for.
        maps: layer name -> place of its output; None for pooled outputs and logits.
        residuals: layer name -> place of the map that it adds, for those that add one.
        weights: layer name -> first word in the weight memory (of the classifier and of gates: in the vector unit's).
        requants: (layer name, setting) -> first requantisation entry.
        biases: name of the classifier or of a gate -> its first bias; behind the classifier's they are one for each decision.
        sums: name of a convolution -> first word of its sums of pixels, for those that are read.
        products: where the constants of layers that are several products lie.
    """

    folding: Folding
    config: EngineConfig
    maps: dict[str, Place | None]
    residuals: dict[str, Place]
    weights: dict[str, int]
    requants: dict[tuple[str, Setting], int]
    biases: dict[str, int]
    sums: dict[str, int]
    products: Products


def record_decisions(graph: LayerGraph, decisions: Mapping[str, np.ndarray]) -> np.ndarray:
    """A frame's decisions as its record has them, uint8 [all]: gate after gate in the order of the graph.

    Args:
        decisions: gate's name -> 0 or 1 [K]; of gates that are not there they are 0.
    """
    bits = [np.asarray(decisions.get(gate.name, np.zeros(gate.decisions)), np.uint8) for gate in graph.gates]
    return np.concatenate([np.zeros(0, np.uint8), *bits])


def map_words(channels: int, size: int) -> int:
    """Words that a map takes in each of the 16 row banks.

    A word is one row of one channel, 32 nibbles. Row r of channel c lies, for size 32, in bank r % 16 at word
    2·c + r // 16; for size 16 in bank r at word c; for size 8 in bank r + 8·(c % 2) at word c // 2.
    """
    return {32: 2 * channels, 16: channels, 8: -(-channels // 2)}[size]


def input_count(layer: Layer) -> int:
    """Inputs of a layer as the engine counts them: kernels of one output, in the first layer one for each plane, nibble and digit."""
    return layer.in_channels * (2 * len(layer.weight_digits()) if layer.input == IMAGE else 1)


def kernel_stride(graph: LayerGraph, layer: Layer) -> int:
    """Words from a kernel of one output to the same input's kernel of the next. In a gate's convolution that always has the same groups only
    kernels within a group are kept: output o and input i at o·stride + i all the same, since every group begins a group's inputs later."""
    groups = graph.used_groups(layer)
    return layer.in_channels // groups[0] if layer.gate and len(groups) == 1 else input_count(layer)


def kernel_count(graph: LayerGraph, layer: Layer) -> int:
    """Words of a convolution's kernels."""
    return (layer.out_channels - 1) * kernel_stride(graph, layer) + input_count(layer)


def _refuse(layer, why):
    raise GatefoldError(f"layer {layer.name} {why}.")


def check_classes(name: str, count: int) -> None:
    """Raise GatefoldError where the engine cannot run a classifier of so many classes."""
    if count not in CLASSES:
        raise GatefoldError(
            f"The engine tells {CLASSES[0]} to {CLASSES[-1]} classes apart and {name} has {count}; train it on data with as many."
        )


def _check_supported(graph):
    check_classes(graph.name, graph.classes)
    if len(graph.modes) > MODES:
        raise GatefoldError(f"{graph.name} has {len(graph.modes)} modes and the engine holds {MODES}; name fewer with --modes.")
    grouped = next((layer for layer in graph.layers if graph.used_groups(layer) != [1]), None)
    if len(graph.modes) == 1 and grouped:
        own = "" if grouped.gate or grouped.exit else " or choose full"
        raise GatefoldError(
            f"{graph.name} with {next(iter(graph.modes))} as its only mode: an engine for one mode has no group logic, which layer "
            f"{grouped.name} takes; add another mode{own}."
        )
    by_name = {layer.name: layer for layer in graph.layers}
    for index, layer in enumerate(graph.layers):
        last = index == len(graph.layers) - 1
        if (layer.kind == "linear" and not layer.exit) != last:
            _refuse(
                layer, "is out of place: the engine runs convolutions, gates, exits, and then one linear layer; reorder the model"
            )
        if layer.kind == "linear":
            source = by_name.get(layer.input)
            if source is None or not source.pool:
                _refuse(layer, "needs a global pool before it; pool its input")
        if layer.kind in KINDS:
            check_products(graph, layer)
        if layer.excite:
            check_excited(layer)
        source = by_name.get(layer.input)
        dropped = source and not source.residual and (source.mask or source.when not in (None, layer.when))
        if layer.kind != "conv" and dropped:
            _refuse(
                layer,
                f"reads the sums of {source.name}, which keeps none of dropped outputs; read a convolution that adds a residual",
            )
        if layer.kind != "conv":
            continue
        if layer.kernel not in (1, 3):
            _refuse(layer, f"has a {layer.kernel}x{layer.kernel} kernel; the engine does 3x3 and 1x1")
        _check_shape(layer)
        _check_features(layer, by_name.get(layer.residual))
        if layer.input == IMAGE and layer.in_channels not in PLANES:
            _refuse(
                layer, f"reads {layer.in_channels} planes; the engine takes up to {PLANES[-1]}, two a colour where it is signed"
            )
        if layer.input == IMAGE and (index != 0 or graph.used_groups(layer) != [1]):
            _refuse(layer, "reads the image; only the first layer may, with one group")
        if layer.input != IMAGE and by_name[layer.input].pool:
            _refuse(layer, "follows a global pool; only the classifier may")
        if layer.mask and layer.out_channels % SIXTEENTHS:
            _refuse(layer, f"has a mask for {layer.out_channels} channels; the engine masks multiples of {SIXTEENTHS}")
        if layer.exit and graph.masked_source(layer):
            _refuse(layer, f"branches off behind {layer.input}, whose channels are left out; let an exit read a block's output")
        if layer.pool and not layer.gate and graph.layers[index + 1].kind != "linear":
            _refuse(layer, "pools before the last convolution; pool only before the classifier")


def _check_shape(layer):
    """Refuse sizes and strides that the engine lacks."""
    for size in (layer.out_size, layer.in_size):
        if size not in MAP_SIZES:
            _refuse(layer, f"makes {size}x{size} maps; the engine does 32, 16 and 8: scale the pictures")
    if layer.stride not in (1, 2):
        _refuse(layer, f"has stride {layer.stride}; the engine does 1 and 2")
    if layer.out_size != stored_size(layer.conv_size // (2 if layer.pool2 else 1)):
        _refuse(layer, f"makes a map of {layer.out_size}x{layer.out_size} from {layer.in_size}x{layer.in_size}; fix the model")


def _check_features(layer, residual):
    """Refuse what the definition of a layer has and the engine's hardware lacks."""
    low, high = layer.level_range
    if low < -SPAN // 2 or high - low >= SPAN:
        _refuse(layer, f"has levels {low} to {high}; the engine makes up to {SPAN} from -{SPAN // 2} on: use fewer bits")
    if np.abs(layer.weight).max() > WEIGHT_MAX and layer.input != IMAGE:
        _refuse(
            layer,
            f"has weights from {layer.weight.min()} to {layer.weight.max()}; the engine does -7 to 7 (4 bits, narrow range) "
            "behind the first layer",
        )
    if residual is None:
        return
    if residual.out_size != stored_size(layer.conv_size):
        _refuse(layer, f"adds {residual.name}, whose map has another shape; add maps of one shape")
    if layer.pool2 and not layer.pool:
        _refuse(layer, "adds and then pools 2x2; put the pool behind another convolution")
    sums = residual_values(layer) + low, residual_values(layer) + high
    if sums[0].min() < -SUM_VALUES // 2 or sums[1].max() >= SUM_VALUES // 2:
        _refuse(layer, f"makes sums from {sums[0].min()} to {sums[1].max()}; the engine does -32 to 31: use fewer bits")


def stored_size(size: int) -> int:
    """Size of the stored map of size × size pixels: maps of fewer than 8 fill one of 8."""
    return max(size, MAP_SIZES[0])


def residual_values(layer: Layer) -> np.ndarray:
    """What each of the 16 codes of a residual is worth, int64 [16]."""
    return np.arange(ACTIVATION_MAX + 1) if layer.residual_table is None else np.asarray(layer.residual_table)


def needs_tables(layer: Layer) -> bool:
    """Whether a convolution has bounds or tables of its own, or pools sums."""
    usual = (0 if layer.residual is None else -ACTIVATION_MAX, ACTIVATION_MAX)
    return (
        layer.residual_table is not None or layer.sum_table is not None or layer.pool2 == SUM or tuple(layer.level_range) != usual
    )


def needs_mask(layer: Layer) -> bool:
    """Whether the valid pixels of a convolution fill less than the stored map."""
    return tuple(layer.valid_size) != (layer.out_size, layer.out_size)


def image_words(planes: int, size: int) -> int:
    """Words in every bank of one image: two nibble channels a plane."""
    return map_words(2 * planes, size)


def _features(graph, folding, sums):
    """The parameters of EngineConfig that the layers demand beside memories."""
    convolutions = [layer for layer in graph.layers if layer.kind == "conv"]
    first = convolutions[0]
    shifts = [shift for shift, _ in first.weight_digits()]
    exciting = [layer for layer in graph.layers if layer.kind == "excite"]
    pools = {layer.pool2 for layer in convolutions}
    bits = max(accumulator_bits(layer, groups) for layer in convolutions for groups in graph.used_groups(layer))
    wide = min(max(bits, ACCUMULATOR_BITS), WIDE_ACCUMULATOR_BITS)  # more is refused with the requantisation
    mult_dsp = folding.mult_dsp
    if wide > ACCUMULATOR_BITS:
        mult_dsp = max(0, mult_dsp - -(-folding.r * (WIDE_DSPS - 1) // QUAD_DSPS))
    return dict(
        planes=first.in_channels,
        image_size=first.in_size,
        high_digits=sum(shift != 0 for shift in shifts),
        low_digits=sum(shift == 0 for shift in shifts),
        acc_width=wide,
        mult_dsp=mult_dsp,
        pool_width=max(POOL_BITS[stored_size(layer.conv_size)] for layer in convolutions if layer.name in sums),
        tables=int(any(needs_tables(layer) for layer in convolutions)),
        pool2=(MAX in pools) + 2 * (SUM in pools),
        mask=int(any(needs_mask(layer) for layer in convolutions)),
        exits=len(graph.exits),
        gates=_power_of_two(max([SIXTEENTHS, *(gate.decisions for gate in graph.gates)])) if graph.gates else 0,
        decisions=sum(gate.decisions for gate in graph.gates),
        hidden=max((layer.out_channels for layer in graph.layers if layer.kind == "lstm"), default=0),
        factors=_power_of_two(max((layer.in_channels for layer in exciting), default=0)) if exciting else 0,
        inner=max((layer.out_channels for layer in exciting), default=0),
    )


def _check_engine(graph, folding, features):
    """Refuse what only some sizes of the engine do."""
    if features["tables"] and (features["gates"] or features["exits"]):
        layer = next(layer for layer in graph.layers if layer.kind == "conv" and needs_tables(layer))
        what = "gates" if features["gates"] else "exits"
        _refuse(layer, f"has bounds or tables of its own, which an engine with {what} lacks; train it without {what}")
    if features["exits"] > EXITS:
        raise GatefoldError(f"{graph.name} has {features['exits']} exits; the engine has room for {EXITS}.")
    for exit in graph.exits:
        branch = [layer for layer in graph.layers if layer.exit == exit.name]
        if len(branch) > EXIT_LAYERS:
            _refuse(exit, f"ends a branch of {len(branch)} layers; the engine jumps over {EXIT_LAYERS}: use fewer")
    if features["gates"] > MASK_CHANNELS:
        raise GatefoldError(f"{graph.name} has masks for {features['gates']} channels; the engine has room for {MASK_CHANNELS}.")
    for layer in graph.layers:
        if layer.kind == "conv" and layer.pool2 and folding.r < 16:
            _refuse(layer, f"is followed by a 2x2 pool, which takes 16 requantisers or more, not {folding.r}; choose --r 16")
        if layer.kind == "conv" and layer.residual and layer.stride == 2 and layer.conv_size == 16 and folding.p == 64:
            _refuse(layer, "adds at a stride of 2 from 32 to 16 pixels; give the stride to the block's first convolution")


def _place_maps(graph):
    """(maps, residuals, words of a stream region of X, words of M)."""
    last_use = {}
    for index, layer in enumerate(graph.layers):
        for source in (layer.input, layer.residual) if layer.kind == "conv" else ():
            last_use[source] = index
    added = {layer.residual for layer in graph.layers if layer.residual}
    # What the last but one convolution of a block reads lies in X where that is free, so that M is for what it writes.
    read = {graph[layer.input].input for layer in graph.layers if layer.residual}
    streams, inner, beside = ((X, 0), (X, 1)), (M, 0), (M, 1)
    owners, regions, adding = dict.fromkeys((*streams, inner, beside)), {}, {}

    for index, layer in enumerate(graph.layers):
        if layer.kind != "conv" or (layer.pool and not layer.residual):
            continue
        if layer.residual:
            region, other = regions.get(layer.residual), graph[layer.residual]
            same = (other.out_channels, other.out_size) == (layer.out_channels, stored_size(layer.conv_size))
            if region not in streams or not same:
                _refuse(layer, f"adds {layer.residual}, whose map has another shape; add maps of one shape")
            if last_use[layer.residual] > index:
                _refuse(layer, f"overwrites {layer.residual}, which a later layer reads; add it in the later layer")
            if regions.get(layer.input) != inner:
                _refuse(layer, "adds to a map while it reads from the residual stream; put a convolution before it")
            adding[layer.name] = region
        else:
            choice = (inner, *streams)
            if layer.name in added or layer.input == IMAGE:
                choice = streams
            elif layer.gate:
                choice = (beside, *streams)
            elif layer.exit:
                choice = (inner, *streams, beside)
            elif layer.name in read:
                choice = (*streams, inner)
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
    # A network of one or two convolutions leaves one memory empty or both. Maps of 32 rows begin at even words, images among them.
    stream_words, inner_words, beside_words = (
        _multiple(max((words[name] for name, region in regions.items() if region in group), default=least), 2)
        for group, least in ((streams, 1), ((inner,), 1), ((beside,), 0))
    )
    places = {region: Place(region[0], region[1] * (stream_words if region[0] == X else inner_words)) for region in owners}
    maps = {layer.name: None if layer.kind != "conv" or layer.pool else places[regions[layer.name]] for layer in graph.layers}
    return maps, {name: places[region] for name, region in adding.items()}, stream_words, inner_words + beside_words


def _place_sums(graph, lanes):
    """(name of a convolution whose sums are read -> their first word, words of all sums)."""
    read = {layer.input for layer in graph.layers if layer.kind != "conv"}
    for layer in reversed(graph.layers):
        if layer.name in read and layer.residual and (layer.mask or layer.when):
            read.add(layer.residual)
    summed = [layer for layer in graph.layers if layer.name in read and layer.kind == "conv"]
    if not graph.gates:  # classifiers read theirs at once
        return {layer.name: 0 for layer in summed}, max(-(-layer.out_channels // lanes) for layer in summed)
    sums, words = {}, 0
    exits, shared = [layer for layer in summed if layer.exit], None
    for layer in summed:
        if layer.residual in sums:
            sums[layer.name] = sums[layer.residual]
            continue
        if layer.exit:  # one place for all exits: each of them reads its sums at once
            if shared is None:
                shared, words = words, words + max(-(-each.out_channels // lanes) for each in exits)
            sums[layer.name] = shared
            continue
        sums[layer.name] = words
        words += -(-layer.out_channels // lanes)
    return sums, words


def engine_for(graphs: Sequence[LayerGraph], folding: Folding, resident: bool = False) -> EngineConfig:
    """The smallest engine that holds each of these networks, or with `resident` all of them at once.

    Raises:
        GatefoldError: they cannot share an engine, or there is none for one of them.
    """
    configs = [plan(graph, folding).config for graph in graphs]
    if any(config.pack for config in configs):  # then all have layers in quarters of the lanes that can
        configs = [plan(graph, folding, quarters=True).config for graph in graphs]
    return join(configs, resident, [graph.name for graph in graphs])


def plan(
    graph: LayerGraph, folding: Folding | None = None, engine: EngineConfig | None = None, quarters: bool | None = None
) -> Plan:
    """Lay a graph out in the engine's memories.

    Args:
        folding: the default where omitted.
        engine: that it goes onto, of that folding; None: one that is made for it.
        quarters: whether that has quarters of the lanes with kernels of their own; None: where the graph has gates.

    Raises:
        GatefoldError: the engine lacks what a layer needs; the sentence names the layer.
    """
    folding = folding or Folding()
    _check_supported(graph)
    sums, sum_words = _place_sums(graph, folding.v)
    features = _features(graph, folding, sums)
    _check_engine(graph, folding, features)
    maps, residuals, stream_words, inner_words = _place_maps(graph)
    buffers = 2 * image_words(features["planes"], features["image_size"])

    if engine:
        quarters = engine.pack > 0
    if quarters and not _quarters_free(graph):
        raise GatefoldError(
            f"{graph.name} has pools of 4x4 pixels that quarters of the lanes do not share; build it for an engine of its own."
        )
    if quarters is None:
        quarters = bool(graph.gates) and folding.quarters and _quarters_free(graph)
    packed = [layer for layer in graph.layers if packs(layer)] if quarters else []
    weights, weight_words, alike = {}, 0, {}
    for layer in packed:  # at the same addresses in all of the four memories
        weights[layer.name] = weight_words
        weight_words += layer.out_channels // QUARTERS * layer.in_channels
    pack = weight_words = _multiple(weight_words, 2)  # a network image writes kernels in pairs
    requants, requant_words = {}, 0
    biases, bias_count, fc_words = {}, 0, 0
    # The decisions' numbers are those of their biases behind the classifier's, so the exits' come last.
    order = sorted(graph.layers[:-1], key=lambda layer: layer.kind == "linear")
    for layer in (graph.layers[-1], *order):
        if layer.kind not in ("conv", "excite"):
            biases[layer.name] = bias_count
            bias_count += layer.decisions or layer.out_channels
        if layer.kind in ("linear", "gate"):
            weights[layer.name] = fc_words
            fc_words += layer.out_channels * -(-layer.in_channels // folding.v)
        if layer.kind != "conv":
            continue
        key = layer.excite and (layer.weight.shape, layer.weight.tobytes())  # what leaves maps as they are is the same in all gates
        if key in alike:
            weights[layer.name] = alike[key]
        elif layer.name not in weights:
            weights[layer.name] = weight_words
            weight_words += kernel_count(graph, layer)
        if key:
            alike[key] = weights[layer.name]
        for setting in () if layer.excite else graph.used_settings(layer):
            requants[layer.name, setting] = requant_words
            requant_words += layer.out_channels

    products, fc_words, bias_count = place_products(several(graph), folding.v, fc_words, bias_count)

    _check_sizes(graph, stream_words, inner_words + buffers, weight_words, requant_words)
    config = EngineConfig(
        p=folding.p,
        pe=folding.pe,
        r=folding.r,
        v=folding.v,
        requant_dsp=folding.requant_dsp,
        x_depth=_power_of_two(2 * stream_words),
        m_depth=_power_of_two(inner_words + buffers),
        image_base=inner_words,
        weight_depth=_multiple(weight_words, 1024),
        pack=_multiple(pack, 1024),
        requant_depth=_multiple(requant_words, 512),
        fc_depth=fc_words,
        modes=len(graph.modes),
        layers=_power_of_two(len(graph.layers)),
        classes=graph.classes,
        biases=bias_count,
        pool_depth=max(2, sum_words),
        products=max(2, len(products.weights)),
        **features,
    )
    if engine:
        check_holds(engine, config, graph.name)
        config = engine
    return Plan(folding, config, maps, residuals, weights, requants, biases, sums, products)


def _quarters_free(graph):
    """Whether the quarters of the lanes have outputs of their own in every layer whose descriptor looks like one in which they do."""
    alike = [layer for layer in graph.layers if layer.kind == "conv" and layer.pool and (layer.stride, layer.in_size) == (2, 8)]
    return all(packs(layer) for layer in alike)


def _check_sizes(graph, stream_words, m_words, weight_words, requant_words):
    """Raise GatefoldError where an address or a count exceeds its field of the descriptor."""
    room = {name: 1 << width for name, width in load_interface().descriptor}
    for layer in graph.layers:
        for count in (input_count(layer) if layer.kind == "conv" else layer.in_channels, layer.out_channels):
            if count >= room["out_count"]:
                _refuse(layer, f"has {count} channels; the engine counts to {room['out_count'] - 1}: use fewer")
    for what, need, most in (
        ("words of a feature memory for the residual stream", 2 * stream_words, room["dst_base"]),
        ("words of a feature memory inside its blocks", m_words, room["dst_base"]),
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
