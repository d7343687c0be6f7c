"""Measurements with a meter: of a board whose power is known, with faults of the meter in mid-run, and with meters that record by themselves."""

import csv
import datetime
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from waveforms import shown_in

from board.attach import attach
from board.deploy import open_deploy
from board.driver import Batch
from board.energy_log import EnergyLog, read_log
from board.errors import BoardError
from board.images import load_images
from board.marker import BEGIN, END, Marker
from board.measure import IDLE, Measurement, Plan
from board.meters import joulescope_live, open_recording
from board.meters.hwmon import Hwmon
from board.meters.joulescope_live import JoulescopeLive
from board.meters.meter import Elsewhere
from board.setting import settings_of

TICK = 2e-3
IDLE_W = {"full": 2.0, "1/4": 2.0}
BUSY_W = {"full": 2.5, "1/4": 2.2}  # and so many seconds a batch takes:
BATCH_S = {"full": 0.05, "1/4": 0.02}


class World:
    """A clock, and a board with a meter at it: power that is known at every time; every tick the meter takes a sample.

    Args:
        show: is told the power at every tick.
        poll: takes a sample.
    """

    simulated = False

    def __init__(self, show=lambda watts: None, poll=lambda: None):
        self.time, self.watts, self.show, self.poll = 100.0, 2.0, show, poll
        self.trace = []

    def now(self):
        return self.time

    def wait(self, seconds):
        end = self.time + seconds
        while self.time < end - 1e-12:
            self.time = min(self.time + TICK, end)
            watts = self.watts * (1 + 0.02 * np.sin(self.time * 977)) + 0.001 * (self.time - 100)  # ripple, and a slow drift
            self.trace.append((self.time, watts))
            self.show(watts)
            self.poll()

    def ran(self, cycles):
        pass


class Board:
    """Stands for the accelerator: a batch takes its time and draws its power."""

    def __init__(self, world):
        self.world = world

    def stream(self, batches, orders, timeout):
        for pixels in batches:
            order, frames = orders(len(pixels)), len(pixels)
            mode = order.modes[0].name
            self.world.watts = BUSY_W[mode]
            self.world.wait(BATCH_S[mode])
            self.world.watts = IDLE_W[mode]
            zeros = np.zeros(frames, np.int64)
            yield Batch(None, zeros, zeros, zeros, zeros + 9, zeros + 7, np.zeros((frames, 0), np.uint8), {}, 100)

    def run(self, pixels, modes, timeout, thresholds, forced, halting):
        (batch,) = self.stream([pixels], lambda frames: SimpleNamespace(modes=modes), timeout)
        return batch


class Stepped(Hwmon):
    """The meter without its thread: the world takes the samples."""

    def start(self):
        self._failure = None
        self._answered = self._clock()


@pytest.fixture
def bench(build, tmp_path):
    """A function that makes a Measurement in a world of its own: (measurement, world, meter)."""
    deploy = open_deploy(build)
    images = load_images(deploy.samples, 16, deploy.picture.shape, 10)

    def make(meter=None, mark=lambda begins: None, spoil=lambda world, watts: watts, windows=3):
        world = World()
        if meter is None:
            (tmp_path / "hwmon0").mkdir(exist_ok=True)
            path = tmp_path / "hwmon0" / "power1_input"
            path.write_text("2000000".ljust(20) + "\n")
            write = shown_in(path)
            meter = Stepped("ina226", path.parent, clock=world.now)
            meter.interval_s = TICK
            world.show = lambda watts: write(round(1e6 * spoil(world, watts)))
            world.poll = meter.poll
        log = EnergyLog(tmp_path / "energy.jsonl")
        about = {"network": "resnet8", "build": "0" * 64, "board": "pynq-z2", "clock_mhz": 100.0, "simulated": False, "image": None}
        about.update(ambient_c=21.5, kind="measured", meter={"name": meter.name, **meter.identity}, calibration=None)
        settings = settings_of(deploy, [deploy.modes[name] for name in BUSY_W])
        plan = Plan(1.0, windows, 4, 10.0, False, "samples")
        measurement = Measurement(
            deploy, Board(world), meter, settings, images, log, plan, about, world, temperature=lambda: 45.5, mark=mark
        )
        return measurement, world, log

    return make


def check(results):
    """Energies of the board above, within half a per cent."""
    for result in results:
        mode = result["mode"]
        power = BUSY_W[mode]
        energy = 1e3 * power * BATCH_S[mode] / 4
        drift = result["power_w"] - power
        assert 0 < drift < 0.06
        assert result["energy_per_inference_mj"]["mean"] == pytest.approx(energy * (1 + drift / power), rel=0.005)
        assert result["energy_above_idle_mj"] == pytest.approx(1e3 * (power - 2) * BATCH_S[mode] / 4, rel=0.02)
        low, high = result["energy_per_inference_mj"]["low"], result["energy_per_inference_mj"]["high"]
        assert high - low < 0.01 * energy
        assert result["fps"] == pytest.approx(4 / BATCH_S[mode], rel=1e-6) and result["kind"] == "measured"


def test_the_energy_of_a_board_whose_power_is_known(bench):
    measurement, world, log = bench()
    results = measurement.run()
    check(results)
    for result in results:
        assert result["samples_per_s"] == pytest.approx(500, rel=0.02) and 0 < result["sampling_error"] < 0.01
        assert result["latency_ms"] == pytest.approx(1e3 * BATCH_S[result["mode"]])
        assert (result["temperature_c"], result["ambient_c"], result["problems"]) == (45.5, 21.5, [])
    assert results[0]["cycles_per_frame"] == 9 and results[0]["tiles_per_frame"] == 7
    log.close()


def test_a_meter_that_is_unplugged_and_plugged_in_again(bench, tmp_path):
    """What was over stays in the log; the same command goes on with the window that was lost."""
    measurement, world, log = bench()
    gone = [False]
    poll = world.poll

    def polled():
        gone[0] = gone[0] or world.time > 108
        if not gone[0]:
            return poll()
        path = tmp_path / "hwmon0" / "power1_input"
        path.rename(path.with_name("unplugged"))
        try:
            return poll()
        finally:
            path.with_name("unplugged").rename(path)

    world.poll = polled
    with pytest.raises(
        BoardError, match="ina226 has stopped answering .*No such file.*; plug it in again and type the same command"
    ):
        measurement.run()
    log.close()
    before = read_log(log.path)
    assert before[-1]["record"] == "problem" and "has stopped answering" in before[-1]["said"]
    windows = [record["number"] for record in before if record["record"] == "window"]
    assert 2 < len(windows) < 12 and windows == list(range(len(windows)))
    other, _, log = bench(windows=4)  # is no continuation of it
    assert other.resumed == 0 and other.session != before[0]["session"]
    log.close()
    measurement, world, log = bench()
    assert measurement.resumed == len(windows) and measurement.session == before[0]["session"]
    check(measurement.run())
    log.close()
    assert [record["number"] for record in read_log(log.path) if record["record"] == "window"] == list(range(13))


def test_a_window_that_the_meter_did_not_see_is_repeated(bench):
    """A reading that stands still for part of one window."""
    still = []

    def spoil(world, watts):
        if 105 < world.time < 107.5:
            still.append(watts)
            return still[0]
        return watts

    measurement, world, log = bench(spoil=spoil)
    results = measurement.run()
    log.close()
    check(results)
    problems = [record["said"] for record in read_log(log.path) if record["record"] == "problem"]
    assert problems and all("its reading stands still at" in said and said.endswith("it is repeated") for said in problems)
    windows = [record for record in read_log(log.path) if record["record"] == "window"]
    assert [record["number"] for record in windows] == list(range(13))
    assert any("was repeated (its reading stands still" in problem for record in windows for problem in record["problems"])


@pytest.mark.parametrize(
    "spoil, saying", [(lambda w, x: 2.0, "its reading stands still at 2 W"), (lambda w, x: 0.0, "it reads zero")]
)
def test_a_meter_that_only_stands_still_is_refused(bench, spoil, saying):
    measurement, _, log = bench(spoil=spoil)
    with pytest.raises(BoardError, match=f"window 1: {saying}.*3 times; check the meter and its wiring"):
        measurement.run()
    log.close()
    records = [record["record"] for record in read_log(log.path)]
    assert records == ["session", "problem", "problem", "problem"]


# --- meters that record by themselves


@pytest.fixture
def recorded(bench, tmp_path):
    """A finished measurement without energies, and what a meter beside it saw: (times, watts, marks), with a clock of its own."""
    pin = tmp_path / "value"
    pin.write_text("0\n")
    marker = Marker(str(pin))
    marks = []
    measurement, world, log = bench(meter=Elsewhere(), mark=marker)
    world.poll = lambda: marks.append(pin.read_text() == "1\n")
    world.wait(0.5)
    assert measurement.run() == []
    world.wait(0.5)
    log.close()
    assert [record["joules"] for record in read_log(log.path) if record["record"] == "window"] == [None] * 13
    times, watts = np.array(world.trace).T
    return times * (1 + 20e-6) - 37.0, watts, np.array(marks)


def asked(tmp_path, text):
    return SimpleNamespace(attach=text, log=str(tmp_path / "energy.jsonl"), calibration=None)


def write_csv(path, times, watts, marks, head=("Time", "Power", "Marker")):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows(zip(times, watts, marks))


def attached(tmp_path, text="csv:x.csv"):
    found, lines = attach(asked(tmp_path, text.replace("x.", f"{tmp_path}/x.")))
    assert "measured" in next(iter(lines))
    assert [record["record"] for record in read_log(tmp_path / "energy.jsonl")][-1] == "end"
    check(found["results"])
    return found["results"]


def test_csv_with_a_marker(recorded, tmp_path):
    times, watts, marks = recorded
    write_csv(tmp_path / "x.csv", times, watts, marks.astype(int))
    results = attached(tmp_path)
    assert results[0]["meter"] == {
        "name": "csv",
        "file": "x.csv",
        "columns": {"time": "Time", "power": "Power", "marker": "Marker"},
    }
    assert results[0]["samples_per_s"] == pytest.approx(500, rel=0.02) and not any(result["problems"] for result in results)
    with pytest.raises(BoardError, match="no measurement in .* waits for a recording"):
        attach(asked(tmp_path, f"csv:{tmp_path}/x.csv"))


def test_csv_of_current_with_text_of_a_serial_port_and_dates(recorded, tmp_path):
    """Milliamperes at 12 V, ISO dates, semicolons, comments, lines of the port between the readings, and a torn end."""
    times, watts, marks = recorded
    start = datetime.datetime(2026, 11, 26, 15, 30)
    lines = ["# a meter's own words", "Timestamp;I_mA;Serial"]
    high = False
    for t, w, mark in zip(times, watts, marks):
        stamp = (start + datetime.timedelta(seconds=t)).isoformat(sep=" ", timespec="microseconds")
        if mark != high:
            lines.append(f"{stamp};;{(BEGIN if mark else END).strip()}")
            high = mark
        lines.append(f"{stamp};{w / 12 * 1e3};")
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n2026-11-2")
    attached(tmp_path, "csv:x.csv,current=I_mA,marker=serial,current_unit=1e-3,volts=12")


def test_csv_with_dropped_samples(recorded, tmp_path):
    times, watts, marks = recorded
    kept = np.random.default_rng(4).random(len(times)) > 0.2
    kept &= (times % 1 < 0.7) | (times % 1 > 0.73)
    kept |= np.append(False, marks[1:] != marks[:-1]) | np.append(marks[1:] != marks[:-1], False)
    write_csv(tmp_path / "x.csv", times[kept], watts[kept], marks[kept].astype(int))
    results = attached(tmp_path)
    assert any("gaps without samples" in problem for result in results for problem in result["problems"])


@pytest.mark.parametrize("jump", [-5.0, 3.0])
def test_csv_whose_clock_jumps(recorded, tmp_path, jump):
    """A date that is set in mid-run, in a window and outside of one."""
    times, watts, marks = recorded
    edges = np.flatnonzero(marks[1:] & ~marks[:-1])
    jumped = times + jump * (np.arange(len(times)) > edges[3] + 200) + jump * (np.arange(len(times)) > edges[7] - 3)
    write_csv(tmp_path / "x.csv", jumped, watts, marks.astype(int))
    results = attached(tmp_path)
    said = " ".join(problem for result in results for problem in result["problems"])
    windows = [record for record in read_log(tmp_path / "energy.jsonl") if record["record"] == "energy"]
    assert "mended" in said or any("mended" in problem for window in windows for problem in window["problems"])


def test_a_recording_of_another_measurement_is_refused(recorded, tmp_path):
    times, watts, marks = recorded
    write_csv(tmp_path / "x.csv", times[: len(times) // 2], watts, marks.astype(int))
    before = (tmp_path / "energy.jsonl").read_bytes()
    with pytest.raises(BoardError, match=r"has \d pulses of the marker and none for window \d+ of 13"):
        attach(asked(tmp_path, f"csv:{tmp_path}/x.csv"))
    write_csv(tmp_path / "x.csv", times, np.full(len(times), 2.0), marks.astype(int))
    with pytest.raises(BoardError, match="cannot be used for window 1: its reading stands still"):
        attach(asked(tmp_path, f"csv:{tmp_path}/x.csv"))
    write_csv(tmp_path / "x.csv", times, 0 * times, marks.astype(int))
    with pytest.raises(BoardError, match="it reads zero all the time"):
        attach(asked(tmp_path, f"csv:{tmp_path}/x.csv"))
    assert (tmp_path / "energy.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "text, saying",
    [
        ("a,b\n1,2\n", "has no column for time; its headings are a, b"),
        ("time,power\n1,2\n", "has no column for marker"),
        ("time,current,marker\n1,2,3\n", r"has no column for power \(or current and voltage\)"),
        ("time,power,marker\nx,2,0\n", "has no times in column 'time'"),
        ("time,power,marker\n1,2,0\n2,2,0\n", "has the same value in all of 'marker'"),
        ("time,power,uart\n1,2,\n2,2,hello\n", "has no mark in column 'uart'"),
        ("", "has no column for time"),
        ("\0\0,\n\0", "has no column for time|is no CSV file"),
    ],
)
def test_files_that_are_no_recording(tmp_path, text, saying):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(BoardError, match=saying):
        open_recording(f"csv:{tmp_path}/x.csv")


def write_jls(path, times, watts, marks, factors, gpi="gpi[0]"):
    """A recording, written by pyjls in a process of its own: its thread logs through Python while its caller waits for that thread with
    Python's lock in hand, so that now and then both wait for ever."""
    grid = np.arange(times[0], times[-1], 1 / 10_000)
    signals = {name: values.astype(np.float32) for name, values in factors(np.interp(grid, times, watts)).items()}
    signals[gpi] = marks[np.searchsorted(times, grid, "right").clip(1) - 1].astype(np.uint8)
    np.savez(path.with_suffix(".npz"), **signals)
    command = [sys.executable, Path(__file__).with_name("jls_writer.py"), path.with_suffix(".npz"), path]
    for left in reversed(range(5)):
        try:
            subprocess.run(command, check=True, timeout=30)
            return
        except subprocess.TimeoutExpired:
            if not left:
                raise


@pytest.mark.parametrize(
    "factors", [lambda watts: {"power": watts}, lambda watts: {"current": watts / 5, "voltage": np.full(len(watts), 5.0)}]
)
def test_files_of_a_joulescope(recorded, tmp_path, factors):
    write_jls(tmp_path / "x.jls", *recorded, factors)
    results = attached(tmp_path, "joulescope:x.jls")
    assert results[0]["meter"] == {"name": "joulescope", "file": "x.jls", "model": "JS220", "serial": "001234"}
    assert results[0]["samples_per_s"] == pytest.approx(10_000, rel=0.02)


def test_files_that_are_none_of_a_joulescope(recorded, tmp_path):
    write_jls(tmp_path / "x.jls", *recorded, lambda watts: {"power": watts}, gpi="gpi[2]")
    for text, saying in (
        (f"joulescope:{tmp_path}/x.jls", r"has no signal 'gpi\[0\]' but power, gpi\[2\]; record it too"),
        (f"joulescope:{tmp_path}/none.jls", "none.jls is missing"),
        (f"joulescope:{tmp_path}/energy.jsonl", "is no JLS file"),
        ("joulescope:", "give csv:FILE or joulescope:FILE"),
    ):
        with pytest.raises(BoardError, match=saying):
            open_recording(text)
    assert open_recording(f"joulescope:{tmp_path}/x.jls,marker=gpi[2]").watts.size > 1000


def test_a_joulescope_at_this_machine():
    """The real driver, which sees none here; what its messages say, in their form of the driver's own program `statistics`."""
    with pytest.raises(BoardError, match="there is no Joulescope JS220 '', and the driver sees none: plug it in"):
        JoulescopeLive()
    meter = JoulescopeLive.__new__(JoulescopeLive)
    super(JoulescopeLive, meter).__init__()
    now = [50.0]
    meter._clock, meter._lock = lambda: now[0], joulescope_live.threading.Lock()
    meter._begins, meter._ends, meter._watts = (joulescope_live.array("d") for _ in range(3))
    meter._offset, meter._heard = float("inf"), now[0]
    for number in range(500):
        now[0] = 50.0 + (number + 1) * 2e-3 + (0.001, 0.004)[number % 2]
        span = {"range": {"value": [7 + number * 2e-3, 7 + (number + 1) * 2e-3], "units": "s"}}
        meter.hear(
            "u/js220/1/s/stats/value", {"time": span, "signals": {"power": {"avg": {"value": 2 + number % 3, "units": "W"}}}}
        )
    times, watts = meter.samples()
    assert times == pytest.approx(50.002 + 2e-3 * np.arange(500)) and watts.mean() == pytest.approx(3, abs=0.01)
    assert len(meter.samples()[0]) == 1
    now[0] += 2
    with pytest.raises(BoardError, match="the Joulescope has sent nothing for 2.0 s; plug it in again"):
        meter.samples()


def test_a_marker_on_a_serial_port(tmp_path):
    import os
    import pty

    ours, theirs = pty.openpty()
    marker = Marker(os.ttyname(theirs))
    marker(True)
    marker(False)
    heard = b""
    while heard.count(b"\n") < 3:
        heard += os.read(ours, 1000)
    assert heard.replace(b"\r", b"").decode() == END + BEGIN + END
    for path in ("/nowhere", str(tmp_path)):
        with pytest.raises(BoardError, match="cannot be written"):
            Marker(path)


def test_an_order_of_idle_and_settings(bench):
    measurement, _, log = bench()
    log.close()
    session = json.loads(log.path.read_text())
    assert session["order"][::2] == [IDLE] * 7 and session["plan"]["windows"] == 3
