"""A network with gates, built and run on the simulated board: PyTorch, the layer graph and the board agree on 32 images, decisions and
tiles included, with gates on, off and forced; and what is no decision is refused."""

import json

import numpy as np
import pytest
import torch
from equipped import DECIDING, IMAGES, ask, build_of, deciding

from flow.build.deploy import built_graph
from flow.cli import main
from flow.engine.config import EngineConfig
from flow.engine.cost import frame_cost, mode_costs
from flow.engine.plan import record_decisions
from flow.graph.integer import run
from flow.paths import build_root
from flow.training.checkpoint import SHIPPED, load_model


@pytest.fixture(scope="module")
def model():
    """No frame takes its exits here."""
    return deciding()


@pytest.fixture(scope="module")
def gated(model, tmp_path_factory):
    """(deploy folder, layer graph, EngineConfig) of its build."""
    deploy, _, graph, config = build_of(model, DECIDING, tmp_path_factory)
    return deploy, graph, config


def check(answer, gated, images, modes, forced=None):
    """Everything that the board says of the frames, against the layer graph and the cycle model."""
    _, graph, config = gated
    for frame, (image, mode) in enumerate(zip(images, modes, strict=True)):
        result = run(graph, image.transpose(2, 0, 1)[None], mode, forced=None if mode in graph.ungated else forced)
        decisions = {name: bits[0] for name, bits in result.decisions.items()}
        assert answer["logits"][frame] == result.logits[0].tolist()
        for gate in graph.gates:
            expected = decisions.get(gate.name, np.zeros(gate.decisions))
            assert answer["decisions"][gate.name][frame] == expected.tolist()
        cost = frame_cost(graph, mode, config, decisions)
        assert (answer["tiles"][frame], answer["frame_cycles"][frame]) == (cost.tiles, cost.cycles)
        for name, layer in mode_costs(graph, mode, config, decisions).items():
            assert answer["layer_tiles"].get(name, [0] * IMAGES)[frame] == layer.tiles


def test_gates_decide_as_in_pytorch(program, gated, model, pictures):
    path, images = pictures
    answer = ask(program, gated[0], "--images", path, "--mode", "full,1/4")
    check(answer, gated, images, [("full", "1/4")[frame % 2] for frame in range(IMAGES)])
    with torch.no_grad():
        logits = model.integer_logits(images[::2])
        stations = model.integer_stations(images[::2])
    assert answer["logits"][::2] == logits.tolist()
    executed = np.concatenate([np.array(answer["decisions"][gate.name])[::2] for gate in gated[1].gates], axis=1)
    assert 0.1 < executed.mean() < 0.9 and (executed != executed[0]).any(axis=1).sum() > IMAGES // 4
    for gate in gated[1].gates:
        assert np.array_equal(stations[gate.name], np.array(answer["decisions"][gate.name])[::2])


def test_without_gates(program, gated, pictures):
    path, images = pictures
    answer = ask(program, gated[0], "--images", path, "--gate", "off")
    assert answer["mode"] == "full ungated"
    check(answer, gated, images, ["full ungated"] * IMAGES)


@pytest.mark.parametrize("bits", ["none", "all", "one", "alternating", "a group empty", "random"])
def test_forced_decisions(program, gated, pictures, bits, tmp_path):
    path, images = pictures
    rng, forced = np.random.default_rng(1), {}
    for gate in gated[1].gates:
        k = gate.decisions
        forced[gate.name] = {
            "none": np.zeros(k), "all": np.ones(k), "one": np.arange(k) == k - 1, "alternating": np.arange(k) % 2,
            "a group empty": np.arange(k) * 4 // k != 1, "random": rng.integers(0, 2, k),
        }[bits].astype(int)  # fmt: skip
    file = tmp_path / "forced.json"
    file.write_text(json.dumps({name: mask.tolist() for name, mask in forced.items()}))
    answer = ask(program, gated[0], "--images", path, "--gate", f"force:{file}", "--mode", "full,1/4", count=4)
    modes = ["full", "1/4"] * 2
    check({**answer}, gated, images[:4], modes, forced)


def test_a_threshold_moves_decisions(program, gated, pictures):
    path, images = pictures
    _, graph, _ = gated
    usual = ask(program, gated[0], "--images", path)
    fewer, more = (
        ask(program, gated[0], "--images", path, "--gate-threshold", least, "--layer-threshold", least)
        for least in (1 << 30, -(1 << 31))
    )
    gates = [gate.name for gate in graph.gates]
    assert not any(np.any(fewer["decisions"][name]) for name in gates)
    assert all(np.all(more["decisions"][name]) for name in gates)
    assert sum(fewer["tiles"]) < sum(usual["tiles"]) < sum(more["tiles"])
    assert ask(program, gated[0], "--images", path) == usual  # a batch's thresholds are its own
    result = run(graph, images.transpose(0, 3, 1, 2), "full")
    bits = [record_decisions(graph, {name: rows[frame] for name, rows in result.decisions.items()}) for frame in range(IMAGES)]
    assert np.array_equal(np.concatenate([usual["decisions"][name] for name in gates], axis=1), bits)


@pytest.mark.parametrize(
    "contents, saying",
    [
        (None, "is missing; give {"),
        ("{", "holds no decisions"),
        ("{}", "says None of the gate"),
        ('{"no": 1}', "forces 'no', which is no gate"),
        ('{"gates.layer.stage1_block1": [1, 0]}', "says [1, 0] of the gate"),
        ('{"gates.layer.stage1_block1": 2}', "says 2 of the gate"),
    ],
)
def test_what_is_no_decision_is_refused(program, gated, contents, saying, tmp_path):
    file = tmp_path / "forced.json"
    if contents is not None:
        file.write_text(contents)
    done = program("--board-dir", gated[0], "--gate", f"force:{file}")
    assert done.code == 2 and saying in done.err and done.err.count("\n") == 1


def test_gates_that_do_not_exist(program, build, gated):
    for options in (("--gate", "off"), ("--gate", "force:x"), ("--layer-threshold", "3")):
        done = program("--board-dir", build / "deploy", *options)
        assert done.code == 2 and "has no gates" in done.err
    for options in (("--gate", "maybe"), ("--gate", "force:"), ("--gate-threshold", 1 << 31)):
        done = program("--board-dir", gated[0], *options)
        assert done.code == 2 and done.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_shipped_acs_network(program, pictures, tmp_path):
    """Squeeze-and-excitation and dynamic groups, on trained weights: gates on, off and forced."""
    path, images = pictures
    weights, folder = SHIPPED / "resnet8-acs.safetensors", build_root() / "test" / "resnet8-acs"
    assert main(["build", "resnet8", "--checkpoint", str(weights), "--output", str(folder)]) == 0
    contents, model = json.loads((folder / "deploy" / "modes.json").read_text()), load_model(weights)
    built = folder / "deploy", built_graph(folder, contents), EngineConfig.of(contents["parameters"])
    answer = ask(program, built[0], "--images", path)
    check(answer, built, images, ["full"] * IMAGES)
    with torch.no_grad():
        assert answer["logits"] == model.integer_logits(images).tolist()
    check(ask(program, built[0], "--images", path, "--gate", "off"), built, images, ["full ungated"] * IMAGES)
    forced = {gate.name: np.random.default_rng(1).integers(0, 2, gate.decisions) for gate in built[1].gates}
    file = tmp_path / "forced.json"
    file.write_text(json.dumps({name: mask.tolist() for name, mask in forced.items()}))
    answer = ask(program, built[0], "--images", path, "--gate", f"force:{file}", "--mode", "full", count=4)
    check(answer, built, images[:4], ["full"] * 4, forced)
