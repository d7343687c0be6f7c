"""What the gates of a network decided in each frame, and the tiles that are left of every layer."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import numpy as np

from board.description import Damaged, is_text, is_whole, need, read_object
from board.errors import BoardError

CHANNELS = 511  # that a layer counts at most


@dataclass(frozen=True)
class Gate:
    """A gate.

    Attributes:
        name: of the layer that decides.
        first, count: its decisions in a frame's record.
        layer: whether its one decision is about whole layers.
    """

    name: str
    first: int
    count: int
    layer: bool


@dataclass(frozen=True)
class Work:
    """A convolution as the engine computes it: tiles of some outputs and one input.

    Attributes:
        name: of the layer.
        blocks: of a map.
        inputs, outputs: kernels of an output, and outputs.
        per_tile: outputs of a tile at most.
        shuffle: whether its outputs lie shuffled.
        mask, when: names of the gates that say which outputs, and whether any, are computed; None: all, always.
        source: name of the layer whose masked outputs it reads; None: it reads all inputs.
        gate: whether it runs only where gates do.
        exit: name of the early exit that it belongs to, or None.
    """

    name: str
    blocks: int
    inputs: int
    outputs: int
    per_tile: int
    shuffle: bool
    mask: Optional[str]
    when: Optional[str]
    source: Optional[str]
    gate: bool
    exit: Optional[str]


def read_gates(gates: object, layers: object) -> Tuple[List[Gate], List[Work]]:
    """The gates and the convolutions of modes.json; Damaged if an entry is not one."""
    need(isinstance(gates, list) and isinstance(layers, list), "modes.json: gates and layers are no lists")
    found: Dict[str, Gate] = {}
    first = 0
    for entry in gates:
        need(
            isinstance(entry, dict)
            and is_text(entry.get("name"))
            and entry["name"] not in found
            and is_whole(entry.get("count"), 1, CHANNELS)
            and isinstance(entry.get("layer"), bool),
            f"modes.json: a gate is {entry!r:.60}",
        )
        found[entry["name"]] = Gate(entry["name"], first, entry["count"], entry["layer"])
        first += entry["count"]
    works: Dict[str, Work] = {}
    for entry in layers:
        need(isinstance(entry, dict) and set(entry) == set(Work.__annotations__), f"modes.json: a layer is {entry!r:.60}")
        work = Work(**entry)
        need(
            is_text(work.name)
            and work.name not in works
            and all(is_whole(value, 1, 4096) for value in (work.blocks, work.inputs, work.outputs, work.per_tile))
            and all(name is None or is_text(name) for name in (work.mask, work.when, work.source, work.exit))
            and isinstance(work.shuffle, bool)
            and isinstance(work.gate, bool)
            and (work.mask is None or work.mask in found and found[work.mask].count == work.outputs)
            and (work.when is None or work.when in found and found[work.when].layer)
            and (work.source is None or work.source in works and works[work.source].mask is not None),
            f"modes.json: layer {work.name!r:.40} is not whole",
        )
        works[work.name] = work
    return list(found.values()), list(works.values())


def read_forced(path: Path, gates: List[Gate]) -> np.ndarray:
    """Decisions to be forced, uint8 [all], from a JSON file: {gate: [0 or 1 for each of its decisions], or one 0 or 1 for all}.

    Raises:
        BoardError: the file is none, or does not say everything of all gates.
    """
    remedy = f"give {{{', '.join(f'{json.dumps(gate.name)}: 0, 1 or a list of {gate.count}' for gate in gates)}}}"
    try:
        contents = read_object(path)
    except FileNotFoundError:
        raise BoardError(f"{path} is missing; {remedy}.") from None
    except (Damaged, OSError) as problem:
        raise BoardError(f"{path} holds no decisions ({problem}); {remedy}.") from None
    unknown = sorted(set(contents) - {gate.name for gate in gates})
    if unknown:
        raise BoardError(f"{path} forces {unknown[0]!r:.60}, which is no gate; {remedy}.")
    decisions: List[int] = []
    for gate in gates:
        given = contents.get(gate.name)
        bits = [given] * gate.count if is_whole(given, 0, 1) else given
        if not (isinstance(bits, list) and len(bits) == gate.count and all(is_whole(bit, 0, 1) for bit in bits)):
            raise BoardError(f"{path} says {given!r:.60} of the gate {gate.name}; {remedy}.")
        decisions += bits
    return np.array(decisions, np.uint8)


def executed_tiles(
    gates: List[Gate], layers: List[Work], groups: Dict[str, int], gated: bool, decisions: np.ndarray
) -> Dict[str, np.ndarray]:
    """Tiles of every convolution in each of N frames of one mode.

    Args:
        groups: layer -> group count of the mode.
        gated: whether gates run in the mode.
        decisions: uint8 [N, all decisions].

    Returns:
        layer -> int64 [N].
    """
    frames, tiles = len(decisions), {}
    decided = {gate.name: decisions[:, gate.first : gate.first + gate.count].astype(np.int64) for gate in gates}
    works = {work.name: work for work in layers}
    for work in layers:
        if work.gate and not gated:
            continue
        outputs = np.ones((frames, work.outputs), np.int64)
        inputs = np.ones((frames, work.inputs), np.int64)
        if gated and work.mask is not None:
            outputs = decided[work.mask]
        if gated and work.source is not None:
            source = works[work.source]
            inputs = decided[source.mask]
            if source.shuffle:  # output a·n + b lies in slot b·16 + a, n = outputs / 16
                inputs = inputs.reshape(frames, 16, -1).transpose(0, 2, 1).reshape(frames, -1)
        n = groups[work.name]
        of_group = -(-outputs.reshape(frames, n, -1).sum(axis=2) // work.per_tile) * inputs.reshape(frames, n, -1).sum(axis=2)
        runs = decided[work.when][:, 0] if gated and work.when is not None else 1
        tiles[work.name] = work.blocks * of_group.sum(axis=1) * runs
    return tiles
