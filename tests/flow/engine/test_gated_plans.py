"""What gates of ACS take of the engine at both widths of their bottlenecks."""

import pytest

from flow.engine.boards import find_board
from flow.engine.cost import mode_costs
from flow.engine.memories import block_memories
from flow.engine.plan import plan
from flow.engine.select import choose
from flow.export.from_model import layer_graph
from flow.models import create

BOARD = find_board("pynq-z2")


def taken(network, gates):
    """(block memories, cycles of the gates / cycles of the rest) in the full mode, everything switched on."""
    graph = layer_graph(create(network, gates=gates).eval())
    config = plan(graph, choose(BOARD)).config
    costs = mode_costs(graph, "full", config)
    own = sum(costs[layer.name].cycles for layer in graph.layers if layer.gate and layer.name in costs)
    whole = sum(cost.cycles for cost in costs.values())
    return block_memories(config), own / (whole - own)


@pytest.mark.parametrize("network", ["resnet8", pytest.param("resnet38", marks=pytest.mark.slow)])
def test_a_quarter_of_the_width_halves_them(network):
    (memories, own), (half, least) = taken(network, "acs"), taken(network, "acs-quarter")
    assert half < 0.75 * memories and least < 0.5 * own
    assert half <= 140  # of an xc7z020
