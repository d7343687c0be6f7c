"""From a layer graph to everything the hardware is built from."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from flow.engine.config import Folding
from flow.engine.images import memory_images
from flow.engine.interface import INTERFACE_FILE
from flow.engine.plan import Plan, plan
from flow.engine.requant import Requantisations, check_matched, requantise
from flow.graph.layers import LayerGraph


@dataclass(frozen=True)
class Compiled:
    """A network laid out for one engine.

    Attributes:
        plan: `plan.config` holds the engine's parameters.
        images: file name -> text of every memory image.
    """

    graph: LayerGraph
    plan: Plan
    table: Requantisations
    images: dict[str, str]


def keep_modes(graph: LayerGraph, names: Iterable[str]) -> LayerGraph:
    """The graph with only the named modes, in the order given."""
    for name in names:
        graph.groups(name, graph.layers[0])
    return replace(graph, modes={name: graph.modes[name] for name in names}, ungated=graph.ungated.intersection(names))


def compile_graph(graph: LayerGraph, folding: Folding | None = None, layout: Plan | None = None) -> Compiled:
    """Plan, requantise and write the images of a layer graph.

    Args:
        folding: the default where omitted.
        layout: the plan of both, where there is one already.

    Raises:
        GatefoldError: the engine lacks something, or a channel cannot be requantised exactly.
    """
    layout = layout or plan(graph, folding)
    table = requantise(graph)
    check_matched(graph, table)
    return Compiled(graph, layout, table, memory_images(graph, layout, table))


def image_digest(images: dict[str, str]) -> str:
    """SHA-256 (hex) of memory images: file name -> text."""
    digest = hashlib.sha256()
    for name, text in sorted(images.items()):
        digest.update(f"{name}\0{text}\0".encode())
    return digest.hexdigest()


def build_hash(images: dict[str, str], parameters: dict[str, int], sources: Iterable[Path]) -> str:
    """SHA-256 (hex) of all that makes the hardware what it is: images, parameters, interface and RTL.

    Args:
        images: file name -> text of every memory image.
        parameters: EngineConfig.parameters().
        sources: paths of the RTL files.
    """
    digest = hashlib.sha256()
    for name, text in sorted(images.items()):
        digest.update(f"{name}\0{text}\0".encode())
    digest.update(json.dumps(parameters, sort_keys=True).encode())
    digest.update(INTERFACE_FILE.read_bytes())
    for path in sources:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def with_hash(parameters: dict[str, int], build_hash: str) -> dict[str, int]:
    """The parameters of the hardware with that of the register `build_hash`, the first 32 bits of the build hash."""
    return {**parameters, "BUILD_HASH": int(build_hash[:8], 16)}
