"""Reading the energy log that the board program writes (docs/energy-log.md)."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flow.errors import GatefoldError

FORMAT = 1
KINDS = ("measured", "modelled")
"""Of energy; the two never share a column."""


@dataclass(frozen=True)
class Result:
    """What one session found of one setting.

    Attributes:
        line: of the log, from 1 on.
        network, build, board, clock_mhz, simulated, session, time, kind: as in the log.
        meter: its name.
        mode, gates, gate_threshold, layer_threshold, exit, budget_cycles, confidence: the setting.
        millijoule, low, high: mean energy of an inference of the whole board, and its 95 % interval (None: one window).
        above_idle: the same above what the idle board takes, or None.
        power, idle: W, or None; fps; latency: ms; cycles, tiles: of a frame, means.
        saved: computation saved, below 1; accuracy: 0…1 or None, and accuracy_of which images ("frames", "build").
        problems: sentences.
    """

    line: int
    network: str
    build: str
    board: str
    clock_mhz: float
    simulated: bool
    session: str
    time: str
    kind: str
    meter: str
    mode: str
    gates: str | None
    gate_threshold: int | None
    layer_threshold: int | None
    exit: int | None
    budget_cycles: int | None
    confidence: str | None
    millijoule: float
    low: float | None
    high: float | None
    above_idle: float | None
    power: float | None
    idle: float | None
    fps: float
    latency: float | None
    cycles: float
    tiles: float
    saved: float
    accuracy: float | None
    accuracy_of: str | None
    problems: tuple[str, ...]

    @property
    def setting(self) -> str:
        """The setting in words, the same for the same."""
        parts = [self.mode]
        if self.gates == "forced":
            parts.append("gates forced")
        parts += [
            f"{what} {value}"
            for what, value in (("gates from", self.gate_threshold), ("layers from", self.layer_threshold))
            if value
        ]
        if self.budget_cycles is not None:
            parts.append(f"within {self.budget_cycles} cycles")
        elif self.confidence is not None:
            parts.append(f"confidence {self.confidence}")
        elif self.exit is not None:
            parts.append(f"exit {self.exit}")
        return ", ".join(parts)

    @property
    def design(self) -> tuple[str, str, str, float, bool]:
        """What is alike in a table: network, build, board, clock in MHz, whether simulated."""
        return self.network, self.build, self.board, self.clock_mhz, self.simulated


def read_results(path: Path) -> list[Result]:
    """The results in a log, in order; records of other kinds are passed over, and so is a torn last line.

    Raises:
        GatefoldError: it cannot be read, is no log, a line before the last is damaged, or there is no result in it.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as problem:
        raise GatefoldError(f"{path} cannot be read ({problem.strerror}); name a log of board/run.py --measure.") from None
    results = []
    damaged = 0
    for number, line in enumerate(lines[:-1], 1):  # what follows the last end of line is torn or empty
        try:
            record = json.loads(line)
            kind = record["record"]
        except (ValueError, TypeError, KeyError, RecursionError):
            damaged = damaged or number
            continue
        if damaged:
            break
        if record.get("format") != FORMAT:
            raise GatefoldError(f"{path} is no energy log of format {FORMAT} (line {number}); use the gatefold that wrote it.")
        if kind == "result":
            results.append(_result(path, number, record))
    if damaged and (damaged < len(lines) - 1 or not results):
        raise GatefoldError(f"{path} is no energy log, or damaged in line {damaged}; name another, or take that line out.")
    if not results:
        raise GatefoldError(f"{path} holds no results yet; measure with board/run.py --measure --log {path}.")
    return results


def _result(path, line, record):
    def value(key, kinds, holder=record, optional=False):
        found = holder.get(key) if isinstance(holder, dict) else None
        whole = isinstance(found, kinds) and (not isinstance(found, bool) or kinds is bool)
        if whole and (not isinstance(found, float) or math.isfinite(found)) or optional and found is None:
            return found
        raise GatefoldError(f"{path}, line {line}: a result's {key} is {found!r:.40}; take that line out, or name another log.")

    number: Any = (int, float)
    energy = record.get("energy_per_inference_mj")
    result = Result(
        line,
        *(value(key, str) for key in ("network", "build", "board")),
        value("clock_mhz", number),
        value("simulated", bool),
        *(value(key, str) for key in ("session", "time", "kind")),
        value("name", str, record.get("meter")),
        value("mode", str),
        value("gates", str, optional=True),
        *(value(key, int, optional=True) for key in ("gate_threshold", "layer_threshold", "exit", "budget_cycles")),
        value("confidence", str, optional=True),
        value("mean", number, energy),
        *(value(key, number, energy, True) for key in ("low", "high")),
        *(value(key, number, optional=True) for key in ("energy_above_idle_mj", "power_w", "idle_w")),
        value("fps", number),
        value("latency_ms", number, optional=True),
        *(value(key, number) for key in ("cycles_per_frame", "tiles_per_frame", "computation_saved")),
        value("accuracy", number, optional=True),
        value("accuracy_of", str, optional=True),
        tuple(map(str, value("problems", list))),
    )
    if result.kind not in KINDS:
        raise GatefoldError(f"{path}, line {line}: energy is measured or modelled, not {result.kind!r:.40}; name another log.")
    return result
