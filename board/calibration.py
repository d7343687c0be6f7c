"""Two-point calibration: the file with what a meter read at two loads of known power."""

import json
import os
import time
from datetime import datetime, timezone
from pathlib import Path

from board.description import Damaged, is_number, need, read_object
from board.errors import BoardError, need_file
from board.meters.meter import Calibration, Meter
from board.meters.trace import Unusable, metered

APART = 1.2  # least ratio of the two powers


def read_calibration(path: Path, meter: str) -> Calibration:
    """The calibration of a meter.

    Args:
        meter: its name, which is to be that of the file.

    Raises:
        BoardError: there is none, it lacks a point, or is another meter's.
    """
    contents = _contents(path, meter)
    if len(contents["points"]) != 2:
        raise BoardError(f"{path} has {len(contents['points'])} of two points; add one with --calibrate W at another load.")
    return Calibration(tuple(tuple(point) for point in contents["points"]), contents["date"])


def calibrate(path: Path, meter: Meter, true_w: float, seconds: float) -> str:
    """Reads a meter at a load of known power and adds the point to a file; returns a line of text.

    Raises:
        BoardError: the meter cannot be used, the file is full or another meter's, or the two loads are too alike.
    """
    if not 0 < true_w < 1e4:
        raise BoardError(f"--calibrate is {true_w:g}; give the true power in W.")
    contents = _contents(path, meter.name) if path.exists() else {"meter": meter.name, "points": []}
    points = contents["points"]
    if len(points) == 2:
        raise BoardError(f"{path} has both points; remove it to calibrate anew.")
    meter.start()
    try:
        begin = time.monotonic()
        time.sleep(seconds)
        end = time.monotonic()
        times, watts = meter.samples()
    finally:
        meter.stop()
    try:
        read_w = metered(times, watts, begin, end, meter.step_w).joules / (end - begin)
    except Unusable as problem:
        raise BoardError(f"{meter.name} cannot be calibrated: {problem}; check its wiring.") from None
    for other_w, other_true in points:
        if max(true_w, other_true) < APART * min(true_w, other_true) or (true_w > other_true) != (read_w > other_w):
            raise BoardError(
                f"the points ({other_w:.4g} W read, {other_true:g} true) and ({read_w:.4g}, {true_w:g}) make no line; use loads that differ by {APART:g} times or more."
            )
    points.append([read_w, true_w])
    contents["date"] = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(json.dumps(contents) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return f"{meter.name} reads {read_w:.4f} W at {true_w:g} W; {path} has {len(points)} of two points\n"


def _contents(path, meter):
    need_file(path, "name another --calibration")
    try:
        contents = read_object(path)
        points = contents.get("points")
        need(
            isinstance(points, list)
            and len(points) in (1, 2)
            and all(
                isinstance(point, list) and len(point) == 2 and all(is_number(value, -1e4, 1e4) for value in point)
                for point in points
            )
            and (len(points) == 1 or points[0][0] != points[1][0])
            and isinstance(contents.get("date"), str),
            f"{path.name} has no points",
        )
    except (Damaged, OSError) as problem:
        raise BoardError(f"{path} holds no calibration ({problem}); make one with --calibrate W.") from None
    if contents.get("meter") != meter:
        raise BoardError(f"{path} is the calibration of {contents.get('meter')!r:.40}, not of {meter}; name another.")
    return contents
