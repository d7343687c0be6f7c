"""The report's figures and advice."""

import json

import pytest

from flow.cli import main
from flow.engine.config import EngineConfig
from flow.synth.report import advice

FULL = {"lut": 53200, "ff": 106400, "dsp": 220, "bram36": 140}


def used(**amounts):
    return {kind: {"used": amounts.get(kind, 0), "available": available} for kind, available in FULL.items()}


def report(capsys, *arguments):
    assert main(["report", *arguments, "--no-synthesis", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("model", ["resnet8", "resnet38", "resnet74"])
def test_figures_of_each_mode(capsys, model):
    seen = report(capsys, model)
    assert (seen["model"], seen["board"], seen["part"], seen["clock_mhz"]) == (model, "pynq-z2", "xc7z020clg400-1", 100)
    assert list(seen["modes"]) == ["full", "1/2", "1/4", "1/8", "1/16"]
    assert {kind: entry["available"] for kind, entry in seen["resources"].items()} == FULL
    for mode in seen["modes"].values():
        assert {"cycles_model", "cycles_rtl", "frames_per_s", "latency_ms", "accuracy"} <= set(mode)
        assert sum(mode["layers"].values()) == mode["cycles_model"]
        cycles = mode["cycles_rtl"] or mode["cycles_model"]
        assert mode["frames_per_s"] == pytest.approx(100e6 / cycles)
        assert mode["latency_ms"] == pytest.approx(1e3 / mode["frames_per_s"])


def test_targets_of_resnet38(capsys):
    modes = report(capsys, "resnet38")["modes"]
    assert modes["full"]["frames_per_s"] >= 1250
    assert modes["1/16"]["frames_per_s"] >= 10_000
    assert modes["1/4"]["frames_per_s"] >= 3.6 * modes["full"]["frames_per_s"]


def test_table_of_cycles(capsys):
    assert main(["report", "resnet8", "--no-synthesis"]) == 0
    text = capsys.readouterr().out
    assert "stage2.block1.shortcut" in text and "cycles, formula" in text


def test_no_advice_where_it_fits():
    assert advice(used(lut=40000, ff=30000, dsp=206, bram36=80), EngineConfig()) == []


@pytest.mark.parametrize(
    "amounts, config, remedy",
    [
        ({"lut": 60000}, EngineConfig(), "lower PE to 1"),
        ({"lut": 60000}, EngineConfig(pe=1, r=16), "lower R to 8"),
        ({"lut": 60000}, EngineConfig(pe=1, r=8), "lower P to 32"),
        ({"lut": 60000}, EngineConfig(p=32, pe=1, r=8), "larger part"),
        ({"lut": 50000}, EngineConfig(), "leave the placer little room"),
        ({"dsp": 230}, EngineConfig(), "lower R to 32"),
        ({"bram36": 153}, EngineConfig(modes=5), "fewer modes"),
        ({"bram36": 153}, EngineConfig(), "smaller model"),
    ],
)
def test_advice_names_what_to_lower(amounts, config, remedy):
    (sentence,) = advice(used(**amounts), config)
    assert remedy in sentence


@pytest.mark.parametrize(
    "arguments, saying",
    [
        (["nothing"], "There is no model 'nothing'"),
        (["resnet8", "--board", "breadboard"], "There is no board 'breadboard'"),
        (["resnet8", "--modes", "full,1/3"], "unknown mode '1/3'"),
        (["resnet8", "--r", "7"], "R = 7 is not possible"),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments, saying):
    assert main(["report", *arguments, "--no-synthesis"]) == 2
    seen = capsys.readouterr()
    assert seen.out == "" and saying in seen.err and len(seen.err.splitlines()) == 1
