"""What the record of a frame says, from the integer model and the cycle model."""

from typing import Any

from flow.engine.config import EngineConfig
from flow.engine.cost import LayerCost, frame_cost, mode_costs
from flow.engine.plan import record_decisions
from flow.graph.exits import Course, Halting, lead, reached
from flow.graph.integer import Result
from flow.graph.layers import LayerGraph


def frame_costs(
    graph: LayerGraph, config: EngineConfig, mode: str, result: Result, row: int, halting: Halting | None = None
) -> tuple[dict[str, LayerCost], int]:
    """Costs of the layers that one frame of a batch executes, and the number of the exit at which it stops, `len(graph.exits)` for the
    network's end.

    Args:
        result: of the whole network in that mode; row: the frame's.
        halting: None: no frame stops early.
    """
    decisions = {name: bits[row] for name, bits in result.decisions.items()}
    leads = {name: int(lead(logits[row : row + 1])[0]) for name, logits in result.exit_logits.items()}
    course = Course(halting or Halting.nowhere(len(graph.exits)), leads)
    return mode_costs(graph, mode, config, decisions, course), course.exit


def frame_record(
    graph: LayerGraph, config: EngineConfig, mode: str, result: Result, row: int, halting: Halting | None = None
) -> dict[str, Any]:
    """The words `mode`, `exit`, `class`, `cycles` and `tiles` of a frame's record, its `logits` and `decisions` (lists of int); as
    `frame_costs`.

    Gates behind the exit where a frame stops decide nothing: 0, as do decisions that the engine has and the network has not.
    """
    costs, exit = frame_costs(graph, config, mode, result, row, halting)
    passed = reached(graph, exit)
    decisions = {gate.name: result.decisions[gate.name][row] for gate in passed if gate.name in result.decisions}
    logits = result.stations[passed[-1].name][row]
    bits = record_decisions(graph, decisions).tolist()
    return {
        "mode": list(graph.modes).index(mode),
        "exit": exit,
        "class": int(logits.argmax()),
        "cycles": sum(cost.cycles for cost in costs.values()),
        "tiles": sum(cost.tiles for cost in costs.values()),
        "logits": logits.tolist(),
        "decisions": [*bits, *[0] * (config.decisions - len(bits))],
    }


def exit_cycles(graph: LayerGraph, config: EngineConfig, mode: str) -> list[tuple[int, int]]:
    """(cycles of a frame that stops there, cycles from its branch on, which is not computed, to the nearest later end: at an exit or of the
    network) of each exit; with everything switched on which gates decide, and no other branch computed.

    The network's own end may be nearer than the next exit's, whose convolutions have no groups.
    """
    count = len(graph.exits)
    courses = [Course(Halting.at(number, count)) for number in range(count + 1)]
    ends = [frame_cost(graph, mode, config, course=course).cycles for course in courses]
    onward = [min(ends[number + 1 :]) - courses[-1].arrived[number] for number in range(count)]
    return list(zip(ends, onward))
