"""Options, limits and the ends of the board program: exit codes, one sentence, bounded memory."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from tests.board.conftest import BOARD_PYTHON, ROOT
from tests.mutations import hollow_npy


@pytest.mark.parametrize(
    "options, saying",
    [
        (["--count", "0"], "--count is 0; give more than 0"),
        (["--count", "-3"], "--count is -3"),
        (
            ["--count", "100000000000"],
            "--count is 100000000000; the results of all frames are kept in memory, so give at most 1000000",
        ),
        (["--count", "many"], "invalid int value: 'many'; board/run.py --help"),
        (["--count", "9" * 5000], "invalid int value"),
        (["--batch", "-1"], "--batch is -1; give up to 4096"),
        (["--batch", "4097"], "--batch is 4097; give up to 4096"),
        (["--timeout", "0"], "--timeout is 0.0; give more than 0"),
        (["--timeout", "-1"], "--timeout is -1.0"),
        (["--timeout", "nan"], "--timeout is nan"),
        (["--timeout", "soon"], "invalid float value"),
        (["--mode", "1/3"], "mode '1/3' is unknown; resnet8 has full, 1/2"),
        (["--mode", ""], "mode '' is unknown"),
        (["--mode", "full,,1/2"], "mode '' is unknown"),
        (["--mode", "full\n"], None),
        (["--mode", "a\nb"], "mode 'a\\nb' is unknown"),
        (["--mode", "x" * 100_000], "is unknown"),
        (["--speed", "1"], "unrecognized arguments: --speed 1"),
        (["--images"], "expected one argument"),
    ],
)
def test_bad_options(build, program, options, saying):
    arguments = ("--board-dir", build, "--count", 1, *options)
    if saying is None:
        assert program(*arguments).code == 0
    else:
        program.refuse(*arguments, saying=saying)


def test_an_endless_timeout(build, program):
    assert program("--board-dir", build, "--count", 1, "--timeout", "inf").code == 0


def test_numbers_in_batches_of_their_own(build, program):
    """JSON of many pieces is that of one."""
    one, many = (
        json.loads(program("--board-dir", build, "--json", "--mode", "1/16", "--count", 5, "--batch", size).out) for size in (0, 2)
    )
    assert many["batches"] == 3 and one["batches"] == 1
    assert all(one[key] == many[key] for key in ("predictions", "logits", "frames", "mode"))


# --- the real process


def script(build, *options):
    return [BOARD_PYTHON, "board/run.py", "--board-dir", str(build), *map(str, options)]


def running(build, *options):
    """The program in a process of its own, once it has loaded the accelerator."""
    process = subprocess.Popen(
        script(build, *options),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which jobs in a shell's background ignore
    )
    while process.poll() is None and "accelerator.so" not in open(f"/proc/{process.pid}/maps").read():
        time.sleep(0.05)
    time.sleep(0.5)
    return process


@pytest.mark.parametrize("number, code, said", [(signal.SIGINT, 130, "gatefold: interrupted\n"), (signal.SIGTERM, 143, "")])
def test_an_interrupt_is_one_line(build, board, number, code, said):
    process = running(build, "--count", 4000)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", said)


def test_a_reader_that_has_gone(build, board):
    """Quietly, with the exit code of a broken pipe."""
    read, write = os.pipe()
    os.close(read)
    done = board(*script(build, "--count", 1)[1:], capture_output=False, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_results_that_cannot_be_written(build, board):
    with open("/dev/full", "w") as full:
        done = board(*script(build, "--count", 1)[1:], capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert "the results cannot be written (No space left on device)" in done.stderr
    command = " ".join(f"'{part}'" for part in script(build, "--count", 1))
    done = subprocess.run(["bash", "-c", f"{command} >&-"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, "gatefold: standard output is closed; send the results somewhere.\n")


def test_progress_on_a_terminal(build, board):
    ours, theirs = pty.openpty()
    done = board(*script(build, "--count", 3, "--batch", 2)[1:], capture_output=False, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    assert done.returncode == 0 and os.read(ours, 1000) == b"\r  2 of 3 frames\r  3 of 3 frames\r\n"
    os.close(ours)


def test_sentences_of_the_real_process(build, board, tmp_path):
    """What the other tests ask of a process that stays holds for one of its own."""
    for options, saying in (
        (("--board-dir", tmp_path), "is no deploy folder"),
        (("--board-dir", build, "--count", 0), "--count is 0"),
        (("--board-dir", build, "--speed", 1), "unrecognized arguments"),
        (("--board-dir", build, "--images", tmp_path / "none"), "does not exist"),
    ):
        done = board("board/run.py", *options)
        assert (done.returncode, done.stdout) == (2, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith("gatefold: ") and saying in line


def test_pynq_is_missing(build):
    done = subprocess.run([sys.executable, "board/run.py", "--board-dir", build], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "pynq is missing" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("lines", ["pynq.__version__ = '3.0.1'", "sys.modules['board.simulated'] = None"])
def test_a_pynq_that_is_too_old_for_the_simulated_board(build, board, lines):
    done = board("-c", f"import sys, pynq, board.run\n{lines}\nsys.exit(board.run.main(sys.argv[1:]))", "--board-dir", build)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "finds no board, and the simulated one needs PYNQ 4; run on a board, or type: make run." in done.stderr


# --- many frames

STREAM = """
import sys
import numpy as np
from board import command, run
from board.driver import Batch

class Accelerator:
    "Stands for one that would take hours: answers at once, from the images' numbers, and sees that they come in order."
    def __init__(self):
        self.next = 0
    def stream(self, batches, orders, timeout):
        for pixels in batches:
            yield self.answer(pixels, orders(len(pixels)))
    def answer(self, pixels, order):
        assert len(pixels) == len(order.modes) <= 4096 and pixels.dtype == np.uint8
        numbers = pixels.reshape(len(pixels), -1)[:, :4].copy().view("<u4")[:, 0].astype(np.int64)
        assert (numbers == (self.next + np.arange(len(pixels))) % IMAGES).all()
        self.next += len(pixels)
        logits = np.repeat(numbers[:, None], 10, axis=1).astype(np.int32)
        none = np.zeros((len(numbers), 0), np.uint8)
        return Batch(logits, numbers % 10, numbers, 0 * numbers, numbers, numbers, none, {name: numbers for name in LAYERS}, 1000)

IMAGES = int(sys.argv[1])
LAYERS = []
def open_accelerator(deploy):
    LAYERS.extend(layer.name for layer in deploy.layers)
    return Accelerator(), True
command.open_accelerator = open_accelerator
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
before = peak()
code = run.main(sys.argv[2:])
print(peak() - before, file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("images", [200_000, 7000, 5])
def test_two_hundred_thousand_frames(build, board, tmp_path, images):
    """In some 100 MB beside what the program takes at its start, every frame's result reported; a board has 512 MB."""
    with (
        zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x.npy", "w", force_zip64=True) as file,
    ):
        file.write(hollow_npy((images, 32, 32, 3)))
        for number in range(images):
            file.write(number.to_bytes(4, "little") + bytes(3068))
    with (tmp_path / "out.json").open("w") as out:
        done = board(
            "-c",
            STREAM,
            images,
            "--board-dir",
            build,
            "--json",
            "--count",
            200_000,
            "--images",
            tmp_path / "x.npz",
            capture_output=False,
            stdout=out,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 0, done.stderr
    assert float(done.stderr) < 150
    seen = json.loads((tmp_path / "out.json").read_text())
    numbers = np.arange(200_000) % images
    assert seen["batches"] == 49 and seen["cycles"] == 49_000
    assert seen["predictions"] == (numbers % 10).tolist() and seen["frame_cycles"] == numbers.tolist()
    assert np.array_equal(seen["logits"], np.repeat(numbers[:, None], 10, axis=1))
