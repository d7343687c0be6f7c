"""The cycle model: the formula of the architecture, section 3.

    blocks · Σ_groups Σ_tuples max(inputs of the group, ⌈P·outputs in the tuple / R⌉, 1)  +  overhead

The overhead is what the RTL really takes, at most 20 cycles at the default size (24 where layers have tables and pools), so
that the model gives the cycle count of a frame exactly when the engine does not wait for its image or for the previous record.
Only here: `flow.costs.cycles` takes the parts for masks that differ from image to image, and for decisions between 0 and 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from flow.engine.config import EngineConfig, Folding
from flow.graph.exits import Course, Halting
from flow.graph.layers import IMAGE, Layer, LayerGraph

CONV_DRAIN = 14
"""Cycles from the last tile of a convolution to the first of the next layer, but for the words of its last tuple."""
TABLE_STAGES, POOL2_STAGES, GATE_STAGES = 2, 2, 3
"""Pipeline stages, and so cycles a layer, that an engine with tables, one with 2×2 pools and one with gates has more."""
TABLE_LOAD = 66
"""Cycles from the start of a layer to when the next one's tables are loaded."""
LINEAR_OVERHEAD = 11
"""Cycles of the vector unit's pipeline."""
FETCH = 2
"""Cycles to fetch a descriptor that does not simply follow a convolution."""
DECIDE = 1
"""Cycles in which an engine with gates or exits decides on a descriptor before it is taken; its convolutions drain as many fewer."""
EXIT_JUMP = DECIDE + 1 + FETCH
"""Cycles to pass an exit whose branch is not computed."""
EXIT_LOOK = 3
"""Cycles of an exit whose logits are looked at, behind its classifier."""
STEP_WAITS = 32
"""Cycles of a step of an LSTM between its three products: 12 until projections are there, 20 until hidden values are."""
EXCITE_WAITS = 16
"""The same of squeeze-and-excitation: 12 until hidden units are there, 4 until factors are."""
QUARTERS = 4
"""Outputs that take the place of one where 4×4 pixels are only summed: one for each quarter of the lanes."""
FRAME_OVERHEAD = 3
"""Cycles of a frame's start and end, counted with the layer that reads the image."""


@dataclass(frozen=True)
class Unplanned(Folding):
    """What takes cycles in an engine whose memories are not planned yet, or never: a folding, and of the EngineConfig's features those
    that are said to be there.

    Attributes: those of Folding and, by name, of EngineConfig.
    """

    high_digits: int = 0
    low_digits: int = 1
    tables: int = 0
    pool2: int = 0
    gates: int = 0
    exits: int = 0
    pack: int = 0

    @classmethod
    def of(cls, folding: Folding, **features: int) -> Self:
        """A folding with some features."""
        return cls(**asdict(folding), **features)


Engine = EngineConfig | Unplanned
"""What the cycle model counts for."""
Counts = Any
"""An integer, or an array of them: of numpy or of PyTorch."""


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs in one mode.

    Attributes:
        cycles: clock cycles, overhead included.
        tiles: executed tiles (P pixels × up to PE outputs × one input channel); none in the vector unit.
    """

    cycles: int
    tiles: int


def tuple_wait(outputs: int, config: Engine) -> int:
    """Cycles that `outputs` channels of a block need on the way out, the least that their tuple takes."""
    return max(-(-config.p * outputs // config.r), 1)


def group_cycles(
    inputs: Counts, outputs: Counts, config: Engine, at_least: Callable[[Counts, int], Counts] = max, quarters: int = 1
) -> Counts:
    """Cycles of one group in one block.

    Args:
        inputs, outputs: its active channels.
        at_least: of (inputs, least), their larger one.
        quarters: see `quarters_of`.
    """
    if config.gates or quarters > 1:  # a tuple with one output may follow one with two, so it takes as long at least
        return -(-outputs // (quarters * config.pe)) * at_least(inputs, quarters * tuple_wait(config.pe, config))
    pairs, single = (outputs // 2, outputs % 2) if config.pe == 2 else (0, outputs)
    return pairs * at_least(inputs, tuple_wait(2, config)) + single * at_least(inputs, tuple_wait(1, config))


def packs(layer: Layer) -> bool:
    """Whether each quarter of the lanes works on outputs of its own in a convolution, in an engine that can (`EngineConfig.pack`): in one of
    a gate or an exit, where maps of 8×8 pixels become sums over 4×4.
    """
    own = layer.kind == "conv" and (layer.gate or layer.exit is not None) and layer.pool and layer.residual is None
    return own and packs_shape(layer.in_size, layer.stride, layer.out_channels, layer.group_counts)


def packs_shape(in_size: int, stride: int, outputs: int, group_counts: tuple[int, ...]) -> bool:
    """The part of `packs` that is about shapes."""
    return (in_size, stride, group_counts) == (8, 2, (1,)) and outputs % (2 * QUARTERS) == 0


def quarters_of(layer: Layer, config: Engine) -> int:
    """How many outputs take the place of one in a convolution: QUARTERS, or 1."""
    return QUARTERS if config.pack and packs(layer) else 1


def block_count(size: int, config: Engine) -> int:
    """Blocks of a map of size × size pixels; one of fewer than 8 rows fills what it is stored in."""
    return max(size, 8) ** 2 // config.p


def overhead(config: Engine, image: bool = False, quarters: int = 1) -> int:
    """Cycles of a convolution beside its tiles; `image` for the one that reads the image, `quarters` as in `quarters_of`."""
    stages = CONV_DRAIN + (TABLE_STAGES if config.tables else 0) + (POOL2_STAGES if config.pool2 else 0)
    stages += GATE_STAGES if config.gates else 0
    return stages + quarters * config.pe * config.p // config.r + (FRAME_OVERHEAD if image else 0)


def nibble_passes(config: Engine) -> int:
    """Tiles for every plane of the image: the pixels' two nibbles with every digit of the first layer's weights."""
    return 2 * (config.high_digits + config.low_digits)


def linear_cycles(inputs: int, outputs: int, config: Engine) -> int:
    """Cycles of a fully connected layer."""
    return outputs * -(-inputs // config.v) + LINEAR_OVERHEAD + (DECIDE if config.gates or config.exits else 0)


def vector_cycles(layer: Layer, config: Engine) -> int:
    """Cycles of a layer of the vector unit."""
    cycles = linear_cycles(layer.in_channels, layer.out_channels, config)
    if layer.kind == "lstm":
        hidden = layer.out_channels
        cycles += (4 * hidden + 1) * -(-2 * hidden // config.v) + STEP_WAITS
    elif layer.kind == "excite":
        cycles += layer.in_channels * -(-layer.out_channels // config.v) + EXCITE_WAITS
    return cycles


def layer_cost(layer: Layer, groups: int, config: Engine) -> LayerCost:
    """What `layer` costs with `groups` groups on the engine `config`, but for waiting for its tables."""
    if layer.kind != "conv":
        return LayerCost(vector_cycles(layer, config), 0)
    quarters = quarters_of(layer, config)
    image = layer.input == IMAGE
    inputs = layer.in_channels * (nibble_passes(config) if image else 1) // groups
    outputs = layer.out_channels // groups
    blocks = block_count(layer.conv_size, config)
    cycles = blocks * groups * group_cycles(inputs, outputs, config, quarters=quarters) + overhead(config, image, quarters)
    return LayerCost(cycles, blocks * groups * -(-outputs // (quarters * config.pe)) * inputs)


def mode_costs(
    graph: LayerGraph,
    mode: str,
    config: Engine,
    decisions: Mapping[str, np.ndarray] | None = None,
    course: Course | None = None,
) -> dict[str, LayerCost]:
    """Layer name -> cost in the mode called `mode`, what it waits for its tables or lists included, and before it the exits that are
    passed.

    Args:
        decisions: of the gates in one frame, see `flow.engine.gated_cost.gated_costs`; None: everything is switched on.
        course: the frame's way past its exits, at its begin; None: it passes all of them.
    """
    if config.gates:
        from flow.engine.gated_cost import gated_costs

        return gated_costs(graph, mode, config, decisions, course)
    costs, since, passed = {}, TABLE_LOAD, 0
    course = course or Course(Halting.nowhere(len(graph.exits)))
    for layer in graph.layers:
        if layer.exit:
            at = course.exit
            if not course.takes(layer, sum(cost.cycles for cost in costs.values()) + passed):
                passed += EXIT_JUMP * (course.exit != at)
                continue
        cost = layer_cost(layer, graph.groups(mode, layer), config)
        wait = max(0, TABLE_LOAD - since) if config.tables else 0
        costs[layer.name] = replace(cost, cycles=cost.cycles + wait + passed)
        since, passed = cost.cycles - (FRAME_OVERHEAD if layer.input == IMAGE else 0), 0
        if layer.name == layer.exit:
            course.end(layer)
            costs[layer.name] = replace(costs[layer.name], cycles=costs[layer.name].cycles + EXIT_LOOK * course.looks)
            if course.stopped:
                break
            passed = FETCH
    return costs


def frame_cost(
    graph: LayerGraph,
    mode: str,
    config: Engine,
    decisions: Mapping[str, np.ndarray] | None = None,
    course: Course | None = None,
) -> LayerCost:
    """Cost of a whole frame in the mode called `mode`, as in `mode_costs`."""
    costs = mode_costs(graph, mode, config, decisions, course).values()
    return LayerCost(sum(cost.cycles for cost in costs), sum(cost.tiles for cost in costs))
