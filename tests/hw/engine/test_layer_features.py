"""The tile engine against the integer model and the cycle model, where layers have bounds and tables of their own, 2x2 pools, valid
pixels, images of other planes and sizes, and wide weights: random graphs, idle inputs, back-pressure, random power-on values."""

import numpy as np
import pytest
from frames import loaded, prepare, stream

from flow.engine.cost import frame_cost, mode_costs
from flow.engine.requant import hardware
from flow.graph.integer import run
from flow.graph.random_graph import random_plain

# Engine, and the graphs that it runs; together they have every feature.
CASES = {
    "all": (dict(p=64, pe=2, r=64, v=16), dict(shape=(3, 32, 32)), (0, 4, 6, 9, 11)),
    "digits": (dict(p=32, pe=1, r=16, v=8), dict(shape=(1, 32, 28), weight_max=127, classes=3), (1, 4, 9, 10)),
    "signed": (dict(p=64, pe=2, r=16, v=4), dict(shape=(2, 13, 16), signed=True, tables=False), (2, 3, 4)),
    "small": (dict(p=32, pe=2, r=32, v=16), dict(shape=(1, 8, 8), pools=False), (0, 9, 10)),
}
FAST = ("all", "digits")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in CASES])
def test_features(case, tmp_path):
    size, options, seeds = CASES[case]
    graphs = [random_plain(seed, **options) for seed in seeds]
    library, laid_out = prepare(graphs, size, tmp_path)
    rng = np.random.default_rng(1)
    for graph, (layout, table) in zip(graphs, laid_out, strict=True):
        modes = ["full", "1/4", "1/4", "full", "full"]
        images = rng.integers(0, 256, (len(modes), *options["shape"]), dtype=np.uint8)
        planes = graph.image.planes(images, layout.config.image_size)
        expected = [run(graph, image[None], mode, hardware(table)) for image, mode in zip(images, modes, strict=True)]
        assert len({tuple(result.logits[0]) for result in expected}) == len(modes)
        with loaded(library, tmp_path / f"{graph.name}.bin", random_reset=7) as model:
            for seed, pauses in enumerate([(0, 0), (0.5, 0), (0, 0.6), (0.3, 0.3)]):
                model.reset()
                records = stream(model, graph, modes, planes, pauses, seed)
                for frame, (record, result, mode) in enumerate(zip(records, expected, modes, strict=True)):
                    cost = frame_cost(graph, mode, layout.config)
                    assert record["logits"] == result.logits[0].tolist(), f"{graph.name}, frame {frame}, pauses {pauses}"
                    assert record["class"] == result.classes[0]
                    assert (record["cycles"], record["tiles"]) == (cost.cycles, cost.tiles), f"{graph.name} in {mode}"
            for mode in graph.modes:
                model.reset()
                stream(model, graph, [mode], planes[:1], (0, 0))
                for index, (name, cost) in enumerate(mode_costs(graph, mode, layout.config).items()):
                    model.write("layer", index)
                    model.run(0)
                    assert abs(model.read("layer_cycles") - cost.cycles) <= 2, f"{name} of {graph.name} in {mode}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("steps", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_networks_of_one_and_two_convolutions(steps, tmp_path):
    """They leave a feature memory empty, and their images of 32 rows begin at even words all the same."""
    graph = random_plain(3, (1, 32, 32), tables=False, pools=False, steps=steps)
    assert len(graph.layers) == steps + 2
    library, ((layout, table),) = prepare([graph], dict(p=32, pe=1, r=16, v=8), tmp_path)
    images = np.random.default_rng(2).integers(0, 256, (3, 1, 32, 32), dtype=np.uint8)
    with loaded(library, tmp_path / f"{graph.name}.bin", random_reset=3) as model:
        model.reset()
        records = stream(model, graph, ["full"] * 3, graph.image.planes(images, 32), (0, 0))
    for record, logits in zip(records, run(graph, images, "full", hardware(table)).logits, strict=True):
        assert record["logits"] == logits.tolist() and record["cycles"] == frame_cost(graph, "full", layout.config).cycles


def test_the_graphs_have_every_feature():
    """So that no case above is empty: what occurs in them, by engine."""
    for case, (_, options, seeds) in CASES.items():
        layers = [layer for seed in seeds for layer in random_plain(seed, **options).layers[:-1]]
        pools = {layer.pool2 for layer in layers}
        tables = options.get("tables", True)
        assert {layer.stride for layer in layers} == {1, 2} and any(layer.residual for layer in layers)
        assert any(layer.residual_table is not None for layer in layers) == tables
        assert any(layer.sum_table is not None and not layer.residual for layer in layers) == tables
        assert pools == ({None, "max", "sum"} if tables else {None, "max"}) if options.get("pools", True) else {None}
        assert any(tuple(layer.valid_size) != (layer.out_size,) * 2 for layer in layers)
        if case != "small":
            assert any(layer.pool2 and layer.pool for layer in layers) or any(layer.conv_size < layer.out_size for layer in layers)
