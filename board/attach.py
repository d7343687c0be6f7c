"""`board/run.py --attach`: the energies of a measurement whose meter recorded into a file of its own."""

import argparse
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterable, Tuple

from board.calibration import read_calibration
from board.energy_log import EnergyLog
from board.errors import BoardError
from board.meters import open_recording
from board.meters.recording import pieces
from board.meters.trace import Unusable, metered
from board.summary import name_of, result_of, table


def attach(args: argparse.Namespace) -> Tuple[dict, Iterable[str]]:
    """Gives the last measurement of the log that waits for a recording its energies; returns what --json prints, and the table.

    Raises:
        BoardError: no measurement waits, or the recording is not that of the measurement.
    """
    recording = open_recording(args.attach)
    calibration = args.calibration and read_calibration(Path(args.calibration), recording.identity["name"])
    log = EnergyLog(args.log)
    try:
        session = _waiting(log)
        mine = [record for record in log.records if record.get("session") == session["session"]]
        windows = {record["number"]: dict(record) for record in mine if record["record"] == "window"}
        missing = [number for number in range(len(session["order"])) if number not in windows]
        if missing:
            raise BoardError(
                f"the measurement {session['session']} lacks {len(missing)} of its {len(session['order'])} windows; go on with it on the board first."
            )
        numbers = sorted(windows)
        for number, piece in zip(numbers, pieces(recording, [windows[number]["seconds"] for number in numbers])):
            watts = calibration.apply(piece.watts) if calibration else piece.watts
            try:
                energy = metered(piece.times, watts, piece.begin, piece.end, recording.step_w)
            except Unusable as problem:
                raise BoardError(f"the recording cannot be used for window {number + 1}: {problem}; measure again.") from None
            # The pulse's length is the meter's clock; the power is per second of it, and the window is the board's.
            window = windows[number]
            window["joules"] = energy.joules / (piece.end - piece.begin) * window["seconds"]
            window["samples"], window["samples_per_s"] = energy.samples, energy.samples_per_s
            window["sampling_error"] = energy.sampling_error
            window["problems"] = [*window["problems"], *piece.problems, *energy.problems]

        def append(record, contents):
            now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
            return log.append({"record": record, "session": session["session"], "time": now, **contents})

        about = {key: session[key] for key in ABOUT}
        about["meter"], about["calibration"] = recording.identity, calibration.as_json() if calibration else None
        results = []
        for number in numbers:
            keys = ("number", "joules", "samples", "samples_per_s", "sampling_error", "problems")
            append("energy", {key: windows[number][key] for key in keys})
        for setting in range(len(session["settings"])):
            results.append(append("result", {**about, **result_of(setting, windows, session["settings"], session["whole_tiles"])}))
        append("end", {})
    finally:
        log.close()
    lines = [*table(results, [name_of(result) for result in results]), f"  in {log.path}, session {session['session']}\n"]
    return {"log": str(log.path), "session": session["session"], "results": results}, lines


ABOUT = ("network", "build", "board", "clock_mhz", "simulated", "image", "ambient_c", "kind")


def _waiting(log):
    """The last session that waits for a recording."""
    ended = {record["session"] for record in log.records if record["record"] == "end"}
    for record in reversed(log.records):
        if record["record"] == "session" and record["meter"]["name"] == "recorded" and record["session"] not in ended:
            return record
    raise BoardError(f"no measurement in {log.path} waits for a recording; measure with --meter recorded --marker FILE first.")
