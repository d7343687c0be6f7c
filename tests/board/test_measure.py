"""board/run.py --measure on the simulated board: the table of all settings, modelled and called so, in a log that survives kill -9."""

import json
import random
import signal
import subprocess
import time

import pytest
from equipped import build_of, made

from board.energy_log import read_log
from board.measure import IDLE, draw_order
from board.summary import interval, result_of
from tests.board.conftest import BOARD_PYTHON, ROOT

MODES = ["full", "1/2", "1/4", "1/8", "1/16"]
SHORT = ("--measure", "--seconds", "0.01", "--windows", "2", "--batch", "2")


@pytest.fixture
def log(tmp_path):
    return tmp_path / "energy.jsonl"


def measured(program, build, log, *options):
    done = program("--board-dir", build, "--log", log, "--json", *SHORT, *options)
    assert done.code == 0, done.err
    return json.loads(done.out)["results"]


def test_the_whole_table(build, program, log, pictures):
    """Five modes, each with the energy of the formula in docs/energy.md, worked out here from its cycles and tiles."""
    results = measured(program, build, log)
    assert [result["mode"] for result in results] == MODES
    for result in results:
        assert (result["kind"], result["meter"]) == ("modelled", {"name": "model", "idle_w": 1.58, "active_w": 1.76})
        for seconds, joules, frames in result["windows"]:
            expected = 1.58 * seconds + 0.18 * result["tiles_per_frame"] * frames / 142.857143e6
            assert joules == pytest.approx(expected, rel=1e-9)
        energy = result["energy_per_inference_mj"]
        assert energy["low"] <= energy["mean"] <= energy["high"] <= energy["low"] * 1.01
        assert result["power_w"] == pytest.approx(energy["mean"] * 1e-3 * result["fps"], rel=1e-6)
        assert result["idle_w"] == pytest.approx(1.58)
        assert result["energy_above_idle_mj"] == pytest.approx(180 * result["tiles_per_frame"] / 142.857143e6, rel=1e-6)
        assert result["latency_ms"] == pytest.approx(result["cycles_per_frame"] / 142857.143, rel=0.6)
        assert result["latency_ms"] > result["cycles_per_frame"] / 142857.143
        assert result["samples_per_s"] is None and result["accuracy"] is None and result["simulated"] is True
    energies = [result["energy_per_inference_mj"]["mean"] for result in results]
    assert energies == sorted(energies, reverse=True) and energies[0] > 5 * energies[-1]
    saved = [result["computation_saved"] for result in results]
    assert saved[0] == 0 and saved == sorted(saved)
    records = read_log(log)
    assert [record for record in records if record["record"] == "result"] == results
    session, *_, end = records
    assert end["record"] == "end" and len(session["order"]) == 21 and session["settings"][2]["mode"] == "1/4"
    assert sum(record["record"] == "window" for record in records) == 21
    text = program("--board-dir", build, "--log", log, *SHORT, "--mode", "1/4", "--images", pictures[0])
    assert text.code == 0 and "modelled (model), 2 windows each" in text.out and "measured" not in text.out


def test_labelled_images_give_the_accuracy(build, program, log, tmp_path):
    import numpy as np

    images = np.random.default_rng(2).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=images)
    found = json.loads(program("--board-dir", build, "--json", "--count", 5, "--images", tmp_path / "x.npz").out)["predictions"]
    labels = [found[0], found[1], (found[2] + 1) % 10, -1, found[4]]
    np.savez(tmp_path / "y.npz", x=images, y=labels)
    (result,) = measured(program, build, log, "--images", tmp_path / "y.npz", "--mode", "full", "--batch", "10")
    assert (result["accuracy"], result["accuracy_of"]) == (0.75, "frames")


def test_gates_and_exits(program, log, tmp_path_factory):
    """Every exit of every mode where nothing is chosen, with the tiles that its frames executed."""
    deploy, contents, *_ = build_of(made("channel"), "exits", tmp_path_factory)
    ends = len(contents["exits"]) + 1
    results = measured(program, deploy, log, "--windows", "1")
    names = [mode["name"] for mode in contents["modes"]]
    assert [(result["mode"], result["exit"]) for result in results] == [(name, end) for name in names for end in range(ends)]
    by = {(result["mode"], result["exit"]): result for result in results}
    assert [by[name, 0]["gates"] for name in names] == ["off" if "ungated" in name else "on" for name in names]
    for name in names:
        tiles = [by[name, end]["tiles_per_frame"] for end in range(ends)]
        assert tiles[0] < min(tiles[1:])
    assert by["full", ends - 1]["computation_saved"] > by["full ungated", ends - 1]["computation_saved"] - 0.2
    (one,) = measured(program, deploy, log, "--mode", "full", "--confidence", "0.5")
    assert (one["exit"], one["confidence"]) == (None, "0.5") and one["tiles_per_frame"] > by["full", 0]["tiles_per_frame"]


def test_an_order_is_random_and_has_an_idle_window_on_both_sides():
    order = draw_order(5, 4, seed=3)
    assert order[::2] == [IDLE] * 21
    rounds = [order[1::2][at : at + 5] for at in range(0, 20, 5)]
    assert all(sorted(turn) == [0, 1, 2, 3, 4] for turn in rounds) and len({tuple(turn) for turn in rounds}) > 1
    assert draw_order(5, 4, 3) == order != draw_order(5, 4, 4)


def test_drift_is_taken_out():
    """Idle power that climbs by half in a session moves no setting's energy: 0.1 J a second above idle in each window."""
    order = draw_order(2, 6, seed=1)
    said = [{"mode": "full", "accuracy": 0.9}, {"mode": "1/4", "accuracy": None}]
    empty = dict.fromkeys(("latency_ms", "temperature_c", "samples_per_s", "sampling_error"))
    windows = {}
    for number, setting in enumerate(order):
        idle = 2.0 * (1 + number / 2 / (len(order) - 1))
        frames = 0 if setting == IDLE else (10, 40)[setting]
        joules = 10 * (idle + (0.1 if frames else 0))
        counts = {"frames": frames, "cycles": frames, "tiles": frames * (4, 1)[setting], "right": 0, "labelled": 0}
        windows[number] = {"setting": setting, "seconds": 10.0, "joules": joules, **counts, "problems": [], **empty}
    for setting, frames in ((0, 10), (1, 40)):
        result = result_of(setting, windows, said, 4)
        energy = result["energy_per_inference_mj"]
        assert energy["mean"] == pytest.approx(1e3 * 10 * (2.5 + 0.1) / frames)
        assert energy["high"] - energy["low"] == pytest.approx(0, abs=1e-9)
        assert result["energy_above_idle_mj"] == pytest.approx(1e3 / frames)
    assert (result["computation_saved"], result["accuracy_of"]) == (0.75, None)


def test_intervals_are_students():
    assert interval([1.0]) == {"mean": 1.0, "low": None, "high": None}
    found = interval([9.8, 10.2, 10.4, 9.8, 10.0, 10.2, 9.6])  # a textbook's: 10 ± 0.26 (s = 0.283, t = 2.447)
    assert (round(found["low"], 2), found["mean"], round(found["high"], 2)) == (9.74, pytest.approx(10), 10.26)


def killed(build, log, after):
    """Starts the program, and kills it some seconds after its first record."""
    command = [BOARD_PYTHON, "board/run.py", "--board-dir", build, "--log", log, *SHORT, "--mode", "1/8,1/16", "--windows", "40"]
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen = log.stat().st_size if log.exists() else 0
    while process.poll() is None and (not log.exists() or log.stat().st_size == seen):
        time.sleep(0.01)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_measurement_that_is_killed_goes_on(build, board, log, kills):
    """Every window once, in the order that was drawn first, and the results of all of them."""
    generator, before = random.Random(kills), []
    for _ in range(kills):
        killed(build, log, generator.random() * 0.3)
        records = read_log(log)
        assert records[: len(before)] == before
        before = records
    windows = [record for record in before if record["record"] == "window"]
    assert before[-1]["record"] != "end" and windows
    done = board("board/run.py", "--board-dir", build, "--log", log, *SHORT, "--mode", "1/8,1/16", "--windows", 40, "--json")
    assert done.returncode == 0, done.stderr
    records = read_log(log)
    assert records[: len(before)] == before and len({record["session"] for record in records}) == 1
    assert [record["number"] for record in records if record["record"] == "window"] == list(range(161))
    assert [len(result["windows"]) for result in json.loads(done.stdout)["results"]] == [40, 40]


@pytest.mark.parametrize(
    "options, saying",
    [
        (("--meter", "ouija"), "--meter is 'ouija'; give model"),
        (("--seconds", "0"), "--seconds is 0.0; give more than 0"),
        (("--seconds", "nan"), "--seconds is nan"),
        (("--windows", "0"), "--windows is 0; give more than 0"),
        (("--mode", "1/3"), "mode '1/3' is unknown"),
        (("--idle-watts", "2"), "--idle-watts is 2 and --active-watts 1.76"),
        (("--count", "0"), "--count is 0"),
        (("--log", "/"), "/ is no file; name another --log"),
        (("--log", "README.md"), "README.md is no energy log"),
    ],
)
def test_bad_options_of_a_measurement(build, program, log, options, saying):
    program.refuse("--board-dir", build, "--log", log, *SHORT, *options, saying=saying)
    assert not log.exists() or not log.read_bytes()
