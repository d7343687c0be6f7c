"""The best setting within a budget, and frames that follow a budget which falls and rises."""

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from equipped import build_of, made

from board.budgets import BudgetFile, BudgetSocket, open_budget, parse_budget
from board.choose import Budget, Option, choose, least, options_of
from board.deploy import open_deploy
from board.energy import Power
from board.energy_log import EnergyLog, read_log
from board.errors import BoardError
from board.setting import settings_of
from tests.board.conftest import BOARD_PYTHON, ROOT, seal

ACCURACIES = {"full": 0.87, "1/2": 0.86, "1/4": 0.84, "1/8": 0.80, "1/16": 0.74}


@pytest.fixture(scope="module")
def rated(build, tmp_path_factory):
    """The deploy folder of the build with an accuracy of every mode."""
    folder = shutil.copytree(build / "deploy", tmp_path_factory.mktemp("rated") / "deploy")
    modes = json.loads((folder / "modes.json").read_text())["modes"]
    seal(folder, modes=[{**mode, "accuracy": ACCURACIES[mode["name"]]} for mode in modes])
    return folder


def option(accuracy, energy, latency=1.0, power=1.7):
    return Option(SimpleNamespace(record={}, order=None), accuracy, energy, latency, power, "modelled")


def test_the_best_accuracy_within_every_budget():
    options = [option(0.9, 4, 2, 1.9), option(0.8, 2, 1, 1.8), option(0.8, 1.5, 3, 1.6), option(0.6, 1, 0.5, 1.5)]
    for budget, best in (
        (Budget(), 0),
        (Budget(energy_mj=4), 0),
        (Budget(energy_mj=3.99), 2),  # of two alike the one with less energy
        (Budget(energy_mj=3.99, latency_ms=1), 1),
        (Budget(power_w=1.8), 2),
        (Budget(latency_ms=0.7), 3),
    ):
        assert choose(options, budget) is options[best]
    assert choose(options, Budget(energy_mj=0.9)) is None and least(options, Budget(energy_mj=0.9)) is options[3]
    assert least(options, Budget(latency_ms=0.1, energy_mj=10)) is options[3] and least(options, Budget(energy_mj=0)) is options[3]


def result(deploy, setting, kind, energy, build=None):
    return {
        "record": "result", "build": build or deploy.build, "kind": kind, **setting.record, "accuracy": 0.5, "latency_ms": 1.0,
        "power_w": 1.7, "energy_per_inference_mj": {"mean": energy, "low": None, "high": None},
    }  # fmt: skip


def test_measured_and_modelled_are_never_mixed(rated):
    deploy = open_deploy(rated)
    settings = settings_of(deploy, list(deploy.modes.values()))
    energies = lambda log: [(found.energy_mj, found.kind) for found in options_of(deploy, settings, log, Power())]  # noqa: E731
    model = energies([])
    assert len(model) == 5 and {kind for _, kind in model} == {"modelled"}
    cycles, tiles = deploy.modes["full"].cycles, deploy.all_tiles([deploy.modes["full"]])
    assert model[0][0] == pytest.approx((1580 * cycles + 180 * tiles) / 142.857143e6)
    modelled = [result(deploy, settings[0], "modelled", 7.0)]
    assert energies(modelled) == [(7.0, "modelled"), *model[1:]]
    measured = [result(deploy, settings[0], "measured", 8.0), result(deploy, settings[2], "measured", 5.0)]
    again = [result(deploy, settings[2], "measured", 6.0)]
    assert energies(modelled + measured + modelled + again) == [(8.0, "measured"), (6.0, "measured")]
    assert energies([result(deploy, settings[0], "measured", 8.0, "1" * 64)]) == model


def test_exits_and_gates_are_options(tmp_path_factory):
    """Of early exits no build knows the accuracy: they are options once they were measured."""
    folder, *_ = build_of(made("channel"), "exits", tmp_path_factory)
    deploy = open_deploy(folder)
    settings = settings_of(deploy, list(deploy.modes.values()))
    assert len(settings) == 9
    with pytest.raises(BoardError, match="no accuracy of resnet8's settings is known; measure with labelled images first"):
        options_of(deploy, settings, [], Power())
    log = [result(deploy, setting, "modelled", number) for number, setting in enumerate(settings)]
    assert [found.energy_mj for found in options_of(deploy, settings, log, Power())] == list(range(9))


@pytest.mark.parametrize(
    "options, mode",
    [(("--budget-mj", 0.1), "1/2"), (("--budget-ms", 0.03), "1/4"), (("--budget-mj", 0.1, "--mode", "full,1/8"), "1/8")],
)
def test_a_budget_on_the_command_line(rated, program, tmp_path, options, mode):
    done = program("--board-dir", rated, "--log", tmp_path / "log", "--json", "--count", 3, *options)
    assert done.code == 0, done.err
    seen = json.loads(done.out)
    assert (seen["mode"], seen["modes"], seen["chosen"]["mode"]) == (mode, [mode], mode)
    assert seen["chosen"]["accuracy"] == ACCURACIES[mode] and seen["chosen"]["kind"] == "modelled"
    plain = json.loads(program("--board-dir", rated, "--json", "--count", 3, "--mode", mode).out)
    assert plain["logits"] == seen["logits"] and "chosen" not in plain
    text = program("--board-dir", rated, "--log", tmp_path / "log", "--count", 3, *options).out
    assert f"chosen       {mode}: " in text and "accuracy" in text and not (tmp_path / "log").exists()


def test_a_budget_by_measured_energies(rated, program, tmp_path):
    deploy = open_deploy(rated)
    settings = settings_of(deploy, list(deploy.modes.values()))
    log = EnergyLog(tmp_path / "log")
    for setting, energy in ((settings[1], 0.3), (settings[3], 0.1)):
        log.append(result(deploy, setting, "measured", energy))
    log.close()
    done = program("--board-dir", rated, "--log", tmp_path / "log", "--json", "--count", 1, "--budget-mj", 0.2)
    assert json.loads(done.out)["chosen"]["mode"] == "1/8" and json.loads(done.out)["chosen"]["kind"] == "measured"


def test_budgets_that_are_none(rated, build, program, tmp_path):
    log = ("--log", tmp_path / "log")
    saying = "no setting of resnet8 is within the budget; the nearest, 1/16, takes 0.0257 mJ (modelled)"
    program.refuse("--board-dir", rated, *log, "--budget-mj", 0.001, saying=saying)
    program.refuse("--board-dir", rated, *log, "--budget-mj", 0, saying="--budget-mj is 0.0; give more than 0")
    program.refuse("--board-dir", rated, *log, "--budget-w", "nan", saying="--budget-w is nan")
    program.refuse("--board-dir", build, *log, "--budget-mj", 1, saying="no accuracy of resnet8's settings is known")
    program.refuse("--board-dir", rated, *log, "--adaptive", tmp_path / "none", saying="none holds no budget; write mJ a frame")
    program.refuse("--board-dir", rated, *log, "--adaptive", "udp:many", saying="udp:many cannot be listened at")
    program.refuse("--board-dir", rated, *log, "--adaptive", "udp:99999999", saying="cannot be listened at")
    program.refuse("--board-dir", rated, *log, "--adaptive", "x", "--count", -1, saying="--count is -1")


@pytest.mark.parametrize(
    "text, value",
    [
        ("0.2", 0.2), ("2\n", 2.0), ('{"budget_mj": 0.1, "volts": 3.7}', 0.1), ("0", 0.0), ("", None), ("{", None), ("low", None),
        ("-1", None), ("NaN", None), ("1e999", None), ("true", None), ('{"mj": 1}', None), ("[1]", None), ("[" * 4000, None),
    ],
)  # fmt: skip
def test_what_a_budget_is(text, value):
    assert parse_budget(text) == value == parse_budget(text.encode())


def test_a_budget_file_that_is_being_written(tmp_path):
    path = tmp_path / "budget"
    path.write_text("0.3\n")
    budget = BudgetFile(path)
    for text, value in (("", 0.3), ("0.1", 0.1), ("0.", 0.1), ("{", 0.1), ('{"budget_mj": 0.4}', 0.4)):
        path.write_text(text)
        assert budget.read() == value
    path.unlink()
    assert budget.read() == 0.4


@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_a_budget_socket(tmp_path, kind):
    if kind == "unix":
        where, to, family = f"unix:{tmp_path / 'socket'}", str(tmp_path / "socket"), socket.AF_UNIX
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(to)  # left by a program that was killed
    else:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        where, to, family = f"udp:{port}", ("127.0.0.1", port), socket.AF_INET
    budget = open_budget(where)
    assert isinstance(budget, BudgetSocket) and budget.read() is None
    with socket.socket(family, socket.SOCK_DGRAM) as monitor:
        for sent, value in (
            ([b"0.2"], 0.2),
            ([], 0.2),
            ([b"0.3", b"0.1"], 0.1),
            ([b"junk"], 0.1),
            ([b'{"budget_mj": 5}', b""], 5.0),
        ):
            for text in sent:
                monitor.sendto(text, to)
            time.sleep(0.01 if kind == "udp" else 0)
            assert budget.read() == value
        with pytest.raises(BoardError, match="cannot be listened at"):
            open_budget(where)
    budget.close()
    assert kind == "udp" or not os.path.exists(to)


# --- frames

SCRIPT = """
import json, sys
import numpy as np
import pynq
import board.simulated
from board.adaptive import run_adaptively
from board.choose import options_of
from board.deploy import open_deploy
from board.driver import Accelerator
from board.energy import Power
from board.setting import settings_of

deploy = open_deploy(sys.argv[1])
accelerator = Accelerator(deploy, deploy.bitstream(simulated=True))
options = options_of(deploy, settings_of(deploy, list(deploy.modes.values())), [], Power())
budgets = [None, 1, 0.17, 0.1, 0.06, 0.03, 0.001, 0.03, 0.03, 0.06, 0.1, 1, 0]
expected = ["full", "full", "full", "1/2", "1/4", "1/16", "1/16", "1/16", "1/16", "1/4", "1/2", "full", "1/16"]
frames = np.random.default_rng(1).integers(0, 256, (len(budgets), 32, 32, 3), dtype=np.uint8)
made_ready, told, events = [], [], []
def batches():
    for number in range(len(frames)):
        made_ready.append(number)
        events.append(("ready", number))
        yield frames[number : number + 1]
asked = iter(enumerate(budgets))
def budget():
    number, limit = next(asked)
    events.append(("asked", number))
    return limit
done = list(run_adaptively(accelerator, batches(), options, budget, tell=told.append))
# Frame 2 is made ready while 1 runs, and what it is to be is asked when 1 is over.
assert events == [(what, number) for number in range(len(frames)) for what in ("ready", "asked")]
assert [one.choice.option.setting.mode.name for one in done] == expected
assert [one.choice.frame for one in done] == list(range(len(frames))) == made_ready
assert [int(one.batch.modes[0]) for one in done] == [deploy.modes[name].index for name in expected]  # as the hardware ran them
right = accelerator.run(frames, [deploy.modes[name] for name in expected])
assert [one.batch.logits[0].tolist() for one in done] == right.logits.tolist()
assert [one.choice.within for one in done] == [budget is None or budget >= 0.02 for budget in budgets]
assert [choice.frame for choice in told] == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12]
print("good")
"""


def test_the_choice_follows_in_the_frame_that_starts_next(rated, board):
    """A budget that falls and rises; every frame runs in the mode that is best when it starts, and none is lost."""
    done = board("-c", SCRIPT, rated)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr


def test_a_file_that_changes_while_frames_run(rated, tmp_path):
    """The program itself: JSON of every frame as it is done, every budget and choice in the log with its modelled energy."""
    path, log = tmp_path / "budget", tmp_path / "log"
    path.write_text("1")
    command = [BOARD_PYTHON, "board/run.py", "--board-dir", rated, "--log", log, "--adaptive", path, "--json", "--count", "0"]
    process = subprocess.Popen([str(part) for part in command], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    seen, changes = [], {4: "0.06", 9: "0.03", 14: "0.1"}
    for line in process.stdout:
        seen.append(json.loads(line))
        if len(seen) - 1 in changes:
            path.write_text(changes[len(seen) - 1])
        if len(seen) == 20:
            process.terminate()
            break
    rest, _ = process.communicate(timeout=60)
    seen += [json.loads(line) for line in rest.splitlines()]
    assert process.returncode == 143
    assert [frame["frame"] for frame in seen] == list(range(len(seen)))
    modes = [frame["mode"] for frame in seen]
    steps = [number for number in range(1, len(modes)) if modes[number] != modes[number - 1]]
    assert [modes[0], *(modes[number] for number in steps)] == ["full", "1/4", "1/16", "1/2"]
    for step, change in zip(steps, changes):
        assert change + 1 <= step <= change + 3  # frame `change` was told, and the next was running, when the file changed
    records = read_log(log)
    choices = [record for record in records if record["record"] == "choice"]
    assert [(record["budget_mj"], record["mode"], record["frame"]) for record in choices] == [
        (budget, mode, frame) for budget, mode, frame in zip((1, 0.06, 0.03, 0.1), ("full", "1/4", "1/16", "1/2"), [0, *steps])
    ]
    assert all(record["kind"] == "modelled" and 0.02 < record["energy_mj"] < 0.2 for record in choices)
    stream = records[-1]
    assert stream["record"] == "stream" and len(seen) <= stream["frames"] <= len(seen) + 1
    assert sum(frames for _, _, frames in stream["frames_by_setting"]) == stream["frames"]


def test_a_battery_monitor_at_a_socket(rated, program, tmp_path):
    """Text of the choices; the budget comes while frames run."""
    where = tmp_path / "socket"

    def monitor():
        while not where.exists():
            time.sleep(0.01)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for budget in (b"0.03", b"0.001"):
                time.sleep(0.3)
                try:
                    sender.sendto(budget, str(where))
                except OSError:
                    return

    thread = threading.Thread(target=monitor)
    thread.start()
    done = program("--board-dir", rated, "--log", tmp_path / "log", "--adaptive", f"unix:{where}", "--count", 80)
    thread.join()
    lines = done.out.splitlines()
    assert done.code == 0 and lines[0].startswith("  frame 0: no budget, full, 0.16") and "(modelled)" in lines[0], done
    assert "budget 0.03 mJ, 1/16" in lines[1] and lines[2].endswith("1/16, 0.0257 mJ (modelled), beyond it: there is nothing less")
    assert lines[-1].startswith("  80 frames: ")
