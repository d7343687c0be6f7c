"""Gates on the tile engine: random decisions of every kind of gate in every mode, against the integer model and the cycle model."""

import numpy as np
import pytest
from frames import loaded, prepare, stream

from flow.engine.cost import frame_cost, mode_costs
from flow.engine.plan import record_decisions
from flow.engine.requant import hardware
from flow.graph.integer import run
from flow.graph.random_graph import GATE_KINDS, random_gated

SIZE = dict(p=64, pe=2, r=64, v=16)
TOGETHER = {"ddi": 4, "pooled": 4, "every": 5}
"""Graphs of one engine, with their seeds: what a kind of gate takes is parameters of it. Squeeze-and-excitation goes with no LSTM."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    """A function: kind -> (graph, library, network image, layout, requantisation table)."""
    folder, made = tmp_path_factory.mktemp("engines"), {}

    def make(kinds):
        graphs = [graph_of(kind, seed) for kind, seed in kinds.items()]
        library, laid_out = prepare(graphs, SIZE, folder)
        for kind, graph, (layout, table) in zip(kinds, graphs, laid_out, strict=True):
            made[kind] = graph, library, folder / f"{graph.name}.bin", layout, table

    def graph_of(kind, seed):
        graph = random_gated(seed) if kind == "every" else random_gated(seed, kinds=(kind,), blocks=(1, 1, 2))
        graph.name = kind
        return graph

    def engine(kind):
        if kind not in made:
            make(TOGETHER if kind in TOGETHER else {kind: 4})
        return made[kind]

    return engine


def expected_record(graph, layout, table, image, mode):
    """What the record of one frame says, but for its number."""
    result = run(graph, image[None], mode, hardware(table))
    decisions = {name: bits[0] for name, bits in result.decisions.items()}
    cost = frame_cost(graph, mode, layout.config, decisions)
    return {
        "logits": result.logits[0].tolist(), "class": result.classes[0], "mode": list(graph.modes).index(mode),
        "decisions": record_decisions(graph, decisions).tolist(), "tiles": cost.tiles, "cycles": cost.cycles,
    }  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=[] if kind == "ddi" else pytest.mark.slow) for kind in GATE_KINDS])
def test_every_kind_of_gate_in_every_mode(kind, engines):
    graph, library, network, layout, table = engines(kind)
    rng = np.random.default_rng(0)
    modes = [*graph.modes, *rng.permutation(list(graph.modes))]
    images = rng.integers(0, 256, (len(modes), 3, 32, 32), dtype=np.uint8)
    with loaded(library, network, random_reset=7) as model:
        for seed, pauses in enumerate([(0, 0), (0.4, 0.4)]):
            model.reset()
            for frame, record in enumerate(stream(model, graph, modes, images, pauses, seed)):
                expected = expected_record(graph, layout, table, images[frame], modes[frame])
                assert {name: record[name] for name in expected} == expected, f"frame {frame}, {modes[frame]}, pauses {pauses}"


@pytest.mark.timeout(600)
def test_cycles_per_layer_of_gated_frames(engines):
    graph, library, network, layout, table = engines("every")
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    with loaded(library, network) as model:
        for image in images:
            for mode in graph.modes:
                model.reset()
                (record,) = stream(model, graph, [mode], image[None], (0, 0))
                decisions = {name: bits[0] for name, bits in run(graph, image[None], mode, hardware(table)).decisions.items()}
                costs = mode_costs(graph, mode, layout.config, decisions)
                measured = {}
                for index, layer in enumerate(graph.executed(mode)):
                    model.write("layer", index)
                    model.run(0)
                    measured[layer.name] = model.read("layer_cycles")
                assert sum(measured.values()) == record["cycles"]
                assert [name for name, cycles in measured.items() if cycles] == list(costs)
                for name, cost in costs.items():  # where a frame begins and ends, a cycle goes to one or the other
                    assert abs(measured[name] - cost.cycles) <= (name in ("stem", "classifier")), f"{name} in {mode}"
