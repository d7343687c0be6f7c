"""Early exits: where frames stop, and what that leaves of a network's layers."""

import math
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from board.description import Mode, is_number, is_text, need
from board.errors import BoardError
from board.gates import Work

OFF = 2**32 - 1  # limit that no frame reaches, and margin of an exit that is not looked at
MOST = 255  # exits


@dataclass(frozen=True)
class Exit:
    """An early exit.

    Attributes:
        name: of its classifier.
        logit_scale: what one unit of its logits stands for.
    """

    name: str
    logit_scale: float


@dataclass(frozen=True)
class Halting:
    """Where frames stop, as the accelerator's registers have it, for each exit in order.

    Attributes:
        limits: index of a mode -> cycles from which on a frame that comes there stops there.
        margins: by which its best logit leads the second where another one stops there; OFF: its branch is not computed.
    """

    limits: Dict[int, Tuple[int, ...]]
    margins: Tuple[int, ...]


def read_exits(exits: object, modes: Sequence[Mode], layers: Sequence[Work]) -> List[Exit]:
    """The exits of modes.json; Damaged if an entry is not one, or modes or layers know others."""
    need(isinstance(exits, list) and len(exits) <= MOST, "modes.json: exits is no list of them")
    found: List[Exit] = []
    for entry in exits:
        need(
            isinstance(entry, dict)
            and is_text(entry.get("name"))
            and entry["name"] not in [exit.name for exit in found]
            and is_number(entry.get("logit_scale"), 0, 1e9)
            and entry["logit_scale"] > 0,
            f"modes.json: an exit is {entry!r:.60}",
        )
        found.append(Exit(entry["name"], entry["logit_scale"]))
    for mode in modes:
        need(len(mode.exits) == len(found), f"modes.json: mode {mode.name} has {len(mode.exits)} exits, not {len(found)}")
    branches = [layer.exit for layer in layers if layer.exit is not None]
    need(list(dict.fromkeys(branches)) == [exit.name for exit in found], "modes.json: layers and exits do not fit")
    return found


def halting_of(
    exits: Sequence[Exit], modes: Sequence[Mode], number: Optional[int], budget: Optional[int], confidence: Optional[str]
) -> Optional[Halting]:
    """What one of --exit, --budget and --confidence asks for; None where none does.

    Args:
        modes: those of the frames.
        number: of an exit, that of the network's own classifier behind the last.
        budget: cycles that no frame may take more of.
        confidence: margin of the real logits, or a comma list of one for each exit.

    Raises:
        BoardError: there is no such exit, or the budget is below all of them.
    """
    count = len(exits)
    off = (OFF,) * count
    nowhere = {mode.index: off for mode in modes}
    if number is not None:
        if not 0 <= number <= count:
            raise BoardError(f"--exit is {number}; give 0 to {count - 1}, or {count} for the network's own classifier.")
        limits = tuple(0 if exit == number else OFF for exit in range(count))
        return Halting(dict.fromkeys(nowhere, limits), off)
    if budget is not None:
        return Halting({mode.index: _limits(mode, budget) for mode in modes}, off)
    if confidence is not None:
        return Halting(nowhere, _margins(exits, confidence))
    return None


def _limits(mode, budget):
    """A frame stops at an exit where what is left of the budget is too little for any later end."""
    least = min(mode.cycles, *(cycles for cycles, _ in mode.exits))
    if budget < least:
        raise BoardError(
            f"--budget is {budget} cycles and a frame in mode {mode.name} takes up to {least} to the nearest exit; give at least that."
        )
    return tuple(min(max(budget - onward + 1, 0), OFF) for _, onward in mode.exits)


def _margins(exits, confidence):
    try:
        given = [float(part) for part in confidence.split(",")]
    except ValueError:
        given = []
    if len(given) not in (1, len(exits)) or not all(math.isfinite(value) and value >= 0 for value in given):
        raise BoardError(
            f"--confidence is {confidence!r:.60}; give a margin of the logits, 0 or more, or one for each exit: {len(exits)} with commas."
        )
    given = given * len(exits) if len(given) == 1 else given
    return tuple(min(math.ceil(value / exit.logit_scale), OFF - 1) for value, exit in zip(given, exits))


def computed(exits: Sequence[Exit], layers: Sequence[Work], stopped: np.ndarray, halting: Optional[Halting]) -> np.ndarray:
    """Which convolutions run in frames that stopped at given exits, bool [layers, N].

    Args:
        stopped: int64 [N], number of each frame's exit.
    """
    names, at, runs = [exit.name for exit in exits], 0, []
    for layer in layers:
        if layer.exit is None:
            runs.append(stopped >= at)
            continue
        number = names.index(layer.exit)
        looked = halting is not None and halting.margins[number] != OFF
        runs.append((stopped == number) | (looked & (stopped > number)))
        at = number + 1
    return np.array(runs, bool).reshape(len(layers), len(stopped))
