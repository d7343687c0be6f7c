"""A network with gates and early exits, built and run on the simulated board: PyTorch, the layer graph and the board agree on 32
images at every exit, by number, by cycles and by the margin of the logits; and what is no exit is refused."""

import json

import numpy as np
import pytest
from equipped import DECIDING, IMAGES, MODES, ask, build_of, deciding

from board.deploy import open_deploy
from board.exits import halting_of
from flow.cli import main
from flow.engine.cost import frame_cost
from flow.engine.frame import frame_record
from flow.graph.exits import OFF, Course, Halting, lead
from flow.graph.integer import run


@pytest.fixture(scope="module")
def model():
    """With DDI's gates."""
    return deciding()


@pytest.fixture(scope="module")
def built(model, tmp_path_factory):
    """(deploy folder, modes.json, layer graph, EngineConfig) of its build."""
    return build_of(model, DECIDING, tmp_path_factory)


@pytest.fixture(scope="module")
def results(built, pictures):
    """Mode -> Result of the layer graph on all images."""
    graph, images = built[2], pictures[1].transpose(0, 3, 1, 2)
    return {mode: run(graph, images, mode) for mode in graph.modes}


def check(answer, built, results, modes, halting):
    """Everything that the board says of the frames, against the layer graph and the cycle model; returns the exits."""
    _, _, graph, config = built
    for frame in range(len(answer["exits"])):
        mode = modes[frame % len(modes)]
        expected = frame_record(graph, config, mode, results[mode], frame, halting)
        found = {
            "mode": expected["mode"], "class": answer["predictions"][frame], "exit": answer["exits"][frame],
            "cycles": answer["frame_cycles"][frame], "tiles": answer["tiles"][frame], "logits": answer["logits"][frame],
            "decisions": [bit for gate in graph.gates for bit in answer["decisions"][gate.name][frame]],
        }  # fmt: skip
        assert found == expected, (frame, mode, halting)
        assert sum(counts[frame] for counts in answer["layer_tiles"].values()) == expected["tiles"]
    return np.array(answer["exits"])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_exit_as_in_pytorch(program, built, model, pictures, results, number):
    path, images = pictures
    answer = ask(program, built[0], "--images", path, "--mode", MODES, "--exit", number)
    assert (check(answer, built, results, MODES.split(","), Halting.at(number, 2)) == number).all()
    names = [exit.name for exit in built[2].exits] + ["classifier"]
    assert answer["logits"][::2] == model.integer_stations(images[::2])[names[number]].tolist()
    off = ask(program, built[0], "--images", path, "--gate", "off", "--exit", number, count=2)
    check(off, built, results, ["full ungated"], Halting.at(number, 2))


def test_a_budget_is_kept_and_used(program, built, pictures, results):
    path, (deploy, contents, _, _) = pictures[0], built
    exits = {mode["name"]: mode["exits"] for mode in contents["modes"]}
    least = exits["full"][0]["cycles_model"]
    second = exits["full"][1]["cycles_model"]
    spent = []
    for budget in (least, (least + second) // 2, second, 10 * second):
        answer = ask(program, deploy, "--images", path, "--budget", budget)
        halting = Halting(tuple(max(budget - exit["onward"] + 1, 0) for exit in exits["full"]), (OFF, OFF))
        stopped = check(answer, built, results, ["full"], halting)
        assert max(answer["frame_cycles"]) <= budget
        spent.append(stopped.mean())
    assert spent == sorted(spent) and spent[0] == 0 < spent[2] and spent[-1] == 2
    mixed = ask(program, deploy, "--images", path, "--mode", "1/4,full", "--budget", least)  # each mode has limits of its own
    assert max(mixed["frame_cycles"]) <= least and mixed["exits"][1::2] == [0] * (IMAGES // 2)
    assert mixed["exits"][::2] == [2] * (IMAGES // 2), "in 1/4 the network's own end is nearer than the second exit's"
    done = program("--board-dir", deploy, "--mode", "1/4,full", "--budget", least - 1)
    assert done.code == 2 and done.err.count("\n") == 1
    assert f"--budget is {least - 1} cycles and a frame in mode full takes up to {least} to the nearest exit" in done.err
    quarter = exits["1/4"][0]["cycles_model"]
    assert ask(program, deploy, "--mode", "1/4", "--budget", quarter, count=2)["exits"] == [0, 0]


def test_no_decisions_of_gates_break_a_budget(built):
    """By the cycle model: frames with random decisions, and every budget that some end just fits or just misses."""
    deploy, _, graph, config = built
    description, rng, seen = open_deploy(deploy), np.random.default_rng(3), set()
    for mode in description.modes.values():
        ends = [cycles for cycles, _ in mode.exits] + [mode.cycles]
        for budget in sorted({max(end + step, min(ends)) for end in ends for step in (-1, 0, 1, 400)}):
            told = halting_of(description.exits, [mode], None, budget, None)
            for share in (0, 0.3, 0.7, 1):
                decisions = {gate.name: (rng.random(gate.decisions) < share).astype(np.uint8) for gate in graph.gates}
                course = Course(Halting(told.limits[mode.index], told.margins))
                cycles = frame_cost(graph, mode.name, config, decisions, course).cycles
                assert cycles <= budget, (mode.name, budget, share)
                seen.add(course.exit)
                if not mode.gates or share == 1:  # nothing is left over: the last end that fits
                    assert course.exit == max(exit for exit, end in enumerate(ends) if end <= budget), (mode.name, budget)
    assert seen == {0, 1, 2}


def test_frames_stop_where_they_are_sure(program, built, pictures, results):
    path, (deploy, _, graph, _) = pictures[0], built
    leads = [lead(logits) for logits in results["full"].exit_logits.values()]
    real = [float(np.median(found)) * exit.logit_scale for found, exit in zip(leads, graph.exits, strict=True)]
    for text, margins in ((f"{real[0]}", real[:1] * 2), (f"{real[0]},{real[1]}", real), ("0", [0, 0]), ("1e30", [1e30] * 2)):
        units = [min(int(np.ceil(value / exit.logit_scale)), OFF - 1) for value, exit in zip(margins, graph.exits, strict=True)]
        answer = ask(program, deploy, "--images", path, "--mode", MODES, "--confidence", text)
        stopped = check(answer, built, results, MODES.split(","), Halting((OFF, OFF), tuple(units)))
        assert {"0": {0}, "1e30": {2}, f"{real[0]}": {0, 2}}.get(text, {0, 1, 2}) <= set(stopped.tolist())
    answer = ask(program, deploy, "--images", path)  # a batch's exits are its own
    assert (check(answer, built, results, ["full"], None) == 2).all()


def test_what_is_printed_and_written(program, built, pictures):
    deploy, contents, graph, _ = built
    done = program("--board-dir", deploy, "--exit", 1, "--count", 4)
    assert done.code == 0, done.err
    line = next(line for line in done.out.splitlines() if line.startswith("  exit 1"))
    assert "100.0 % of the frames" in line and graph.exits[1].name in line and done.out.count("  exit ") == 1
    assert [exit["name"] for exit in contents["exits"]] == [exit.name for exit in graph.exits]
    for mode in contents["modes"]:
        assert all(exit["cycles_rtl"] <= exit["cycles_model"] for exit in mode["exits"]) and len(mode["exits"]) == 2
        if not mode["gates"]:
            assert all(exit["cycles_rtl"] == exit["cycles_model"] for exit in mode["exits"])
        assert sum(mode["cycles_per_layer_rtl"].values()) == mode["cycles_model"]


@pytest.mark.parametrize(
    "options, saying",
    [
        (("--exit", "3"), "--exit is 3; give 0 to 1, or 2 for the network's own classifier"),
        (("--exit", "-1"), "--exit is -1; give 0 to 1"),
        (("--exit", "x"), "invalid int value: 'x'"),
        (("--budget", "0"), "--budget is 0 cycles and a frame in mode full takes up to"),
        (("--confidence", "-1"), "--confidence is '-1'; give a margin of the logits, 0 or more, or one for each exit: 2"),
        (("--confidence", "1,2,3"), "one for each exit: 2"),
        (("--confidence", "nan"), "--confidence is 'nan'"),
        (("--exit", "0", "--budget", "9"), "not allowed with argument"),
    ],
)
def test_what_is_no_exit_is_refused(program, built, options, saying):
    done = program("--board-dir", built[0], *options)
    assert done.code == 2 and saying in done.err and done.err.count("\n") == 1 and not done.out


SIMULATE = ["simulate", "resnet8", "--mode", MODES, "--count", "4", "--json", "--folder"]


def halfway(contents):
    """A budget that passes the first exit in one of the modes and not in the other."""
    first = {mode["name"]: mode["exits"][0] for mode in contents["modes"]}
    return max(first[mode]["cycles_model"] for mode in MODES.split(","))


@pytest.mark.parametrize("options", [(), ("--exit", "1"), ("--budget", None), ("--confidence", "0.5,0")])
def test_simulate_stops_frames_where_the_board_program_does(program, built, capsys, options):
    options = [str(halfway(built[1])) if option is None else option for option in options]
    assert main([*SIMULATE, str(built[0].parent), *options]) == 0
    simulated = json.loads(capsys.readouterr().out)
    answer = ask(program, built[0], "--mode", MODES, *options, count=4)
    assert [simulated[key] for key in ("exits", "cycles", "logits", "predictions")] == [
        answer[key] for key in ("exits", "frame_cycles", "logits", "predictions")
    ]
    if not options:
        assert simulated["exits"] == [2] * 4


@pytest.mark.parametrize(
    "options",
    [
        ("--exit", "3"),
        ("--exit=-1",),
        ("--budget", "0"),
        *(("--confidence", text) for text in ("-0.1", "1,2,3", "nan", "1e999", "x")),
    ],
)
def test_simulate_refuses_in_the_board_programs_words(program, built, capsys, options):
    options = [f"{options[0]}={options[1]}"] if len(options) == 2 else options
    assert main([*SIMULATE, str(built[0].parent), *options]) == 2
    assert capsys.readouterr().err == program("--board-dir", built[0], "--mode", MODES, *options).err


@pytest.mark.parametrize("option", ["exit", "budget", "confidence"])
def test_a_build_without_exits(program, build, capsys, option):
    done = program("--board-dir", build / "deploy", f"--{option}", "1")
    assert main(["simulate", "resnet8", "--folder", str(build), f"--{option}", "1"]) == 2
    assert capsys.readouterr().err == done.err
    assert done.code == 2 and f"resnet8 has no early exits; leave out --{option}." in done.err and done.err.count("\n") == 1
