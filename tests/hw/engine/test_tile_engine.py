"""The tile engine against the integer model: every mode, sizes of the hardware, idle inputs, back-pressure, random power-on
values; and its cycles against the cycle model, layer by layer."""

import numpy as np
import pytest
from frames import loaded, prepare, stream

from flow.engine.cost import frame_cost, mode_costs
from flow.engine.requant import hardware
from flow.graph.integer import run
from flow.graph.random_graph import random_resnet

SIZES = {
    "default": dict(p=64, pe=2, r=64, v=16),
    "small": dict(p=32, pe=1, r=8, v=8),
    "half": dict(p=32, pe=2, r=32, v=16),
    "narrow-drain": dict(p=64, pe=2, r=16, v=16),
    "single": dict(p=64, pe=1, r=16, v=4),
    "no-dsp": dict(p=64, pe=1, r=32, v=16),
}
FAST = ("default",)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("size", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in SIZES])
def test_modes_and_pauses(size, tmp_path):
    graph = random_resnet(seed=3)
    library, ((layout, table),) = prepare([graph], SIZES[size], tmp_path)
    rng = np.random.default_rng(0)
    modes = [*graph.modes, "full", "1/16", "1/4", "1/2"]
    images = rng.integers(0, 256, (len(modes), 3, 32, 32), dtype=np.uint8)
    expected = [run(graph, image[None], mode, hardware(table)) for image, mode in zip(images, modes, strict=True)]
    with loaded(library, tmp_path / f"{graph.name}.bin", random_reset=7) as model:
        for seed, pauses in enumerate([(0, 0), (0.5, 0), (0, 0.5), (0.4, 0.4)]):
            model.reset()
            records = stream(model, graph, modes, images, pauses, seed)
            for frame, (record, result, mode) in enumerate(zip(records, expected, modes, strict=True)):
                cost = frame_cost(graph, mode, layout.config)
                assert record["logits"] == result.logits[0].tolist(), f"frame {frame}, pauses {pauses}"
                assert record["class"] == result.classes[0]
                assert record["mode"] == list(graph.modes).index(mode)
                assert record["frame"] == frame
                assert record["tiles"] == cost.tiles
                assert record["cycles"] == cost.cycles  # pauses move frames, they do not lengthen them


@pytest.mark.timeout(600)
@pytest.mark.parametrize("blocks", [(1, 1, 1), pytest.param((6, 6, 6), marks=pytest.mark.slow)], ids=["resnet8", "resnet38"])
def test_cycles_per_layer(blocks, tmp_path):
    graph = random_resnet(seed=5, blocks=blocks)
    library, ((layout, _),) = prepare([graph], SIZES["default"], tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    with loaded(library, tmp_path / f"{graph.name}.bin") as model:
        for mode in graph.modes:
            model.reset()
            (record,) = stream(model, graph, [mode], image, (0, 0))
            costs = mode_costs(graph, mode, layout.config)
            measured = []
            for index in range(len(costs)):
                model.write("layer", index)
                model.run(0)
                measured.append(model.read("layer_cycles"))
            assert sum(measured) == record["cycles"] == frame_cost(graph, mode, layout.config).cycles
            for (name, cost), cycles in zip(costs.items(), measured, strict=True):
                assert abs(cycles - cost.cycles) <= 2, f"{name} in {mode}"
