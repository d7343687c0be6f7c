"""SIGTERM, which service managers and `timeout` send: what Ctrl-C leaves, and the programs that a command waits for are ended."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMMAND = """
import subprocess, sys, tempfile
import flow.commands.report as command
from flow.cli import main

def run(args):
    with tempfile.TemporaryDirectory(dir=args.model):
        child = ["sh", "-c", 'echo $$ >"$1/child.part" && mv "$1/child.part" "$1/child" && exec sleep 60', "sh", args.model]
        subprocess.run(child)

command.run = run
sys.exit(main(["report", sys.argv[1]]))
"""


def running(process):
    """Whether there is such a process; one that has ended and that nobody has asked for yet is none."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def start(program, *arguments):
    """A program in a process of its own that minds Ctrl-C, which jobs in a shell's background ignore."""
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_ended_leaves_nothing(tmp_path, number):
    command = start(COMMAND, str(tmp_path))
    end = time.monotonic() + 60
    while not (tmp_path / "child").is_file() and time.monotonic() < end and command.poll() is None:
        time.sleep(0.05)
    child = int((tmp_path / "child").read_text())
    command.send_signal(number)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130 and said == "gatefold: interrupted\n"
    assert [path.name for path in tmp_path.iterdir()] == ["child"]
    end = time.monotonic() + 10
    while running(child) and time.monotonic() < end:
        time.sleep(0.05)
    assert not running(child)


LOADING = """
import sys
import flow.commands.report as command
import flow.interrupts
from flow.cli import main

def run(args):
    sys.path.insert(0, args.model)
    import slow
    while True:
        pass

flow.interrupts.PATIENCE = float(sys.argv[2])
command.run = run
sys.exit(main(["report", sys.argv[1]]))
"""


@pytest.mark.parametrize("seconds, patience, found", [(1, 60, "whole\n"), (600, 0.2, "")])
def test_an_import_is_not_interrupted(tmp_path, seconds, patience, found):
    """But for one that does not end."""
    (tmp_path / "slow.py").write_text(
        "import pathlib, time\n"
        "pathlib.Path(__file__).with_name('begun').touch()\n"
        f"end = time.monotonic() + {seconds}\n"
        "while time.monotonic() < end:\n"
        "    time.sleep(0.01)\n"
        "print('whole')\n"
    )
    command = start(LOADING, str(tmp_path), str(patience))
    end = time.monotonic() + 60
    while not (tmp_path / "begun").exists() and time.monotonic() < end:
        time.sleep(0.02)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):  # more of them while it waits are one
        command.send_signal(number)
        time.sleep(0.05)
    try:
        out, said = command.communicate(timeout=60)
    finally:
        command.kill()
    assert (command.returncode, out, said) == (130, found, "gatefold: interrupted\n")
