"""The cycle model of an engine with gates: that of `flow.engine.cost` over the active channels of one frame, and what it takes to make
lists of them and to skip layers."""

from collections.abc import Iterator, Mapping

import numpy as np

from flow.engine import cost
from flow.engine.config import EngineConfig
from flow.engine.program import skipped
from flow.graph.exits import Course, Halting
from flow.graph.layers import IMAGE, Layer, LayerGraph, shuffle_slots

PREPARE = 8
"""Cycles from then on until the groups of a convolution are known, and from the list of its inputs on."""
EMPTY = 3
"""The same of a convolution that has no active outputs."""
PREPARED = 3
"""Cycles from the last tile of a convolution until the groups of the next one are looked for."""
LISTED = 3
"""Cycles from when a convolution is taken until the list of its outputs as inputs is complete, beside one for each of them."""


def executed(graph: LayerGraph, mode: str, decisions: Mapping[str, np.ndarray]) -> Iterator[Layer]:
    """The layers of a mode's program whose descriptors the sequencer passes in one frame.

    Args:
        decisions: gate's name -> 0 or 1 [K].
    """
    layers = graph.executed(mode)
    skips = {} if mode in graph.ungated else skipped(layers)
    index, on = 0, True
    while index < len(layers):
        layer = layers[index]
        yield layer
        if layer.name in graph.layer_gates:
            on = bool(decisions[layer.name][0])
        index += 1 + (0 if on else skips.get(layer.name, 0))


def active_groups(layer: Layer, groups: int, inputs: np.ndarray, outputs: np.ndarray) -> list[tuple[int, int]]:
    """(active inputs, active outputs) of every group with active outputs.

    Args:
        inputs: bool [Ci] by slot; outputs: bool [Co].
    """
    counts = zip(inputs.reshape(groups, -1).sum(axis=1), outputs.reshape(groups, -1).sum(axis=1), strict=True)
    return [(int(i), int(o)) for i, o in counts if o]


def gated_costs(
    graph: LayerGraph,
    mode: str,
    config: EngineConfig,
    decisions: Mapping[str, np.ndarray] | None = None,
    course: Course | None = None,
) -> dict[str, cost.LayerCost]:
    """Name of an executed layer -> its cost in one frame.

    Args:
        decisions: gate's name -> 0 or 1 [K] for the gates of this frame; None: all are 1.
        course: see `flow.engine.cost.mode_costs`.
    """
    course = course or Course(Halting.nowhere(len(graph.exits)))
    gated = mode not in graph.ungated
    decisions = decisions or {gate.name: np.ones(gate.decisions, np.uint8) for gate in graph.gates}
    costs: dict[str, cost.LayerCost] = {}
    now = 0  # cycle in which the sequencer first looks at a layer's descriptor
    asked = 0  # cycle in which the layer's groups are looked for
    listed = 0  # cycle from which the list of inputs is complete
    began = -cost.FRAME_OVERHEAD
    for layer in executed(graph, mode, decisions):
        if layer.exit:
            at = course.exit
            if not course.takes(layer, now + cost.FRAME_OVERHEAD):
                now += cost.EXIT_JUMP * (course.exit != at)
                asked = now
                continue
        if layer.kind != "conv":
            end = now + cost.vector_cycles(layer, config)
            if layer.exit:
                course.end(layer)
                end += cost.EXIT_LOOK * course.looks
            costs[layer.name] = cost.LayerCost(end - began, 0)
            if course.stopped:
                break
            began, now = end, end + cost.FETCH
            asked = now
            continue
        image = layer.input == IMAGE
        source = graph.masked_source(layer) if gated else None
        inputs, outputs = np.ones(layer.in_channels, bool), np.ones(layer.out_channels, bool)
        if source:
            mask = decisions[source.mask].astype(bool)
            inputs[shuffle_slots(len(mask)) if source.shuffle else np.arange(len(mask))] = mask
        if gated and layer.mask:
            outputs = decisions[layer.mask].astype(bool)
        groups = active_groups(layer, graph.groups(mode, layer), inputs, outputs)
        known = max(asked, listed - 1) if source else asked
        taken = max(now, known + (PREPARE if groups else EMPTY)) + cost.DECIDE
        if gated and layer.mask and not layer.residual:
            listed = taken + layer.out_channels + LISTED
        if not groups:
            costs[layer.name] = cost.LayerCost(taken + 1 - began, 0)
            began, now = taken + 1, taken + 1 + cost.FETCH
            asked = now
            continue
        passes = cost.nibble_passes(config) if image else 1
        blocks = cost.block_count(layer.conv_size, config)
        quarters = cost.quarters_of(layer, config)
        running = blocks * sum(cost.group_cycles(passes * i, o, config, quarters=quarters) for i, o in groups)
        tiles = blocks * sum(-(-o // (quarters * config.pe)) * passes * i for i, o in groups)
        end = taken + running + cost.overhead(config, quarters=quarters) - cost.DECIDE
        costs[layer.name] = cost.LayerCost(end - began, tiles)
        began = now = end
        asked = end - cost.overhead(config) + cost.DECIDE + 1 + PREPARED
    return costs


def gate_worth(graph: LayerGraph, mode: str, config: EngineConfig) -> dict[str, tuple[int, int]]:
    """Gate's name -> (cycles of its layers, cycles that a frame takes less where it alone says no to everything); none in a mode
    without gates.
    """
    if mode in graph.ungated:
        return {}
    on = {gate.name: np.ones(gate.decisions, np.uint8) for gate in graph.gates}
    costs = gated_costs(graph, mode, config, on)
    names, whole = {layer.name for layer in graph.executed(mode)}, sum(cost.cycles for cost in costs.values())
    worth = {}
    for gate in on:
        own = names - {layer.name for layer in graph.executed(mode, forced=[gate])}
        off = gated_costs(graph, mode, config, on | {gate: np.zeros_like(on[gate])})
        worth[gate] = sum(costs[name].cycles for name in own), whole - sum(cost.cycles for cost in off.values())
    return worth
