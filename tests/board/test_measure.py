"""board/run.py --measure on the simulated board: the table of all settings, modelled and called so, in a log that survives kill -9."""

import json
import random
import signal
import subprocess
import threading
import time

import pytest
from equipped import build_of, made
from waveforms import shown_in

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


def test_gates_and_exits(program, log, tmp_path, tmp_path_factory):
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
    digests = set()
    for bit in (0, 1):
        (tmp_path / "forced.json").write_text(json.dumps({gate["name"]: bit for gate in contents["gates"]}))
        forced = measured(
            program, deploy, log, "--gate", f"force:{tmp_path / 'forced.json'}", "--mode", "full", "--exit", ends - 1
        )[0]
        digests.add(forced["forced"])
        assert forced["gates"] == "forced" and (forced["computation_saved"] > 0.5) == (bit == 0)
    assert len(digests) == 2 and None not in digests


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


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
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
    assert not log.exists()


@pytest.fixture
def sensor(tmp_path):
    """Folder of an INA226 in the kernel's tree that shows 2 W, with noise, from a thread."""
    folder = tmp_path / "hwmon0"
    folder.mkdir()
    for name, value in (("name", "ina226"), ("power1_input", "2000000"), ("shunt_resistor", "20000"), ("update_interval", "2")):
        (folder / name).write_text(value.ljust(20) + "\n")
    over, write = threading.Event(), shown_in(folder / "power1_input")

    def show():
        noise = random.Random(1)
        while not over.wait(0.001):
            write(round(2e6 * noise.uniform(0.9, 1.1)))

    thread = threading.Thread(target=show)
    thread.start()
    yield folder
    over.set()
    thread.join()


AS_ON_A_BOARD = """
import sys
from board import measuring, run
from board.command import open_accelerator
from board.meters import trace
trace.GAP_SECONDS = 5  # of a machine that does other things
measuring.open_accelerator = lambda deploy: (open_accelerator(deploy)[0], False)
measuring.SHORTEST = 0
sys.exit(run.main(sys.argv[1:]))
"""


def test_the_program_with_a_meter_in_real_time(build, board, log, sensor):
    """As on a board, with the meter's thread and the driver at once: the board's seconds are ours, so 2 W are 2 J in each of them."""
    options = ("--measure", "--seconds", 0.5, "--windows", 2, "--mode", "1/16", "--meter", f"ina226:{sensor}", "--batch", 2)
    done = board("-c", AS_ON_A_BOARD, "--board-dir", build, "--log", log, "--ambient", 20, "--json", *options)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)["results"]
    assert result["kind"] == "measured" and result["meter"]["shunt_ohm"] == pytest.approx(0.02) and result["ambient_c"] == 20
    assert result["power_w"] == pytest.approx(2, rel=0.03) == result["idle_w"]
    mean = sum(2e3 * seconds / frames for seconds, _, frames in result["windows"]) / 2
    assert result["energy_per_inference_mj"]["mean"] == pytest.approx(mean, rel=0.05)
    assert all(seconds >= 0.5 for seconds, _, _ in result["windows"]) and 0 < result["sampling_error"] < 0.05


def test_a_simulated_board_is_not_measured(build, program, log, sensor, tmp_path):
    here = ("--board-dir", build, "--log", log, "--measure")
    program.refuse(*here, "--meter", f"ina226:{sensor}", saying="the simulated board draws no power that a meter could see")
    program.refuse(*here, "--meter", "recorded", "--marker", sensor / "name", saying="the simulated board draws no power")
    program.refuse(*here, "--calibration", tmp_path / "x", saying="the model has no calibration; give --idle-watts")


def test_a_calibration_on_the_command_line(build, program, sensor, tmp_path):
    path = tmp_path / "ina226.json"
    meter = ("--meter", f"ina226:{sensor}", "--calibration", path, "--seconds", 0.4)

    def read(watts):
        """Again where this machine did other things for too long."""
        answers = (program(*meter, "--calibrate", watts) for _ in range(10))
        return next(done for done in answers if "gave no sample" not in done.err)

    done = read(1.9)
    assert done.code == 0 and done.out.endswith("has 1 of two points\n"), done.err
    assert json.loads(path.read_text())["points"][0][0] == pytest.approx(2, rel=0.05)
    again = read(1.9)
    assert again.code == 2 and "make no line; use loads that differ by 1.2 times or more" in again.err
    program.refuse(*meter, "--calibrate", -1, saying="--calibrate is -1; give the true power")
    program.refuse(
        "--calibrate", 1, "--meter", f"ina226:{sensor}", saying="--calibrate needs a --meter that answers, and --calibration FILE"
    )
    program.refuse(
        "--measure", "--board-dir", build, *meter, saying="has 1 of two points; add one with --calibrate W at another load"
    )


def test_the_recording_of_another_program_needs_no_pynq(tmp_path, log):
    """--attach, with the numpy of a desktop."""
    import sys

    done = subprocess.run(
        [sys.executable, "board/run.py", "--attach", f"csv:{tmp_path}/none.csv", "--log", log],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "none.csv cannot be read (No such file or directory); name the meter's CSV file." in done.stderr


def test_the_commands_of_the_guide_are_the_programs():
    """Every command line in docs/guide/energy.md is one that the program takes, and every option of energy is in it."""
    import re
    import shlex

    from board.command import Parser
    from board.energy_options import add_energy_options
    from board.run import make_parser

    text = (ROOT / "docs" / "guide" / "energy.md").read_text()
    commands = re.findall(r"^    \S*python3? board/run.py (.*)$", text, re.M)
    assert len(commands) >= 10
    for command in commands:
        args = make_parser().parse_args([word for word in shlex.split(command) if word != "…"])
        assert args.measure or args.attach or args.adaptive or args.calibrate or args.budget_mj or args.meter.startswith("scpi:")
    parser = Parser()
    add_energy_options(parser)
    for option in (word for action in parser._actions for word in action.option_strings if word.startswith("--")):
        if option not in ("--help", "--idle-watts", "--active-watts"):
            assert option in text, option
