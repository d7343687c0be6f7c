"""From a layer graph to everything the hardware is built from."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from flow.engine.config import Folding
from flow.engine.images import network_memories, widths
from flow.engine.interface import INTERFACE_FILE
from flow.engine.network import network_image
from flow.engine.plan import Plan, plan
from flow.engine.requant import Requantisations, check_matched, requantise
from flow.graph.layers import LayerGraph


@dataclass(frozen=True)
class Compiled:
    """A network laid out for one engine.

    Attributes:
        plan: `plan.config` holds the engine's parameters.
        memories: name of a memory -> its words (`flow.engine.images`).
    """

    graph: LayerGraph
    plan: Plan
    table: Requantisations
    memories: dict[str, list[int]]

    def image(self, engine_hash: str, **changed: list[int]) -> bytes:
        """The network image for an engine.

        Args:
            engine_hash: the engine's SHA-256 in hex.
            changed: name of a memory -> words in the place of its own.
        """
        return network_image({**self.memories, **changed}, engine_hash, widths(self.plan.config), len(self.graph.modes))

    def program_image(self, engine_hash: str, program: list[int]) -> bytes:
        """A network image that writes another program, and nothing else."""
        return network_image({"program": program}, engine_hash, widths(self.plan.config), len(self.graph.modes))


def keep_modes(graph: LayerGraph, names: Iterable[str]) -> LayerGraph:
    """The graph with only the named modes, in the order given."""
    for name in names:
        graph.groups(name, graph.layers[0])
    return replace(graph, modes={name: graph.modes[name] for name in names}, ungated=graph.ungated.intersection(names))


def compile_graph(graph: LayerGraph, folding: Folding | None = None, layout: Plan | None = None) -> Compiled:
    """Plan, requantise and lay out the memories of a layer graph.

    Args:
        folding: the default where omitted.
        layout: the plan of both, where there is one already.

    Raises:
        GatefoldError: the engine lacks something, or a channel cannot be requantised exactly.
    """
    layout = layout or plan(graph, folding)
    table = requantise(graph)
    check_matched(graph, table)
    return Compiled(graph, layout, table, network_memories(graph, layout, table))


def engine_hash(parameters: dict[str, int], sources: Iterable[Path]) -> str:
    """SHA-256 (hex) of all that makes the hardware what it is: parameters, interface and RTL.

    Args:
        parameters: EngineConfig.parameters().
        sources: paths of the RTL files.
    """
    digest = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    digest.update(INTERFACE_FILE.read_bytes())
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def with_hash(parameters: dict[str, int], engine_hash: str) -> dict[str, int]:
    """The parameters of the hardware with that of the register `engine_hash`, the first 32 bits of the engine's hash."""
    return {**parameters, "ENGINE_HASH": int(engine_hash[:8], 16)}
