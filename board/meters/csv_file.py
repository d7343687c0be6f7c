"""Any meter that writes CSV: a time, a power (or a current and a voltage), and a marker."""

import csv
import datetime
from array import array
from pathlib import Path
from typing import Dict, Optional

import numpy as np

from board.errors import BoardError, need_file
from board.meters.recording import Recording

NAMES = {
    "time": ("time", "t", "timestamp", "seconds", "time_s", "time (s)", "time [s]"),
    "power": ("power", "p", "w", "watts", "power_w", "power (w)", "power [w]"),
    "current": ("current", "i", "a", "current_a", "current (a)", "current [a]"),
    "voltage": ("voltage", "v", "u", "voltage_v", "voltage (v)", "voltage [v]"),
    "marker": ("marker", "mark", "gpio", "gpi", "trigger", "uart"),
}
LONGEST = 20_000_000  # rows


def read_csv(
    path: Path, columns: Optional[Dict[str, str]] = None, scales: Optional[Dict[str, float]] = None, volt: float = 0.0
) -> Recording:
    """The recording in a CSV file with a line of headings; lines before it that begin with # are left out.

    The marker is a number that is high in a window, or the text of a serial port: the cell that says "gatefold begin" begins one, the
    one that says "gatefold end" ends it. Times are seconds, or dates in ISO 8601.

    Args:
        columns: of NAMES' keys, the headings in the file; else those of NAMES are looked for.
        scales: of NAMES' keys, what one unit in the file is in s, W, A or V.
        volt: the supply's voltage where the file has only a current.

    Raises:
        BoardError: it is no such file.
    """
    scales = scales or {}
    need_file(path, "name the meter's CSV file")
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            lines = (line for line in file if not line.startswith("#"))
            head = next(lines, "")
            delimiter = max(",;\t", key=head.count)
            headings = [heading.strip() for heading in next(csv.reader([head], delimiter=delimiter), [])]
            places = _places(path, headings, columns or {}, volt)
            column = _Columns(places)
            for row in csv.reader(lines, delimiter=delimiter):
                if len(row) > max(places.values()):  # a torn last line has fewer cells
                    column.add(row)
                if len(column.level) > LONGEST:
                    raise BoardError(f"{path} has more than {LONGEST:,} rows; cut it to the time of the measurement.")
    except OSError as problem:
        raise BoardError(f"{path} cannot be read ({problem.strerror}); name the meter's CSV file.") from None
    except csv.Error as problem:
        raise BoardError(f"{path} is no CSV file ({problem}); name the meter's CSV file.") from None
    values = {key: np.array(column.values[key]) * scales.get(key, 1.0) for key in column.values}
    times = values["time"]
    known = np.isfinite(times)
    if known.sum() < 2:
        heading = headings[places["time"]]
        raise BoardError(f"{path} has no times in column {heading!r:.40}; name it, e.g. csv:{path.name},time=Timestamp.")
    watts = values["power"] if "power" in values else values["current"] * values.get("voltage", volt)
    marks = _marks(path, column, headings[places["marker"]])
    # A line of the serial port's alone is no sample of the meter.
    samples = known & ~(np.isnan(watts) & np.array(column.texts, bool))
    identity = {"name": "csv", "file": path.name, "columns": {key: headings[place] for key, place in places.items()}}
    if volt:
        identity["volt"] = volt
    return Recording(times[samples], watts[samples], times[known], marks[known], 0.0, identity)


class _Columns:
    """The numbers of the rows, one by one: a file may have millions.

    Attributes:
        values: key of NAMES -> its numbers, NaN where there is none.
        texts, level: of each row, whether the marker is a text, and whether by the texts so far a window lasts.
    """

    def __init__(self, places):
        self.values = {key: array("d") for key in places}
        self.texts, self.level = array("b"), array("b")
        self._places, self._high = places, False

    def add(self, row):
        """Takes a row."""
        for key, kept in self.values.items():
            cell = row[self._places[key]].strip()
            kept.append(_time(cell) if key == "time" else _value(cell))
        text = row[self._places["marker"]]
        if "gatefold" in text:
            self._high = "begin" in text
        self.texts.append(int(bool(text.strip()) and np.isnan(self.values["marker"][-1])))
        self.level.append(int(self._high))


def _places(path, headings, columns, volt):
    """Key of NAMES -> place of its column."""
    lowered = [heading.lower() for heading in headings]
    places = {}
    for key, names in NAMES.items():
        wanted = [columns[key].lower()] if key in columns else [name for name in names if name in lowered]
        if wanted and wanted[0] in lowered:
            places[key] = lowered.index(wanted[0])
        elif key in columns:
            raise BoardError(f"{path} has no column {columns[key]!r:.40}; it has {', '.join(headings)!s:.200}.")
    if "power" in places:
        places.pop("current", None)
        places.pop("voltage", None)
    missing = [key for key in ("time", "marker") if key not in places]
    if "power" not in places and ("current" not in places or not ("voltage" in places or volt)):
        missing.append("power (or current and voltage)")
    if missing:
        raise BoardError(
            f"{path} has no column for {missing[0]}; its headings are {', '.join(headings)!s:.200}: name it, e.g. csv:{path.name},time=Timestamp."
        )
    if volt:
        places.pop("voltage", None)
    return places


def _value(cell):
    try:
        return float(cell)
    except ValueError:
        return np.nan


def _time(cell):
    try:
        return float(cell)
    except ValueError:
        pass
    try:
        return datetime.datetime.fromisoformat(cell.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return np.nan


def _marks(path, column, heading):
    """Whether a window lasts, bool [rows]."""
    numbers = np.array(column.values["marker"])
    if np.isfinite(numbers).any():
        low, high = np.nanmin(numbers), np.nanmax(numbers)
        if low == high:
            raise BoardError(f"{path} has the same value in all of {heading!r:.40}; wire the marker, or name its column.")
        return numbers > (low + high) / 2
    marks = np.array(column.level, bool)
    if not marks.any():
        raise BoardError(f"{path} has no mark in column {heading!r:.40}; wire the marker, or name its column.")
    return marks
