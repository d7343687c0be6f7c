"""The log: what was written stays through torn lines, full disks and kill -9, and what is no log is left alone."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from board.energy_log import EnergyLog, read_log
from board.errors import BoardError
from tests.board.conftest import ROOT

WRITER = """
import sys
from board.energy_log import EnergyLog
log = EnergyLog(sys.argv[1])
number = len(log.records)
print("open", flush=True)
while True:
    log.append({"record": "window", "number": number, "filler": "x" * (number * 37 % 5000)})
    number += 1
    print(number, flush=True)
"""


def lines(count, **more):
    return [{"record": "window", "number": number, **more} for number in range(count)]


def write(path, records):
    log = EnergyLog(path)
    for record in records:
        log.append(record)
    log.close()


def numbers(path):
    return [record["number"] for record in read_log(path)]


def test_records_come_back_in_order(tmp_path):
    path = tmp_path / "log"
    write(path, lines(3))
    write(path, lines(2))
    assert numbers(path) == [0, 1, 2, 0, 1]
    assert all(json.loads(line)["format"] == 1 for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    "tail", [b'{"format": 1, "rec', b"{", b"\0" * 700, b'{"format": 1, "record": "window", "nu\n', b"\0\0\n\0"]
)
def test_a_torn_end_is_cut_off_and_nothing_else(tmp_path, tail):
    path = tmp_path / "log"
    write(path, lines(3))
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    assert numbers(path) == [0, 1, 2]
    log = EnergyLog(path)
    assert log.cut == len(tail) and path.read_bytes() == whole
    log.append({"record": "window", "number": 3})
    log.close()
    assert numbers(path) == [0, 1, 2, 3]


def test_every_cut_of_a_log_is_a_log(tmp_path):
    path = tmp_path / "log"
    write(path, lines(3, name="größer"))
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        EnergyLog(path).close()
        assert numbers(path) == list(range(sum(end <= cut for end in ends)))


@pytest.mark.parametrize(
    "contents, saying",
    [
        (b"my notes", "is no energy log"),
        (b"my notes\n", "is no energy log"),
        (b"a,b\n1,2\n", "is no energy log"),
        (b'{"a": 1}\n', "is no energy log"),
        (b'{"format": 2, "record": "window"}\n', "no energy log of format 1"),
        (b'{"format": 1, "record": "window"}\nxx\n{"format": 1, "record": "window"}\n', "is damaged in line 2"),
    ],
)
def test_what_is_no_log_is_left_alone(tmp_path, contents, saying):
    path = tmp_path / "log"
    path.write_bytes(contents)
    with pytest.raises(BoardError, match=saying):
        EnergyLog(path)
    assert path.read_bytes() == contents


def test_two_programs_do_not_mix(tmp_path):
    log = EnergyLog(tmp_path / "log")
    with pytest.raises(BoardError, match="another program measures into"):
        EnergyLog(tmp_path / "log")
    log.close()
    EnergyLog(tmp_path / "log").close()


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path):
    """By the limit of a file's size, which fails as a full disk does: in the middle of a line."""
    script = (
        "import resource, signal, sys\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from board.energy_log import EnergyLog\nfrom board.errors import BoardError\n"
        "log = EnergyLog(sys.argv[1])\nlog.append({'record': 'window', 'number': 0})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (300, 300))\n"
        "try:\n    log.append({'record': 'window', 'filler': 'x' * 400})\nexcept BoardError as problem:\n    print(problem)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "log"], cwd=ROOT, capture_output=True, text=True)
    assert "cannot be used as a log (File too large); free some space there" in done.stdout, done
    assert numbers(tmp_path / "log") == [0] and (tmp_path / "log").read_bytes().endswith(b"}\n")


def test_twenty_kills_lose_nothing_that_was_finished(tmp_path):
    """kill -9 at random: what `append` returned for is there, at most one record more, and the next run goes on behind it."""
    path, generator, said = tmp_path / "log", random.Random(5), 0
    for _ in range(20):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "open\n"
        time.sleep(generator.random() * 0.05)
        writer.send_signal(signal.SIGKILL)
        heard = writer.stdout.read().splitlines()
        writer.wait()
        said = max([said, *(int(line) for line in heard if line)])
        found = numbers(path)
        assert found == list(range(len(found))) and said <= len(found) <= said + 1
        said = len(found)
    assert said > 20


def test_a_record_is_on_the_disk_when_append_returns(tmp_path, monkeypatch):
    import os

    path, calls = tmp_path / "log", []
    log = EnergyLog(path)
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append(path.read_bytes()), real(file)))
    log.append({"record": "window", "number": 0})
    log.close()
    assert calls == [path.read_bytes()]
