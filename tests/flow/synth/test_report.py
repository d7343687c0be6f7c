"""The report's figures and advice."""

import io
import json

import pytest
from rich.console import Console

from flow import models
from flow.cli import main
from flow.engine.boards import find_board
from flow.engine.compile import keep_modes
from flow.engine.config import Folding
from flow.engine.cost import frame_cost
from flow.engine.plan import plan
from flow.engine.select import choose
from flow.export.from_model import layer_graph
from flow.graph.exits import Course, Halting
from flow.synth.report import Design, advice, contents, show
from flow.synth.resources import Estimate, Unit
from flow.synth.timing import Timing, Worst, placed
from flow.training.checkpoint import save_model

FULL = {"lut": 53200, "ff": 106400, "dsp": 220, "bram36": 140}


def used(**amounts):
    return {kind: {"used": amounts.get(kind, 0), "available": available} for kind, available in FULL.items()}


def report(capsys, *arguments):
    assert main(["report", *arguments, "--no-synthesis", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("model", ["resnet8", "resnet38", "resnet74"])
def test_figures_of_each_mode(capsys, model):
    seen = report(capsys, model)
    assert (seen["model"], seen["board"], seen["part"], seen["clock_mhz"]) == (model, "pynq-z2", "xc7z020clg400-1", 142.857143)
    assert list(seen["modes"]) == ["full", "1/2", "1/4", "1/8", "1/16"]
    assert {kind: entry["available"] for kind, entry in seen["resources"].items()} == FULL
    for mode in seen["modes"].values():
        assert {"cycles_model", "cycles_rtl", "frames_per_s", "latency_ms", "accuracy"} <= set(mode)
        assert sum(mode["layers"].values()) == mode["cycles_model"]
        assert mode["layers_rtl"].keys() == mode["layers"].keys()
        cycles = mode["cycles_rtl"] or mode["cycles_model"]
        assert mode["frames_per_s"] == pytest.approx(142.857143e6 / cycles)
        assert mode["latency_ms"] == pytest.approx(1e3 / mode["frames_per_s"])


def test_targets_of_resnet38(capsys):
    modes = report(capsys, "resnet38")["modes"]
    assert modes["full"]["frames_per_s"] >= 1250
    assert modes["1/16"]["frames_per_s"] >= 10_000
    assert modes["1/4"]["frames_per_s"] >= 3.6 * modes["full"]["frames_per_s"]


def test_rate_of_resnet74(capsys):
    for modes in ("full,1/4", "full"):
        seen = report(capsys, "resnet74", "--modes", modes)["modes"]
        assert list(seen) == modes.split(",") and seen["full"]["frames_per_s"] >= 600


def test_rates_without_dsp_blocks(capsys):
    seen = report(capsys, "resnet38", "--no-dsp")
    assert (seen["parameters"]["PE"], seen["parameters"]["R"], seen["parameters"]["MULT_DSP"]) == (1, 32, 0)
    assert seen["modes"]["full"]["frames_per_s"] >= 650 and seen["modes"]["1/16"]["frames_per_s"] >= 6000


def shown(report):
    """What `show` prints, and its rows: first cell of a table row -> the others."""
    output = io.StringIO()
    show(report, Console(file=output, width=120))
    text = output.getvalue()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    return text, {row[0]: row[1:] for row in rows}


def test_table_of_cycles(capsys):
    assert main(["report", "resnet8", "--no-synthesis"]) == 0
    text = capsys.readouterr().out
    assert "stage2.block1.shortcut" in text and "cycles, formula" in text


def simulated(graph, board, layout):
    """What a build would have left: every layer one cycle slower than the formula says, and no two layers alike."""
    report = contents(Design(graph, board, layout, None, {}))["modes"]
    modes = []
    for name, mode in report.items():
        layers = {layer: cycles + 1 for layer, cycles in mode["layers"].items()}
        modes.append({"name": name, "cycles_rtl": sum(layers.values()), "cycles_per_layer_rtl": layers})
    return {"modes": modes}


def test_cycles_of_a_layer_by_formula_and_simulated():
    graph, board = keep_modes(layer_graph(models.create("resnet8")), ["full", "1/4"]), find_board("pynq-z2")
    layout = plan(graph, choose(board))
    before = contents(Design(graph, board, layout, None, {}))
    assert all(set(mode["layers_rtl"].values()) == {None} for mode in before["modes"].values())
    assert json.loads(json.dumps(before))["modes"]["full"]["layers_rtl"]["stem"] is None
    assert shown(before)[1][""] == ["simulated", "–", "–"]

    built = contents(Design(graph, board, layout, simulated(graph, board, layout), {}))
    for mode in built["modes"].values():
        assert mode["layers_rtl"] == {layer: cycles + 1 for layer, cycles in mode["layers"].items()}
        assert sum(mode["layers_rtl"].values()) == mode["cycles_rtl"]
    text, rows = shown(built)
    full, quarter = (built["modes"][name] for name in ("full", "1/4"))
    assert rows["stem"] == ["formula", *(f"{mode['layers']['stem']:,}" for mode in (full, quarter))]
    assert rows[""] == ["simulated", *(f"{mode['layers_rtl']['classifier']:,}" for mode in (full, quarter))]
    assert f"{full['layers_rtl']['stage3.block1.conv2']:,}" in text


def test_frames_that_stop_at_an_exit():
    graph, board = keep_modes(layer_graph(models.create("resnet8", exits=True)), ["full", "1/4"]), find_board("pynq-z2")
    layout = plan(graph, choose(board))
    report = contents(Design(graph, board, layout, None, {}))
    built = {"modes": [{"name": name, "exits": [{"cycles_rtl": 5000}, {"cycles_rtl": 9000}]} for name in graph.modes]}
    seen = contents(Design(graph, board, layout, built, {}))["modes"]
    for name, mode in report["modes"].items():
        ends = [frame_cost(graph, name, layout.config, course=Course(Halting.at(number, 2))).cycles for number in range(3)]
        assert [exit["cycles_model"] for exit in mode["exits"]] == ends[:2] and mode["cycles_model"] == ends[2]
        assert [exit["name"] for exit in mode["exits"]] == [exit.name for exit in graph.exits]
        assert [exit["frames_per_s"] for exit in mode["exits"]] == [board.clock_mhz * 1e6 / cycles for cycles in ends[:2]]
        assert [exit["cycles_rtl"] for exit in seen[name]["exits"]] == [5000, 9000]
        assert seen[name]["exits"][1]["frames_per_s"] == board.clock_mhz * 1e6 / 9000
        assert not any(graph[layer].exit for layer in (*mode["layers"], *mode["layers_rtl"]))
    text, rows = shown(report)
    assert "Early exits" in text and rows[f"1: {graph.exits[1].name}"][0] == "cycles, formula"
    without = layer_graph(models.create("resnet8"))
    assert "Early exits" not in shown(contents(Design(without, board, plan(without, choose(board)), None, {})))[0]


def test_a_build_from_before_simulated_layers_shows_its_frames():
    graph, board = layer_graph(models.create("resnet8")), find_board("pynq-z2")
    layout = plan(graph, choose(board))
    built = simulated(graph, board, layout)
    for mode in built["modes"]:
        del mode["cycles_per_layer_rtl"]
    seen = contents(Design(graph, board, layout, built, {}))["modes"]["1/4"]
    assert seen["cycles_rtl"] == built["modes"][2]["cycles_rtl"] and set(seen["layers_rtl"].values()) == {None}


def test_what_does_not_fit_is_a_result(monkeypatch, capsys):
    """resnet74 in all modes: resources, what is missing, the remedy, and the rates all the same."""
    memory = Unit("engine_weights", "gatefold_top", 1, 1000, 200, 0, 128.0)
    total = Unit("gatefold_top", "", 1, 38000, 26000, 206, 153.0)
    monkeypatch.setattr("flow.synth.resources.estimate", lambda parameters: Estimate(total, (memory,)))
    assert main(["report", "resnet74", "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    assert seen["fits"] is False and seen["units"][0]["bram36"] == 128
    assert seen["resources"]["bram36"] == {"used": 153, "available": 140, "short": 13} and seen["resources"]["lut"]["short"] == 0
    (sentence,) = seen["advice"]
    assert "--modes full,1/4 (139 BRAM36) or --modes full (134.5 BRAM36)" in sentence
    assert seen["modes"]["full"]["frames_per_s"] >= 600
    text, rows = shown(seen)
    assert sentence in text and rows["missing"] == ["–", "–", "–", "13"] and "frames/s" in rows


def test_timing_is_part_of_the_report(monkeypatch, capsys):
    """The slowest path of each pair of modules, what limits, and which clock is asked."""
    path = Worst("engine.vector", "product", "engine.vector", "sum", 27.882, 0.0, 0, 0, 0, 14, 0, {"2788": 32})
    quick = Worst("shell", "mode", "engine", "layer", 4.5, 3.25, 4, 1, 0, 0, 0, {"450": 5})
    found = Timing(55351, (path, quick))
    monkeypatch.setattr("flow.synth.timing.estimate", lambda parameters: found)
    monkeypatch.setattr("flow.synth.report.placed", lambda model: ("nextpnr", 43.9))
    seen = report(capsys, "resnet8", "--timing", "--clock", "143")
    assert seen["clock_mhz"] == 142.857143
    assert seen["modes"]["full"]["frames_per_s"] == pytest.approx(142.857143e6 / seen["modes"]["full"]["cycles_model"])
    timing = seen["timing"]
    assert {"clock_mhz", "worst_ns", "paths"} <= set(timing)
    assert (timing["clock_mhz"], timing["worst_ns"], timing["carried"], timing["label"]) == (
        35.8,
        27.882,
        False,
        "estimated before placing",
    )
    assert timing["paths"][0]["from"] == "product" and timing["paths"][0]["over"] == 32 and timing["paths"][1]["over"] == 0
    assert timing["placed"] == {"tool": "nextpnr", "clock_mhz": 43.9}
    text, rows = shown(seen)
    assert (
        "estimated before placing" in text and "engine.vector.product to engine.vector.sum takes 27.9 ns (14 × DSP block)" in text
    )
    assert "after routing nextpnr said 43.9 MHz" in text and "142.857 MHz is not carried: 1 pair misses it." in text
    assert rows["engine.vector.product"][:2] == ["engine.vector.sum", "27.9"]


def test_without_timing_nothing_is_said_of_it(capsys):
    assert report(capsys, "resnet8")["timing"] is None


@pytest.mark.parametrize("files, said", [
    ({}, None),
    ({"record.json": '{"clock_mhz": 125, "slack_ns": 0.5}'}, ("Vivado", 133.3)),
    ({"record.json": '{"clock_mhz": 125, "slack_ns": -2}'}, ("Vivado", 100.0)),
    ({"record.json": "{"}, None),
    ({"openxc7/nextpnr.log": "Info: Max frequency for clock 'clk': 51.2 MHz (FAIL)\nInfo: Max frequency for clock 'clk': 43.90 MHz (FAIL)\n"}, ("nextpnr", 43.9)),
    ({"openxc7/nextpnr.log": "Info: packing\n"}, None),
])  # fmt: skip
def test_what_a_tool_said_after_routing(tmp_path, monkeypatch, files, said):
    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path))
    for name, text in files.items():
        file = tmp_path / "resnet8" / "implementation" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert placed("resnet8") == said


def test_no_advice_where_it_fits():
    assert advice(used(lut=40000, ff=30000, dsp=206, bram36=80), Folding()) == []


@pytest.mark.parametrize(
    "amounts, config, remedy",
    [
        ({"lut": 60000}, Folding(), "lower PE to 1"),
        ({"lut": 60000}, Folding(pe=1, r=16), "lower R to 8"),
        ({"lut": 60000}, Folding(pe=1, r=8), "lower P to 32"),
        ({"lut": 60000}, Folding(p=32, pe=1, r=8), "larger part"),
        ({"lut": 50000}, Folding(), "leave the placer little room"),
        ({"dsp": 230}, Folding(), "lower R to 32"),
        ({"bram36": 153}, Folding(), "smaller model"),
    ],
)
def test_advice_names_what_to_lower(amounts, config, remedy):
    (sentence,) = advice(used(**amounts), config)
    assert remedy in sentence


def test_advice_on_memories_names_the_modes_that_fit():
    (sentence,) = advice(used(bram36=138), Folding(), [(["full"], 134.5)])
    assert "little room" in sentence and "--modes full (134.5 BRAM36)" in sentence


@pytest.mark.parametrize(
    "arguments, saying",
    [
        (["nothing"], "There is no model 'nothing'"),
        (["resnet8", "--board", "breadboard"], "There is no board 'breadboard'"),
        (["resnet8", "--modes", "full,1/3"], "unknown mode '1/3'"),
        (["resnet8", "--r", "7"], "R = 7 is not possible"),
        (["resnet8", "--clock", "300"], "--clock 300 is not possible; choose 1 to 250 MHz"),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments, saying):
    assert main(["report", *arguments, "--no-synthesis"]) == 2
    seen = capsys.readouterr()
    assert seen.out == "" and saying in seen.err and len(seen.err.splitlines()) == 1


def test_the_engine_of_a_network_with_gates(tmp_path, capsys):
    """Its report is of the engine with gates, every mode with the layers that it runs."""
    weights = tmp_path / "gated.safetensors"
    save_model(models.initialise(models.create("resnet8", gates="iadi", ungated=True), 1), weights, {})
    assert main(["report", "resnet8", "--checkpoint", str(weights), "--no-synthesis", "--json"]) == 0
    contents = json.loads(capsys.readouterr().out)
    assert contents["parameters"]["GATES"] == 64 and contents["parameters"]["DECISIONS"] == 16 + 32 + 64
    gated, plain = (contents["modes"][mode] for mode in ("full", "full ungated"))
    assert set(gated["layers"]) - set(plain["layers"]) == {
        f"gates.channel.stage{stage}_block1.{part}" for stage in (1, 2, 3) for part in ("conv", "linear")
    }
    assert gated["cycles_model"] > plain["cycles_model"]  # everything switched on, and the gates
    own = {gate: sum(gated["layers"][gate.replace("linear", part)] for part in ("conv", "linear")) for gate in gated["gates"]}
    assert {gate: cycles["own"] for gate, cycles in gated["gates"].items()} == own and not plain["gates"]
    block = gated["layers"]["stage1.block1.conv1"] + gated["layers"]["stage1.block1.conv2"]
    saves = gated["gates"]["gates.channel.stage1_block1.linear"]["saves"]
    assert 0.95 * block < saves < block
    assert main(["report", "resnet8", "--checkpoint", str(weights), "--no-synthesis"]) == 0
    shown = capsys.readouterr().out
    assert f"{own['gates.channel.stage1_block1.linear']:,}" in shown and f"{saves:,}" in shown


def test_gates_that_the_engine_lacks_are_told(tmp_path, capsys):
    weights = tmp_path / "exits.safetensors"
    save_model(models.initialise(models.create("resnet8", gates="iadi", exits=True), 1), weights, {})
    few = ["--r", "8"]  # requantisers, with which there is no 2x2 pool
    assert main(["report", "resnet8", "--checkpoint", str(weights), "--no-synthesis", "--json", *few]) == 0
    contents = json.loads(capsys.readouterr().out)
    assert "layer exits.stage1_block1.pool1 is followed by a 2x2 pool" in contents["lacks"] and contents["parameters"]["GATES"] == 0
    assert list(contents["modes"]) == ["full", "1/2", "1/4", "1/8", "1/16"]
