"""Accuracy against energy: the tables of a log, in Markdown and as CSV."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flow.measurements.log import KINDS, Result

OF_A_KIND = {
    "mj": "millijoule",
    "mj_low": "low",
    "mj_high": "high",
    "mj_above_idle": "above_idle",
    "power_w": "power",
    "idle_w": "idle",
    "meter": "meter",
    "session": "session",
    "time": "time",
}
"""Key of a record -> attribute of a Result."""


@dataclass(frozen=True)
class Row:
    """One setting of a design.

    Attributes:
        setting: in words.
        results: kind -> its latest Result.
        saved: kind -> energy saved against the baseline of that kind, below 1; a kind whose baseline is not known is left out.
    """

    setting: str
    results: dict[str, Result]
    saved: dict[str, float]

    @property
    def any(self) -> Result:
        """For what does not depend on the kind: a measured result if there is one."""
        return next(self.results[kind] for kind in KINDS if kind in self.results)


@dataclass(frozen=True)
class Table:
    """The settings of one design: a network's build on a board at a clock.

    Attributes:
        title: network, board, clock, build.
        rows: in the order of the computation saved.
        kinds: of energy that occur.
        baselines: kind -> name of the setting against which energy is saved.
        notes: sentences below the table.
    """

    title: str
    rows: list[Row]
    kinds: list[str]
    baselines: dict[str, str]
    notes: list[str]


def tables(results: Sequence[Result]) -> list[Table]:
    """The tables of a log, one for each design. Of several results of one setting and kind the latest counts."""
    return [
        _table([result for result in results if result.design == design]) for design in dict.fromkeys(r.design for r in results)
    ]


def _table(results):
    latest: dict[tuple[str, str], Result] = {}
    for result in results:
        latest[result.setting, result.kind] = result
    kinds = [kind for kind in KINDS if any(kind == each for _, each in latest)]
    baselines = {kind: found for kind in kinds if (found := _baseline(latest, kind)) is not None}
    rows = []
    for setting in dict.fromkeys(setting for setting, _ in latest):
        own = {kind: latest[setting, kind] for kind in kinds if (setting, kind) in latest}
        saved = {kind: 1 - own[kind].millijoule / baselines[kind].millijoule for kind in own if kind in baselines}
        rows.append(Row(setting, own, saved))
    rows.sort(key=lambda row: row.any.saved)
    first = results[0]
    where = f"{'simulated ' if first.simulated else ''}{first.board}"
    return Table(
        f"{first.network} on {where}, {first.clock_mhz:g} MHz, build {first.build[:8]}",
        rows,
        kinds,
        {kind: baseline.setting for kind, baseline in baselines.items()},
        _notes(results, latest, kinds, baselines),
    )


def _baseline(latest, kind):
    """The full network, as DDI compares: no gate runs, no exit stops, and of several modes the one that saves least."""
    last = max((result.exit for result in latest.values() if result.exit is not None), default=None)
    whole = [
        result
        for (_, own), result in latest.items()
        if own == kind
        and result.gates in (None, "off")
        and result.exit in (None, last)
        and result.budget_cycles is None
        and result.confidence is None
        and abs(result.saved) < 1e-9
    ]
    return whole[0] if whole else None


def _notes(results, latest, kinds, baselines):
    notes = []
    for kind in kinds:
        own = [result for (_, each), result in latest.items() if each == kind]
        meters = ", ".join(dict.fromkeys(result.meter for result in own))
        notes.append(
            f"Energy of the whole board, {kind} (meter: {meters})." if kind == "measured" else f"Energy {kind}, by no meter."
        )
        if kind in baselines:
            notes.append(f"Energy saved, {kind}: against {baselines[kind].setting}.")
        else:
            notes.append(
                f"Energy saved, {kind}: not known, since the full mode without gates and exits is not in the log; measure it too."
            )
    if results[0].simulated:
        notes.append("Latency and frames/s are those of the simulated accelerator at that clock.")
    of = {result.accuracy_of for result in latest.values() if result.accuracy is not None}
    names = {"frames": "the labelled images that were run", "build": "the data set's test images, before the build"}
    notes += [f"Accuracy: of {' or '.join(names.get(each, str(each)) for each in sorted(map(str, of)))}."] if of else []
    earlier = len(results) - len(latest)
    notes += [f"{earlier} earlier result{'s' if earlier > 1 else ''} of these settings left out."] if earlier else []
    notes += list(dict.fromkeys(f"{result.setting}: {said}" for result in latest.values() for said in result.problems))
    return notes


def overview(table: Table) -> list[list[str]]:
    """In the layout of DDI's table I: a column a setting; computation saved, energy saved, accuracy. The first row names the settings."""
    lines = [["", *(row.setting for row in table.rows)]]
    lines.append(["Computation saved, %", *(f"{100 * row.any.saved:.2f}" for row in table.rows)])
    for kind in table.kinds:
        lines.append([f"Energy saved, %, {kind}", *(_percent(row.saved.get(kind)) for row in table.rows)])
    lines.append(["Accuracy, %", *(_percent(row.any.accuracy) for row in table.rows)])
    return lines


def details(table: Table) -> list[list[str]]:
    """Everything of each setting, a row a setting; the first row names the columns."""
    header = ["setting", "computation saved, %"]
    for kind in table.kinds:
        header += [f"energy saved, %, {kind}", f"mJ an inference, {kind}", f"95 % interval, {kind}", f"mJ above idle, {kind}", f"W, {kind}", f"W idle, {kind}"]  # fmt: skip
    header += ["accuracy, %", "latency, ms", "frames/s", "cycles a frame"]
    lines = [header]
    for row in table.rows:
        line = [row.setting, f"{100 * row.any.saved:.2f}"]
        for kind in table.kinds:
            result = row.results.get(kind)
            if result is None:
                line += ["–"] * 6
                continue
            interval = "–" if result.low is None or result.high is None else f"{result.low:.4g} to {result.high:.4g}"
            line += [
                _percent(row.saved.get(kind)),
                f"{result.millijoule:.4g}",
                interval,
                *map(_figure, (result.above_idle, result.power, result.idle)),
            ]
        each = row.any
        lines.append([*line, _percent(each.accuracy), _figure(each.latency), f"{each.fps:,.0f}", f"{each.cycles:,.0f}"])
    return lines


def markdown(found: Sequence[Table]) -> str:
    """All tables."""
    parts = []
    for table in found:
        parts += [
            f"## {table.title}",
            _markdown(overview(table)),
            _markdown(details(table)),
            "\n".join(f"- {note}" for note in table.notes),
        ]
    return "\n\n".join(parts) + "\n"


def records(found: Sequence[Table]) -> list[dict[str, Any]]:
    """One a setting, with keys of its own for each kind of energy; shares 0…1, None where nothing is known."""
    return [_record(row) for table in found for row in table.rows]


def to_csv(found: Sequence[Table]) -> str:
    """`records` as CSV, empty where nothing is known."""
    lines = records(found)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _record(row):
    each = row.any
    design = ("network", "build", "board", "clock_mhz", "simulated")
    setting = ("mode", "gates", "gate_threshold", "layer_threshold", "exit", "budget_cycles", "confidence")
    record = (
        {name: getattr(each, name) for name in design} | {"setting": row.setting} | {name: getattr(each, name) for name in setting}
    )
    record |= {"computation_saved": each.saved, "accuracy": each.accuracy, "accuracy_of": each.accuracy_of}
    record |= {"latency_ms": each.latency, "fps": each.fps, "cycles": each.cycles, "tiles": each.tiles}
    for kind in KINDS:
        one = row.results.get(kind)
        record[f"energy_saved_{kind}"] = row.saved.get(kind)
        for name, key in OF_A_KIND.items():
            record[f"{name}_{kind}"] = None if one is None else getattr(one, key)
    return record


def _markdown(lines):
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    rule = ["---", *["---:"] * (len(lines[0]) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (cells[0], rule, *cells[1:]))


def _percent(value):
    return "–" if value is None else f"{100 * value:.2f}"


def _figure(value):
    return "–" if value is None else f"{value:.4g}"
