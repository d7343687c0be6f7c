"""The simulated accelerator against the integer model and the cycle model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flow.engine.compile import Compiled
from flow.engine.config import EngineConfig
from flow.engine.frame import frame_record
from flow.engine.images import bias_words
from flow.engine.program import program_words
from flow.errors import GatefoldError
from flow.graph.exits import Halting
from flow.graph.integer import Result, run
from flow.graph.layers import LayerGraph

CYCLE_TOLERANCE = 0.02
"""The RTL stays this close to the cycle model, in every mode."""


@dataclass
class Verification:
    """What the comparison saw.

    Attributes:
        frames: compared frames.
        cycles: mode name -> simulated clock cycles of a frame, the largest seen.
        tiles: mode name -> executed tiles of a frame, the most seen.
        layers: mode name -> {layer name: simulated clock cycles}, see `layer_cycles`.
        exits: mode name -> simulated clock cycles of a frame that stops at each early exit, the largest seen.
    """

    frames: int
    cycles: dict[str, int]
    tiles: dict[str, int]
    layers: dict[str, dict[str, int]]
    exits: dict[str, list[int]] = field(default_factory=dict)


def compare(
    graph: LayerGraph,
    config: EngineConfig,
    records: Sequence[dict[str, Any]],
    images: np.ndarray,
    modes: Sequence[str],
    halting: Halting | Mapping[str, Halting] | None = None,
    results: dict[str, Result] | None = None,
) -> Verification:
    """Compare result records with the integer model.

    Args:
        records: of each frame, the record's words by name, `logits` and `decisions`.
        images: uint8 [N, height, width, colours].
        modes: name of each frame's mode, [N].
        halting: where the frames were to stop, in all modes or by mode name; None: at the end.
        results: mode name -> Result of its frames; where they are missing they are added.

    Raises:
        GatefoldError: a result differs, or the cycles leave the model's tolerance; names frame and mode.
    """
    planes = np.ascontiguousarray(np.asarray(images).transpose(0, 3, 1, 2))  # of colours
    results = {} if results is None else results
    seen = Verification(len(records), {}, {}, {})
    for mode in dict.fromkeys(modes):
        told = halting[mode] if isinstance(halting, Mapping) else halting
        frames = [number for number, name in enumerate(modes) if name == mode]
        if mode not in results:
            results[mode] = run(graph, planes[frames], mode)
        for row, frame in enumerate(frames):
            record = records[frame]
            expected = {**frame_record(graph, config, mode, results[mode], row, told), "status": 0}
            cycles = expected.pop("cycles")
            record = {**record, "decisions": list(record["decisions"][: config.decisions])}
            for word, value in expected.items():
                if record[word] != value:
                    raise GatefoldError(
                        f"frame {frame} in mode {mode}: the simulated accelerator gives {word} {record[word]}, the integer "
                        f"model {value}; report this with the model's weights, it is an error of the hardware."
                    )
            if abs(record["cycles"] - cycles) > CYCLE_TOLERANCE * cycles:
                raise GatefoldError(
                    f"frame {frame} in mode {mode} takes {record['cycles']} cycles, the cycle model says {cycles}; "
                    "report this, it is an error of the hardware or of flow/engine/cost.py."
                )
            seen.cycles[mode] = max(seen.cycles.get(mode, 0), record["cycles"])
            seen.tiles[mode] = max(seen.tiles.get(mode, 0), record["tiles"])
    return seen


def layer_cycles(
    compiled: Compiled, library: Path, engine_hash: str, on_layer: Callable[[str], object] = lambda name: None
) -> dict[str, dict[str, int]]:
    """Simulated clock cycles in every mode of every layer but those of exits, which are passed.

    The program is cut short behind each layer in turn; a layer takes what the frame gets longer by. The first one
    includes the frame's start and end, one behind an exit the way past it. Gates are made to switch everything on.

    Args:
        library: the simulation library.
        engine_hash: of the engine in it, SHA-256 in hex.
        on_layer: called with each layer's name.

    Returns:
        mode name -> {layer name: cycles}.
    """
    from flow.simulation.simulator import Simulator

    graph, first = compiled.graph, compiled.graph.layers[0]
    programs = {mode: graph.executed(mode) for mode in graph.modes}
    names = {mode: [layer.name for layer in layers if not layer.exit] for mode, layers in programs.items()}
    black = np.zeros((1, first.in_size, first.in_size, first.in_channels), np.uint8)
    until = {mode: [0] for mode in graph.modes}
    changed = {"fc_bias": bias_words(graph, compiled.plan, on=True)} if graph.gates else {}
    with Simulator(library, compiled.image(engine_hash, **changed)) as simulator:
        for count, layer in enumerate(max(programs.values(), key=len), 1):
            on_layer(layer.name)
            simulator.load(compiled.program_image(engine_hash, program_words(graph, compiled.plan, compiled.table, length=count)))
            for index, mode in enumerate(graph.modes):
                if count > len(programs[mode]) or programs[mode][count - 1].exit:
                    continue
                (record,), _ = simulator.run(black, index)
                until[mode].append(record["cycles"])
    return {mode: dict(zip(names[mode], np.diff(ends).tolist(), strict=True)) for mode, ends in until.items()}
