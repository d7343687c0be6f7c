"""The engine's program: one descriptor per layer and mode."""

from functools import cache

from flow.engine.cost import quarters_of
from flow.engine.interface import load_interface
from flow.engine.plan import M, Place, Plan, input_count, kernel_stride, stored_size
from flow.engine.products import FACTOR_SHIFTS
from flow.engine.requant import Requantisations
from flow.errors import GatefoldError
from flow.graph.layers import IMAGE, MAX, SHUFFLE_GROUPS, SUM, Layer, LayerGraph

CONV, LINEAR, GATE, EXCITE = 0, 1, 2, 3
SIZE_CODE = {8: 0, 16: 1, 32: 2}
POOL2_CODE = {None: 0, MAX: 1, SUM: 2}


def skipped(layers: list[Layer]) -> dict[str, int]:
    """Name of a layer -> how many of the layers behind it are skipped where the layer gate before says no; for layers of a program in
    their order, gated ones.

    The gate's own descriptor skips those that follow it, and what runs between those that it decides on skips what follows that.
    """
    counts, gate = {}, None
    for index, layer in enumerate(layers):
        decided = {other.when for other in layers[index + 1 :]}
        gate = layer.name if layer.decisions and layer.name in decided else gate
        if gate is None or layer.when == gate:
            continue
        run = 0
        while index + 1 + run < len(layers) and layers[index + 1 + run].when == gate:
            run += 1
        counts[layer.name] = run
    return counts


def begins_exit(graph: LayerGraph, layer: Layer) -> bool:
    """Whether a layer is the first of an exit's branch."""
    return layer.exit is not None and layer is next(other for other in graph.layers if other.exit == layer.exit)


def descriptor_fields(
    graph: LayerGraph, plan: Plan, table: Requantisations, mode: str, layer: Layer, last: bool, skip: int = 0
) -> dict[str, int]:
    """Field name -> value of one layer's descriptor in the mode called `mode`.

    Args:
        last: the frame ends with this layer.
        skip: see `skipped`, of the first layer of an exit's branch how many follow in that.
    """
    groups = graph.groups(mode, layer)
    outputs = layer.out_channels // quarters_of(layer, plan.config)
    if layer.kind != "conv":
        numbers = {"in_per_group": layer.in_channels, "out_per_group": layer.out_channels}
        if layer.decisions:  # which these two count in place of groups, the first of them in the lower bits
            upper, lower = divmod(plan.biases[layer.name] - graph.classes, _per_group_room())
            numbers = {"in_per_group": upper, "out_per_group": lower}
        return {
            "kind": EXCITE if layer.kind == "excite" else GATE if layer.decisions else LINEAR,
            "recurrent": layer.kind == "lstm",
            "dst_base": plan.products.entries.get(layer.name, 0),
            "src_base": _factor_shift(graph, layer) if layer.kind == "excite" else 0,
            "layer_gate": layer.name in graph.layer_gates,
            "skip": skip,
            "requant_base": plan.biases.get(layer.name, 0),
            "pool_base": plan.sums[layer.input],
            "last": last,
            "in_count": layer.in_channels,
            "out_count": layer.out_channels,
            "groups": 1,
            **numbers,
            "weight_base": plan.weights.get(layer.name, 0),
        }
    image = layer.input == IMAGE
    inputs = input_count(layer)
    source = Place(M, plan.config.image_base) if image else plan.maps[layer.input]
    target = plan.maps[layer.name] or plan.residuals.get(layer.name) or Place(0, 0)
    low, high = layer.level_range
    window = 2 if layer.pool2 else 1
    own = {}  # fields that only some engines have
    gated = mode not in graph.ungated
    if plan.config.gates:
        own |= {
            "in_list": gated and graph.masked_source(layer) is not None,
            "out_list": gated and bool(layer.mask),
            "list": gated and bool(layer.mask) and not layer.residual,
            "pool_base": plan.sums.get(layer.name, 0),
            "skip": skip,
        }
    if begins_exit(graph, layer):
        own |= {"exit": True, "skip": skip}
    if plan.config.tables:
        own["high"] = high - low
    if plan.config.mask:
        own |= {name: window * valid - 1 for name, valid in zip(("rows", "columns"), layer.valid_size, strict=True)}
    return {
        **own,
        "kind": CONV,
        "last": last,
        "stride2": layer.stride == 2,
        "size": SIZE_CODE[stored_size(layer.conv_size)],
        "keep": layer.conv_size < stored_size(layer.conv_size),
        "pool2": POOL2_CODE[layer.pool2],
        "src": source.memory,
        "src_base": source.base,
        "dst": target.memory,
        "dst_base": target.base,
        "image": image,
        "residual": layer.residual is not None,
        "pool": layer.name in plan.sums,
        "discard": layer.pool,
        "in_count": kernel_stride(graph, layer),
        "out_count": outputs,
        "groups": groups,
        "in_per_group": inputs // groups,
        "out_per_group": outputs // groups,
        "shuffle": (layer.out_channels // SHUFFLE_GROUPS).bit_length() - 1 if layer.shuffle else 0,
        "weight_base": plan.weights[layer.name],
        **_requantisation(graph, plan, table, mode, layer),
    }


@cache
def _per_group_room():
    """Values of the field out_per_group."""
    return 1 << dict(load_interface().descriptor)["out_per_group"]


def _requantisation(graph, plan, table, mode, layer):
    """Fields of a convolution's entries; in place of them factors, which begin at 0, times accumulators that count 16 times."""
    if layer.excite:
        return {"excite": 1, "prescale": 1}
    constants = table[layer.name, graph.setting(mode, layer)]
    requant_base = plan.requants[layer.name, graph.setting(mode, layer)]
    return {"requant_base": requant_base, "prescale": constants.prescale, "fine": constants.fine}


def _factor_shift(graph, layer):
    """By how much the factors of an "excite" layer are shifted up to be scales of the convolution that reads them."""
    (reader,) = (other for other in graph.layers if other.excite == layer.name)
    return FACTOR_SHIFTS[-1] - reader.factor_shift


def program_words(graph: LayerGraph, plan: Plan, table: Requantisations, length: int | None = None) -> list[int]:
    """The words of the program memory: address = mode·LAYERS + layer; unused words are zero.

    Args:
        length: execute only so many layers.

    Raises:
        GatefoldError: a value does not fit its descriptor field; the sentence names layer and mode.
    """
    interface = load_interface()
    words = []
    for mode in graph.modes:
        row = []
        layers = graph.executed(mode)[:length]
        skips = {} if mode in graph.ungated else skipped(layers)
        for layer in layers:
            if begins_exit(graph, layer):
                skips[layer.name] = sum(other.exit == layer.exit for other in layers) - 1
        for layer in layers:
            last = layer is layers[-1]
            try:
                row.append(
                    interface.pack_descriptor(**descriptor_fields(graph, plan, table, mode, layer, last, skips.get(layer.name, 0)))
                )
            except GatefoldError as error:
                raise GatefoldError(f"layer {layer.name} in mode {mode}: {error}") from None
        words += row + [0] * (plan.config.layers - len(row))
    return words
