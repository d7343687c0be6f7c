"""The device of MLPerf Tiny over a pseudo-terminal: the runner's command sequences, with the serial library that the runner uses.

The sequences are those of mlcommons/tiny, benchmark/runner: name and profile first; an input as `db load`, then `db` with 31 bytes a command
(26 where a power monitor is attached); `infer 1 0` for each picture of accuracy, `infer 20 5` for each window of performance, `infer
20 0` for each of energy. MLPERF_RUNNER names a folder with the runner itself, for the slow test.
"""

import contextlib
import json
import os
import random
import re
import subprocess
import sys
import termios
import threading

import numpy as np
import pytest
import serial

from board.harness import _probabilities
from tests.board.conftest import BOARD_PYTHON, ROOT

CHUNK, CHUNK_WITH_POWER = 31, 26
SECONDS = 30


class Runner:
    """The runner's side of the port."""

    def __init__(self, port):
        file = os.open(port, os.O_RDWR | os.O_NOCTTY)  # the library would throw away what has come already
        self.greeting = b""
        while not self.greeting.endswith(b"m-ready\r\n"):
            self.greeting += os.read(file, 100)
        self.serial = serial.Serial(port, 115200, timeout=SECONDS)
        os.close(file)

    def lines(self):
        """Lines up to the first that holds m-ready."""
        found = []
        while not found or "m-ready" not in found[-1]:
            line = self.serial.read_until(b"\n")
            assert line.endswith(b"\r\n"), (found, line)
            found.append(line[:-2].decode())
        return found

    def ask(self, command):
        self.serial.write(f"{command}%".encode())
        lines = self.lines()
        assert lines.pop() == "m-ready"
        return lines

    def load(self, picture, chunk=CHUNK):
        data = picture.tobytes()
        assert self.ask(f"db load {len(data)}") == [f"m-[Expecting {len(data)} bytes]"]
        for at in range(0, len(data), chunk):
            answer = self.ask(f"db {data[at : at + chunk].hex()}")
            assert answer == (["m-load-done"] if at + chunk >= len(data) else [])


class Wire(Runner):
    """The far end of a serial line: a pseudo-terminal whose other side is the device's port."""

    def __init__(self, file):
        self.serial, self.greeting = self, b""
        self._file = os.fdopen(file, "r+b", buffering=0)
        while not self.greeting.endswith(b"m-ready\r\n"):
            self.greeting += self._file.read(100)

    def write(self, data):
        self._file.write(data)

    def read_until(self, end):
        line = b""
        while not line.endswith(end):
            line += self._file.read(1)
        return line


def results(line):
    return [float(value) for value in re.fullmatch(r"m-results-\[([^]]+)\]", line)[1].split(",")]


@contextlib.contextmanager
def started(build, *options, script=None, wire=None):
    """(Runner, first lines) of a device; it must end by SIGTERM without a word.

    Args:
        wire: of a serial line (far end, near end), both open; None: the device makes a pseudo-terminal.
    """
    arguments = ["--board-dir", str(build / "deploy"), "--port", os.ttyname(wire[1]) if wire else "pty", *options]
    program = [str(ROOT / "board" / "mlperf.py")] if script is None else ["-c", script]
    device = subprocess.Popen(
        [BOARD_PYTHON, *program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )  # fmt: skip
    try:
        port = re.match(r"(\S+) answers as (.*)", device.stdout.readline())
        assert port, device.communicate(timeout=SECONDS)
        yield Wire(wire[0]) if wire else Runner(port[1]), port[2]
    finally:
        device.terminate()
        _, error = device.communicate(timeout=SECONDS)
    assert (device.returncode, error) == (143, "")


@pytest.fixture(scope="module")
def runner(build):
    """A device in mode 1/16, after it was asked for its name as the runner does."""
    if not BOARD_PYTHON.exists():
        pytest.skip("the board program's environment is missing; make it with: make setup")
    with started(build, "--mode", "1/16") as (runner, said):
        assert said.startswith("ic01 (resnet8, mode 1/16), simulated pynq-z2, performance and accuracy")
        assert runner.greeting == b"m-timestamp-mode-performance\r\nm-lap-us-0\r\nm-init-done\r\nm-ready\r\n"
        assert runner.ask("name") == ["m-name-dut-[gatefold-pynq-z2-simulated]"]
        assert runner.ask("profile") == ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[ic01]"]
        yield runner


@pytest.fixture(scope="module")
def answers(build, pictures, program):
    """What board/run.py says of the pictures in that mode, one start each."""
    told = program("--board-dir", build / "deploy", "--mode", "1/16", "--images", pictures[0], "--count", 4, "--batch", 1, "--json")
    return json.loads(told.out)


def test_accuracy_mode(runner, answers, pictures, build):
    scale = json.loads((build / "deploy" / "modes.json").read_text())["logit_scale"]
    for number, picture in enumerate(pictures[1][:4]):
        runner.load(picture)
        lines = runner.ask("infer 1 0")
        assert [re.sub(r"us-\d+", "us-", line) for line in lines[:-1]] == [
            "m-warmup-start-0", "m-warmup-done", "m-infer-start-1", "m-lap-us-", "m-lap-us-", "m-infer-done",
        ]  # fmt: skip
        found = results(lines[-1])
        logits = np.array(answers["logits"][number]) * scale
        powers = np.exp(logits - logits.max())
        assert np.allclose(found, powers / powers.sum(), atol=2e-6)
        assert np.argmax(found) == answers["predictions"][number]
        assert runner.ask("results") == lines[-1:]


def test_performance_mode(runner, answers, pictures):
    """A window: 20 inferences after 5; the simulated board's time is that of the accelerator's clock."""
    runner.load(pictures[1][0])
    begun = int(re.fullmatch(r"m-lap-us-(\d+)", runner.ask("timestamp")[0])[1])
    lines = runner.ask("infer 20 5")
    laps = [int(lap[1]) for lap in (re.fullmatch(r"m-lap-us-(\d+)", line) for line in lines) if lap]
    one = answers["cycles"] / 4 / 142.857143
    assert laps[1] - laps[0] == pytest.approx(20 * one, abs=2, rel=0.01) and laps[0] - begun == pytest.approx(
        5 * one, abs=2, rel=0.01
    )
    assert lines[:3] == ["m-warmup-start-5", "m-warmup-done", "m-infer-start-20"] and len(results(lines[-1])) == 10


def test_energy_mode(build, pictures, tmp_path):
    """On a serial line: time stamps are edges of a pin of the kernel's GPIO tree, and no lines; inputs come in shorter commands."""
    wire = os.openpty()
    folder = tmp_path / "gpio" / "gpio906"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "value")
    levels = []
    watch = threading.Thread(target=lambda: levels.extend((folder / "value").read_text().split()), daemon=True)
    watch.start()
    script = f"import pathlib, runpy, sys; from board import ports; ports.GPIO = pathlib.Path({str(tmp_path / 'gpio')!r}); from board.mlperf import main; "
    script += "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); sys.exit(main())"
    with started(build, "--mode", "1/16", "--energy", "gpio:906", script=script, wire=wire) as (runner, said):
        settings = termios.tcgetattr(wire[1])
        assert settings[4] == settings[5] == termios.B9600 and not settings[3] & (termios.ECHO | termios.ICANON)
        assert not settings[0] & (termios.ICRNL | termios.IXON) and not settings[1] & termios.OPOST
        assert settings[2] & termios.CSIZE == termios.CS8 and not settings[2] & (termios.PARENB | termios.CSTOPB)
        assert "energy" in said and runner.greeting == b"m-timestamp-mode-energy\r\nm-init-done\r\nm-ready\r\n"
        runner.load(pictures[1][1], CHUNK_WITH_POWER)
        lines = runner.ask("infer 20 0")
        assert (
            lines[:-1] == ["m-warmup-start-0", "m-warmup-done", "m-infer-start-20", "m-infer-done"]
            and len(results(lines[-1])) == 10
        )
        assert runner.ask("timestamp") == []
    watch.join(SECONDS)
    assert (folder / "direction").read_text() == "high"
    assert levels == ["1", *["0", "1"] * 4]  # set; begin, before and after the inferences, and the time stamp that was asked for


def test_whatever_comes_the_device_answers(runner, pictures):
    for command, said in (
        ("", []),
        ("nonsense 1 2", ["e-[Unknown command: nonsense]"]),
        ("_say x", ["e-[Unknown command: _say]"]),
        ("db", ["e-[db takes load, print or bytes in hex]"]),
        ("db load", ["e-[db load takes 1 to 27648 bytes]"]),
        ("db load 27649", ["e-[db load takes 1 to 27648 bytes]"]),
        ("db load x", ["e-[x is no whole number]"]),
        ("db load 3", ["m-[Expecting 3 bytes]"]),
        ("db 012", ["e-[012 is no pairs of hexadecimal digits]"]),
        ("db 0g", ["e-[0g is no pairs of hexadecimal digits]"]),
        ("db 0102", []),
        ("db 03040506", ["m-load-done"]),
        ("db 07", ["e-[No more bytes are expected; begin with db load]"]),
        ("db print", ["m-buffer-01-02-03"]),
        ("infer 1 0", ["e-[The input has 3 bytes, the network takes 3072]"]),
        ("infer 0", ["e-[infer takes 1 or more inferences, and 0 or more before them]"]),
        ("infer 1 -1", ["e-[infer takes 1 or more inferences, and 0 or more before them]"]),
        ("infer one", ["e-[one is no whole number]"]),
        ("name" + " " * 200, ["m-name-dut-[gatefold-pynq-z2-simulated]"]),
        ("\r\nname\n", ["m-name-dut-[gatefold-pynq-z2-simulated]"]),
    ):
        assert runner.ask(command) == said, command
    noise = random.Random(1)
    for _ in range(40):
        junk = bytes(byte for byte in noise.randbytes(noise.randrange(200)) if byte != ord("%"))
        runner.serial.write(junk + b"%")
        assert runner.lines()[-1] == "m-ready"
    # One reader goes, another comes.
    runner.serial.close()
    runner.serial = serial.Serial(runner.serial.name, 115200, timeout=SECONDS)
    assert runner.ask("name") == ["m-name-dut-[gatefold-pynq-z2-simulated]"]
    runner.load(pictures[1][0])


def test_the_most_probable_class_is_the_predicted_one():
    """Also where rounding, or equal logits, leave another one beside it."""
    rounded = _probabilities(np.array([9.0, 9.0 + 1e-9, 0.0]), 1)
    assert np.argmax(rounded) == 1 and abs(rounded[1] - rounded[0] - 1e-6) < 1e-9
    assert np.argmax(_probabilities(np.array([5.0, 5.0, 5.0]), 2)) == 2
    assert _probabilities(np.array([0.0, 900.0]), 1).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("options, said", [
    (["--port", "/nowhere/tty"], "/nowhere/tty refuses"),
    (["--port", "/dev/null"], "/dev/null is no serial port"),
    (["--port", "/dev/null", "--baud", "12345"], "no rate of 12345 baud"),
    (["--port", "pty", "--energy", "led:1"], "give gpio:NUMBER or rts:DEVICE"),
    (["--port", "pty", "--energy", "gpio:99999"], "the kernel has no pin gpio:99999"),
    (["--port", "pty", "--energy", "rts:/dev/null"], "/dev/null has no line RTS"),
    (["--port", "pty", "--mode", "full,1/4"], "give one mode"),
    (["--port", "pty", "--batch", "0"], "--batch is 0"),
    (["--mode", "full"], "--port"),
])  # fmt: skip
def test_refusals(build, options, said):
    sys.stdout.flush()
    script = f"import sys; from board.mlperf import main; sys.exit(main({['--board-dir', str(build / 'deploy'), *options]!r}))"
    done = subprocess.run([BOARD_PYTHON, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["a", "p"])
def test_the_runner_itself(build, pictures, program, tmp_path, mode):
    """MLCommons' own classes and scripts, unchanged: every picture of accuracy, five windows of performance."""
    folder = os.environ.get("MLPERF_RUNNER")
    if not folder:
        pytest.skip("MLPERF_RUNNER names no folder with benchmark/runner of github.com/mlcommons/tiny")
    (tmp_path / "ic01").mkdir()
    told = json.loads(
        program("--board-dir", build / "deploy", "--mode", "1/8", "--images", pictures[0], "--count", 12, "--json").out
    )
    rows = []
    for number, picture in enumerate(pictures[1][:12]):
        (tmp_path / "ic01" / f"{number}.bin").write_bytes(picture.tobytes())
        rows.append(f"{number}.bin,10,{told['predictions'][number]}")
    (tmp_path / "ic01" / "y_labels.csv").write_text("\n".join(rows) + "\n")
    with started(build, "--mode", "1/8") as (runner, _):
        port, _ = runner.serial.name, runner.serial.close()
        done = subprocess.run(
            [sys.executable, ROOT / "tests" / "board" / "mlperf_runner.py", port, mode, tmp_path, tmp_path / "result"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True, timeout=500,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result").read_text())
    assert (result["name"], result["model"]) == ("gatefold-pynq-z2-simulated", "ic01")
    found = [window for window in result["found"] if "infer" in window]
    assert len(found) == (12 if mode == "a" else 5)
    for window in found:
        assert int(np.argmax(window["infer"]["results"])) == int(window["class"])
        if mode == "p":
            one = window["infer"]["elapsed_time"] / window["infer"]["iterations"]
            assert one == pytest.approx(2502 / 142.857, rel=0.2)  # and loading and storing a frame
