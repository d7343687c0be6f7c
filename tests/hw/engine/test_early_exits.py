"""Early exits on the tile engine: frames that stop elsewhere each time, by cycles and by the margin of their logits, in every mode and
behind gates, against the integer model and the cycle model."""

import numpy as np
import pytest
from frames import loaded, prepare, stream

from flow.engine.cost import mode_costs
from flow.engine.frame import frame_costs, frame_record
from flow.engine.requant import hardware
from flow.graph.exits import OFF, Course, Halting, lead
from flow.graph.integer import run
from flow.graph.random_graph import random_gated, random_resnet, with_exits

SIZE = dict(p=64, pe=2, r=64, v=16)
BLOCKS = ("stage1.block1", "stage2.block1", "stage2.block2")


def graphs(kind):
    """Three exits, two of them one behind the other's block, with pools, without and on the last map."""
    if kind == "plain":
        return with_exits(random_resnet(6, blocks=(1, 2, 1)), BLOCKS)
    return with_exits(random_gated(6, blocks=(1, 2, 1), kinds=("both", "channel", "pooled")), BLOCKS)


def tell(model, haltings):
    """Write what the host says of the exits: a Halting for each mode, whose margins are the same."""
    model.write("exits_enable", 1)
    for mode, halting in enumerate(haltings):
        model.write("exit_mode", mode)
        for number, (limit, margin) in enumerate(zip(halting.limits, halting.margins, strict=True)):
            model.write("exit_number", number)
            for name, value in (("limit", limit), ("margin", margin)):
                model.write("exit_value", value)
                model.write(f"exit_write_{name}", 1)
                model.cycles(1)
                model.write(f"exit_write_{name}", 0)
    model.cycles(4)


def haltings(graph, config, table, images, modes):
    """Every exit by its number; limits and margins, and both, in the middle of what the frames have."""
    count = len(graph.exits)
    yield from (Halting.at(number, count) for number in range(count + 1))
    leads, arrivals = np.zeros((len(images), count), int), np.zeros((len(images), count), int)
    for frame, (image, mode) in enumerate(zip(images, modes, strict=True)):
        result = run(graph, image[None], mode, hardware(table))
        leads[frame] = [lead(logits)[0] for logits in result.exit_logits.values()]
        decisions = {name: bits[0] for name, bits in result.decisions.items()}
        course = Course(Halting.nowhere(count))
        mode_costs(graph, mode, config, decisions, course)
        arrivals[frame] = course.arrived
    limits, margins = (tuple(int(value) for value in np.median(found, axis=0)) for found in (arrivals, leads))
    yield Halting(limits, (OFF,) * count)
    yield Halting((OFF,) * count, margins)
    yield Halting((OFF, limits[1], OFF), (margins[0] + 2000, OFF, margins[2]))
    # The very cycle and the very margin of one frame, and one more.
    exact = tuple(int(value) for value in arrivals[0])
    yield Halting(exact, (OFF,) * count)
    yield Halting((exact[0] + 1, *exact[1:]), (OFF,) * count)
    yield Halting((OFF,) * count, (int(leads[0, 0]), OFF, OFF))
    yield Halting((OFF,) * count, (int(leads[0, 0]) + 1, OFF, OFF))
    # Cycles that pass while a branch is computed, or while it waits for its groups behind a block that is left out, are too late.
    yield Halting((exact[0] + 1, OFF, OFF), (OFF - 1, OFF, OFF))
    if graph.gates:
        late = next(
            frame for frame, (image, mode) in enumerate(zip(images, modes, strict=True)) if left_out(graph, table, image, mode)
        )
        yield Halting((int(arrivals[late, 0]) + 2, OFF, OFF), (OFF - 1, OFF, OFF))
    # Every mode its own exit.
    yield [Halting.at(number % (count + 1), count) for number in range(len(graph.modes))]


def left_out(graph, table, image, mode):
    """Whether the block before the first exit is not computed."""
    return run(graph, image[None], mode, hardware(table)).decisions.get("stage1.block1.layer_gate", np.ones((1, 1)))[0, 0] == 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [pytest.param("plain", marks=pytest.mark.slow), "gated"])
def test_frames_stop_where_the_host_says(kind, tmp_path):
    graph = graphs(kind)
    library, ((layout, table),) = prepare([graph], SIZE, tmp_path)
    rng = np.random.default_rng(0)
    modes = list(rng.permutation([*graph.modes, *graph.modes])[:8])
    images = rng.integers(0, 256, (len(modes), 3, 32, 32), dtype=np.uint8)
    results = [run(graph, image[None], mode, hardware(table)) for image, mode in zip(images, modes, strict=True)]
    seen = set()
    with loaded(library, tmp_path / f"{graph.name}.bin", random_reset=7) as model:
        for seed, halting in enumerate(haltings(graph, layout.config, table, images, modes)):
            model.reset()
            of_modes = halting if isinstance(halting, list) else [halting] * len(graph.modes)
            tell(model, of_modes)
            pauses = ((0, 0), (0.4, 0.4))[seed % 2]
            exits = []
            for frame, record in enumerate(stream(model, graph, modes, images, pauses, seed)):
                told = of_modes[list(graph.modes).index(modes[frame])]
                expected = frame_record(graph, layout.config, modes[frame], results[frame], 0, told)
                assert {name: record[name] for name in expected} == expected, f"frame {frame}, {modes[frame]}, {halting}"
                exits.append(record["exit"])
            seen.add(tuple(exits))
        model.write("exits_enable", 0)
        model.cycles(4)
        assert all(record["exit"] == len(graph.exits) for record in stream(model, graph, modes[:2], images[:2], (0, 0)))
    assert len(seen) >= 8 and sum(len(set(exits)) > 1 for exits in seen) >= 4, "frames of a batch stop at several exits"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", [pytest.param("plain", marks=pytest.mark.slow), "gated"])
def test_cycles_per_layer_of_frames_that_stop_early(kind, tmp_path):
    graph = graphs(kind)
    library, ((layout, table),) = prepare([graph], SIZE, tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    with loaded(library, tmp_path / f"{graph.name}.bin") as model:
        for halting in (
            Halting.at(3, 3),
            Halting.at(2, 3),
            Halting((OFF,) * 3, (OFF - 1, OFF, 0)),
            Halting((OFF, 0, 0), (0, 0, 0)),
        ):
            for mode in list(graph.modes)[::2]:
                model.reset()
                tell(model, [halting] * len(graph.modes))
                (record,) = stream(model, graph, [mode], image, (0, 0))
                result = run(graph, image, mode, hardware(table))
                costs, exit = frame_costs(graph, layout.config, mode, result, 0, halting)
                measured, waited = {}, 0
                for index, layer in enumerate(graph.executed(mode)):
                    model.write("layer", index)
                    model.run(0)
                    cycles = model.read("layer_cycles")
                    if (
                        layer.exit and layer.name not in costs
                    ):  # a look at its descriptor, which the model counts with the next layer
                        waited += cycles
                        continue
                    measured[layer.name], waited = cycles + waited, 0
                assert record["exit"] == exit and sum(measured.values()) == record["cycles"]
                assert [name for name, cycles in measured.items() if cycles] == list(costs), f"{mode}, {halting}"
                for name, cost in costs.items():
                    assert abs(measured[name] - cost.cycles) <= (name in ("stem", list(costs)[-1])), f"{name} in {mode}, {halting}"
