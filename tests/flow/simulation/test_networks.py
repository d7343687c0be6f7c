"""Several networks on one engine, loaded in any order: each exact in every mode, with the cycles of the formula."""

import json
import random

import numpy as np
import pytest

from board.linking import link
from flow.build.build import Request
from flow.build.source import weights_of
from flow.build.verify import compare
from flow.engine.boards import find_board
from flow.engine.compile import compile_graph
from flow.engine.config import Folding
from flow.engine.interface import INTERFACE_FILE
from flow.engine.memories import block_memories
from flow.engine.network import load_cycles
from flow.engine.plan import engine_for, plan
from flow.engine.select import choose
from flow.engine.sources import accelerator_sources
from flow.export.from_model import layer_graph
from flow.graph.random_graph import random_gated, random_resnet, with_exits
from flow.simulation.accelerator import compile_accelerator
from flow.simulation.simulator import Simulator
from flow.training.checkpoint import SHIPPED

FOLDING = Folding()
HASH = "c0ffee42"
LATENCY = 24
"""Cycles of a Zynq's memory, as in the other tests of loads."""


def networks():
    """Group modes alone, with exits, and with gates of both papers: no two have the same memories, modes or decisions."""
    plain = random_resnet(3)
    return {
        "plain": plain,
        "exits": with_exits(random_resnet(7), ("stage1.block1", "stage2.block1")),
        "ddi": random_gated(4, kinds=("ddi",), blocks=(1, 1, 2)),
        "acs": random_gated(5, kinds=("acs",), blocks=(1, 1, 2)),
        "lstm": random_gated(6, kinds=("ddi",), blocks=(1, 1, 2)),
    }


def on_one_engine(graphs, folding, folder, resident=False):
    """(library, name -> Compiled) of an engine for the graphs."""
    engine = engine_for(list(graphs.values()), folding, resident)
    compiled = {name: compile_graph(graph, folding, plan(graph, folding, engine)) for name, graph in graphs.items()}
    parameters = {**engine.parameters(), "ENGINE_HASH": int(HASH, 16)}
    library = compile_accelerator(folder, folder / "accelerator.so", parameters, accelerator_sources(folder))
    return library, compiled


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return on_one_engine(networks(), FOLDING, tmp_path_factory.mktemp("shared"), resident=True)


def check_loads(library, compiled, loads, frames):
    """So many loads in random order, each network in all of its modes by turns, exact and with the cycles of the formula."""
    images = np.random.default_rng(3).integers(0, 256, (frames, 32, 32, 3), dtype=np.uint8)
    turns = dict.fromkeys(compiled, 0)
    chance, results = random.Random(loads), {}
    order = [*compiled, *(chance.choice(list(compiled)) for _ in range(loads - len(compiled)))]
    chance.shuffle(order)
    with Simulator(library, power_on=loads) as simulator:
        for number, name in enumerate(order):
            each, modes = compiled[name], list(compiled[name].graph.modes)
            simulator.load(each.image(HASH), stall=10 * (number % 3), seed=number)
            assert simulator.modes == len(modes)
            shown = [modes[(turns[name] + frame) % len(modes)] for frame in range(frames)]
            turns[name] += frames
            records, _ = simulator.run(images, [modes.index(mode) for mode in shown], stall=20 * (number % 2), seed=number)
            known = results.setdefault((name, tuple(shown)), {})
            compare(each.graph, each.plan.config, records, images, shown, results=known)
            for record in records:
                assert not any(record["decisions"][sum(gate.decisions for gate in each.graph.gates) :])
    return turns


@pytest.mark.timeout(900)
@pytest.mark.parametrize("loads", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_loaded_in_any_order_each_is_exact(shared, loads):
    check_loads(*shared, loads, 6)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
def test_all_at_once_each_is_exact(shared, seed):
    """In one image, in any order, frames of one after frames of another."""
    library, compiled = shared
    chance = random.Random(seed)
    order = chance.sample(list(compiled), len(compiled))
    parameters = next(iter(compiled.values())).plan.config.parameters()
    images = [np.frombuffer(compiled[name].image(HASH), np.uint8) for name in order]
    image, firsts = link(images, parameters, json.loads(INTERFACE_FILE.read_text()))
    modes = [list(compiled[name].graph.modes) for name in order]
    shown = [(which, mode) for which, names in enumerate(modes) for mode in names]
    chance.shuffle(shown)
    pictures = np.random.default_rng(seed).integers(0, 256, (len(shown), 32, 32, 3), dtype=np.uint8)
    with Simulator(library, power_on=seed) as simulator:
        simulator.load(image.tobytes())
        assert simulator.modes == len(shown)
        records, _ = simulator.run(pictures, [firsts[which] + modes[which].index(mode) for which, mode in shown], stall=10 * seed)
    for which, name in enumerate(order):
        at = [frame for frame, (other, _) in enumerate(shown) if other == which]
        own = [{**records[frame], "mode": records[frame]["mode"] - firsts[which]} for frame in at]
        each = compiled[name]
        compare(each.graph, each.plan.config, own, pictures[at], [shown[frame][1] for frame in at])


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_shipped_networks_share_an_engine(tmp_path):
    """All of them in the simulator; the part holds all but the one with resnet38's gates."""
    board = find_board("pynq-z2")
    folding = choose(board)
    graphs = {
        path.stem: layer_graph(weights_of(Request(path.stem, board, folding))[0]) for path in sorted(SHIPPED.glob("*.safetensors"))
    }
    assert {"resnet8", "resnet20", "resnet38", "resnet8-acs", "resnet8-ddi", "resnet20-acs", "resnet38-ddi"} <= set(graphs)
    fitting = engine_for([graph for name, graph in graphs.items() if name != "resnet38-ddi"], folding)
    assert block_memories(fitting) <= board.bram36
    library, compiled = on_one_engine(graphs, folding, tmp_path)
    turns = check_loads(library, compiled, 50, 2)
    assert all(turns[name] >= len(graph.modes) for name, graph in graphs.items())
    with Simulator(library) as simulator:
        simulator.set_latency(LATENCY)
        for name, most in (("resnet8", 0.1e-3), ("resnet38", 0.6e-3)):
            image = compiled[name].image(HASH)
            cycles = simulator.load(image)
            assert cycles == load_cycles(image, LATENCY) and cycles / 100e6 <= most, (name, cycles)
