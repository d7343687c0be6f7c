"""Any meter that writes CSV: a time, a power (or a current and a voltage), and a marker."""

import csv
import datetime
from pathlib import Path
from typing import Dict, List, Optional

import numpy as np

from board.errors import BoardError
from board.meters.recording import Recording

NAMES = {
    "time": ("time", "t", "timestamp", "seconds", "time_s", "time (s)", "time [s]"),
    "power": ("power", "p", "w", "watts", "power_w", "power (w)", "power [w]"),
    "current": ("current", "i", "a", "current_a", "current (a)", "current [a]"),
    "voltage": ("voltage", "v", "u", "voltage_v", "voltage (v)", "voltage [v]"),
    "marker": ("marker", "mark", "gpio", "gpi", "trigger", "uart"),
}
LONGEST = 50_000_000  # rows


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
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            lines = (line for line in file if not line.startswith("#"))
            head = next(lines, "")
            delimiter = max(",;\t", key=head.count)
            headings = [heading.strip() for heading in next(csv.reader([head], delimiter=delimiter), [])]
            places = _places(path, headings, columns or {}, volt)
            cells: List[List[str]] = [[] for _ in places]
            for row in csv.reader(lines, delimiter=delimiter):
                if len(row) > max(places.values()):  # a torn last line has fewer cells
                    for kept, place in zip(cells, places.values()):
                        kept.append(row[place].strip())
                if len(cells[0]) > LONGEST:
                    raise BoardError(f"{path} has more than {LONGEST:,} rows; cut it to the time of the measurement.")
    except OSError as problem:
        raise BoardError(f"{path} cannot be read ({problem.strerror}); name the meter's CSV file.") from None
    except csv.Error as problem:
        raise BoardError(f"{path} is no CSV file ({problem}); name the meter's CSV file.") from None
    column = dict(zip(places, cells))
    times = np.array([_time(cell) for cell in column["time"]], np.float64) * scales.get("time", 1.0)
    marker = column["marker"]
    known = np.isfinite(times)
    if known.sum() < 2:
        raise BoardError(
            f"{path} has no times in column {headings[places['time']]!r:.40}; name it, e.g. csv:{path.name},time=Timestamp."
        )
    values = {
        key: np.array([_value(cell) for cell in column[key]]) * scales.get(key, 1.0)
        for key in places
        if key not in ("time", "marker")
    }
    if "power" in values:
        watts = values["power"]
        said = column["power"]
    else:
        watts = values["current"] * (values["voltage"] if "voltage" in values else volt)
        said = column["current"]
    only_mark = np.array([not reading and bool(mark) for reading, mark in zip(said, marker)])  # a line of the serial port's alone
    marks = _marks(path, marker, headings[places["marker"]])
    samples = known & ~only_mark
    identity = {"name": "csv", "file": path.name, "columns": {key: headings[place] for key, place in places.items()}}
    if volt:
        identity["volt"] = volt
    return Recording(times[samples], watts[samples], times[known], marks[known], 0.0, identity)


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


def _marks(path, cells, heading):
    numbers = np.array([_value(cell) for cell in cells])
    if np.isfinite(numbers).any():
        low, high = np.nanmin(numbers), np.nanmax(numbers)
        if low == high:
            raise BoardError(f"{path} has the same value in all of {heading!r:.40}; wire the marker, or name its column.")
        return numbers > (low + high) / 2
    marks, level = np.zeros(len(cells), bool), False
    for number, cell in enumerate(cells):
        if "gatefold" in cell:
            level = "begin" in cell
        marks[number] = level
    if not marks.any():
        raise BoardError(f"{path} has no mark in column {heading!r:.40}; wire the marker, or name its column.")
    return marks
