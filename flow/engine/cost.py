"""The cycle model: the formula of docs/architecture.md, section 3.

    blocks · Σ_groups Σ_tuples max(inputs of the group, ⌈P·outputs in the tuple / R⌉, 1)  +  overhead

The overhead is what the RTL really takes, at most 20 cycles at the default size, so that the model gives the cycle
count of a frame exactly when the engine does not wait for its image or for the previous record.
"""

from dataclasses import dataclass

from flow.graph.layers import IMAGE

CONV_DRAIN = 13
"""Cycles from the last tile of a convolution to the first of the next layer, but for the words of its last tuple."""
LINEAR_OVERHEAD = 7
"""Cycles of the vector unit's pipeline."""
FRAME_OVERHEAD = 2
"""Cycles of a frame's start and end, counted with the layer that reads the image."""


@dataclass(frozen=True)
class LayerCost:
    """What one layer costs in one mode.

    Attributes:
        cycles: clock cycles, overhead included.
        tiles: executed tiles (P pixels × up to PE outputs × one input channel); none in the vector unit.
    """

    cycles: int
    tiles: int


def layer_cost(layer, groups, config):
    """LayerCost of `layer` with `groups` groups on the engine `config`."""
    if layer.kind == "linear":
        return LayerCost(layer.out_channels * -(-layer.in_channels // config.v) + LINEAR_OVERHEAD, 0)
    image = layer.input == IMAGE
    inputs = layer.in_channels * (2 if image else 1) // groups
    outputs = layer.out_channels // groups
    tuples = [config.pe] * (outputs // config.pe) + ([outputs % config.pe] if outputs % config.pe else [])
    per_group = sum(max(inputs, -(-config.p * outs // config.r), 1) for outs in tuples)
    blocks = layer.out_size**2 // config.p
    overhead = CONV_DRAIN + config.pe * config.p // config.r + (FRAME_OVERHEAD if image else 0)
    return LayerCost(blocks * groups * per_group + overhead, blocks * groups * len(tuples) * inputs)


def mode_costs(graph, mode, config):
    """Layer name -> LayerCost of every layer in the mode called `mode`."""
    return {layer.name: layer_cost(layer, graph.groups(mode, layer), config) for layer in graph.layers}


def frame_cost(graph, mode, config):
    """LayerCost of a whole frame in the mode called `mode`."""
    costs = mode_costs(graph, mode, config).values()
    return LayerCost(sum(cost.cycles for cost in costs), sum(cost.tiles for cost in costs))
