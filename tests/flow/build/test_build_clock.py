"""The clock of a build: a setting, refused where the estimate does not carry it."""

import json

import pytest

from flow.cli import main
from flow.engine.plan import plan
from flow.graph.random_graph import random_resnet
from flow.synth.mapping import uses_dsp
from flow.synth.timing import Timing, Worst

PATH = Worst("engine.sequencer", "k", "engine.sequencer", "wait_count", 8.2, 6.0, 7, 2, 0, 0, 0, {"820": 3})


@pytest.fixture
def asked(monkeypatch):
    """What the estimate was asked for, and the board of the build that came of it."""
    seen = {"estimates": [], "boards": []}

    def estimate(parameters):
        seen["estimates"].append((parameters["MULT_DSP"], uses_dsp(parameters)))
        return Timing(10, (PATH,))

    class Build:
        def __init__(self, request, folder, report):
            self.request = request

        def run(self):
            """Refuses what the real one does before it writes anything."""
            if self.request.accept:
                self.request.accept(plan(random_resnet(), self.request.folding).config)
            seen["boards"].append(self.request.board)
            raise KeyboardInterrupt

    monkeypatch.setattr("flow.synth.timing.estimate", estimate)
    monkeypatch.setattr("flow.build.build.Build", Build)
    return seen


def build(tmp_path, *arguments):
    return main(["build", "resnet8", "--untrained", "--output", str(tmp_path / "build"), *arguments])


def test_clock_that_the_estimate_carries(asked, tmp_path):
    assert build(tmp_path, "--clock", "112") == 130  # the build began
    assert asked["estimates"] == [(14, True)] and asked["boards"][0].clock_mhz == 111.111111


def test_clock_that_it_does_not_carry(asked, tmp_path, capsys):
    assert build(tmp_path, "--clock", "143", "--no-dsp") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("gatefold: 142.857 MHz is not carried: engine.sequencer.k to engine.sequencer.wait_count takes 8.2 ns")
    assert said.endswith("choose a lower --clock, or --clock-anyway.")
    assert asked["estimates"] == [(0, False)] and not asked["boards"] and not (tmp_path / "build").exists()


def test_clock_anyway(asked, tmp_path):
    assert build(tmp_path, "--clock", "143", "--clock-anyway") == 130
    assert not asked["estimates"] and asked["boards"][0].clock_mhz == 142.857143


@pytest.mark.parametrize("arguments, clock", [([], 142.857143), (["--no-dsp"], 125)])
def test_without_a_clock_nothing_is_estimated(asked, tmp_path, arguments, clock):
    assert build(tmp_path, *arguments) == 130
    assert not asked["estimates"] and asked["boards"][0].clock_mhz == clock


@pytest.mark.parametrize("arguments, saying", [
    (["--clock", "300"], "--clock 300 is not possible; choose 1 to 250 MHz"), (["--clock-anyway"], "--clock-anyway needs a clock"),
])  # fmt: skip
def test_bad_clock_is_one_sentence(asked, tmp_path, capsys, arguments, saying):
    assert build(tmp_path, *arguments) == 2
    assert saying in capsys.readouterr().err and not asked["boards"]


@pytest.mark.parametrize("known, saying", [
    (False, "142.857 MHz is not checked against the timing of this engine; `gatefold report` with --timing estimates"),
    (True, "142.857 MHz is not carried: engine.sequencer.k to engine.sequencer.wait_count takes 8.2 ns"),
])  # fmt: skip
def test_a_build_says_what_is_known_of_its_default_clock(asked, tmp_path, capsys, monkeypatch, known, saying):
    """Not more: an estimate that is kept, or that there is none. A lower clock is carried by the same estimate."""
    contents = {
        "model": "resnet8",
        "board": "pynq-z2",
        "part": "",
        "trained": True,
        "engine_hash": "",
        "parameters": {},
        "modes": [],
    }

    def run(self):
        return {**contents, "clock_mhz": self.request.board.clock_mhz}

    monkeypatch.setattr("flow.build.build.Build.run", run)
    monkeypatch.setattr("flow.synth.timing.known_estimate", lambda parameters: Timing(10, (PATH,)) if known else None)
    assert build(tmp_path) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith(saying)
    assert build(tmp_path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["estimated_mhz"] == (121.9 if known else None)
    assert build(tmp_path, "--clock", "100") == 0
    assert ("100 MHz is carried: 121.9 MHz, estimated before placing" in capsys.readouterr().out) == known
    assert not asked["estimates"]
