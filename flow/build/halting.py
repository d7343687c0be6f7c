"""Where the frames of a build stop, as `--exit`, `--budget` and `--confidence` ask for it: `board/exits.py` has the same for the board
program, which does without the flow, and `tests/board/test_exits_board.py` compares the two."""

import math
from collections.abc import Iterable
from typing import Any

from flow.errors import GatefoldError
from flow.graph.exits import OFF, Halting


def halting_of(
    contents: dict[str, Any],
    modes: Iterable[str],
    number: int | None = None,
    budget: int | None = None,
    confidence: str | None = None,
) -> dict[str, Halting] | None:
    """Mode name -> where its frames stop, of all modes; None where nothing is asked for.

    Args:
        contents: of a deploy folder's modes.json (`flow.build.deploy`).
        modes: names of those of the frames.
        number: of an exit, that of the network's own classifier behind the last.
        budget: cycles that no frame of these modes may take more of.
        confidence: margin of the real logits, or a comma list of one for each exit.

    Raises:
        GatefoldError: the build has no exits, or no such exit, or the budget is below all of them.
    """
    asked = {"exit": number, "budget": budget, "confidence": confidence}
    chosen = next((name for name, value in asked.items() if value is not None), None)
    if chosen is None:
        return None
    count, names = len(contents["exits"]), [mode["name"] for mode in contents["modes"]]
    if not count:
        raise GatefoldError(f"{contents['model']} has no early exits; leave out --{chosen}.")
    if chosen == "exit":
        if not 0 <= number <= count:
            raise GatefoldError(f"--exit is {number}; give 0 to {count - 1}, or {count} for the network's own classifier.")
        return dict.fromkeys(names, Halting.at(number, count))
    if chosen == "confidence":
        return dict.fromkeys(names, Halting((OFF,) * count, _margins(contents["exits"], confidence)))
    described = {mode["name"]: mode for mode in contents["modes"]}
    return dict.fromkeys(names, Halting.nowhere(count)) | {name: _within(described[name], budget) for name in modes}


def _within(mode, budget):
    """A frame stops at an exit where what is left of the budget is too little for any later end."""
    least = min(mode["cycles_model"], *(exit["cycles_model"] for exit in mode["exits"]))
    if budget < least:
        raise GatefoldError(
            f"--budget is {budget} cycles and a frame in mode {mode['name']} takes up to {least} to the nearest exit; give at least that."
        )
    limits = tuple(min(max(budget - exit["onward"] + 1, 0), OFF) for exit in mode["exits"])
    return Halting(limits, (OFF,) * len(limits))


def _margins(exits, confidence):
    try:
        given = [float(part) for part in confidence.split(",")]
    except ValueError:
        given = []
    if len(given) not in (1, len(exits)) or not all(math.isfinite(value) and value >= 0 for value in given):
        raise GatefoldError(
            f"--confidence is {confidence!r:.60}; give a margin of the logits, 0 or more, or one for each exit: {len(exits)} with commas."
        )
    given = given * len(exits) if len(given) == 1 else given
    return tuple(min(math.ceil(value / exit["logit_scale"]), OFF - 1) for value, exit in zip(given, exits, strict=True))
