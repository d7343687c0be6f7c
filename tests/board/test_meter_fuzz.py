"""Files that measurements read, damaged at random: what was in them, or one sentence; never another exception."""

import json

import numpy as np
import pytest

from board.budgets import BudgetFile
from board.calibration import read_calibration
from board.energy_log import EnergyLog, read_log
from board.errors import BoardError
from board.meters import open_recording
from board.meters.recording import pieces
from board.meters.trace import Unusable, metered
from tests.mutations import damages, remove, sweep

TIMES = np.arange(0, 3, 0.05)


def csv_file(path):
    rows = [f"{t:.2f};{2 + t % 0.3:.3f};{int(1 <= t < 2)}" for t in TIMES]
    path.write_text("\n".join(["Time;Power;Marker", *rows]) + "\n")


def read_csv(path):
    recording = open_recording(f"csv:{path}")
    (piece,) = pieces(recording, [1.0])
    return metered(piece.times, piece.watts, piece.begin, piece.end).joules


def log_file(path):
    path.write_bytes(b"")
    log = EnergyLog(path)
    for number in range(6):
        log.append({"record": "window", "number": number, "joules": 1.5})
    log.close()


def open_log(path):
    found = read_log(path)
    log = EnergyLog(path)
    log.close()
    assert log.records == found == read_log(path)
    return found


FILES = {
    "csv": (csv_file, read_csv),
    "log": (log_file, open_log),
    "calibration": (
        lambda path: path.write_text(json.dumps({"meter": "ina226", "points": [[1.0, 1.1], [2.0, 2.3]], "date": "2026-11-26"})),
        lambda path: read_calibration(path, "ina226").apply(np.ones(2)),
    ),
    "budget": (lambda path: path.write_text('{"budget_mj": 0.25}\n'), lambda path: BudgetFile(path).read()),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered", "ignore:divide by zero")
def test_damaged_files(tmp_path, name, record_property):
    make, read = FILES[name]

    def check(damage):
        path = tmp_path / name
        remove(path)
        make(path)
        damage(path)
        try:
            read(path)
        except (BoardError, Unusable) as problem:
            assert str(problem) and "\n" not in str(problem)

    sweep(check, 150, record_property, damage=damages())
