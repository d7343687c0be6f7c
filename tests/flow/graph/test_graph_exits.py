"""Early exits in the layer graph and the memory plan: where a frame stops, what survives a branch, and what is refused."""

import numpy as np
import pytest

from flow.engine.frame import exit_cycles, frame_costs, frame_record
from flow.engine.plan import plan
from flow.errors import GatefoldError
from flow.graph.exits import OFF, Halting, lead
from flow.graph.integer import run
from flow.graph.layers import Layer, LayerGraph, Setting
from flow.graph.random_graph import random_gated, random_resnet, with_exits

BLOCKS = ("stage1.block1", "stage2.block1")
CONV1, CONV2, END = (f"stage1.block1.exit.{part}" for part in ("conv1", "conv2", "classifier"))


def graph():
    return with_exits(random_gated(2, (16, 32, 32), (1, 1, 1), ("both", "channel")), BLOCKS)


@pytest.fixture(scope="module")
def made():
    return graph()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)


def test_lead():
    assert lead(np.array([[3, 9, 4], [7, 7, -1], [-5, -9, -7]])).tolist() == [5, 0, 2]


def test_exits_change_nothing_else(made, images):
    without = random_gated(2, (16, 32, 32), (1, 1, 1), ("both", "channel"))
    for mode in ("full", "1/4 ungated"):
        got, plain = run(made, images, mode), run(without, images, mode)
        assert list(got.exit_logits) == [f"{block}.exit.classifier" for block in BLOCKS]
        assert all(np.array_equal(got.stations[name], station) for name, station in plain.stations.items())


def where(limits, margins, arrivals, leads):
    """The exit of a frame by the words of the definition; `arrivals` has what a frame has taken when it comes to each exit."""
    for exit, (limit, margin) in enumerate(zip(limits, margins, strict=True)):
        if arrivals[exit] >= limit or (margin != OFF and leads[exit] >= margin):
            return exit
    return len(limits)


def test_where_a_frame_stops(made, images):
    """Limits around the cycles at which it comes to an exit, margins around the lead that it has."""
    layout, mode = plan(made), "full ungated"
    result = run(made, images[:1], mode)
    leads = [int(lead(logits)[0]) for logits in result.exit_logits.values()]
    seen = set()
    for first_looks in (False, True):
        costs, _ = frame_costs(made, layout.config, mode, result, 0, Halting((OFF, 0), ((OFF, OFF - 1)[first_looks], OFF)))
        order, cycles = list(costs), [cost.cycles for cost in costs.values()]
        arrivals = [sum(cycles[: order.index(f"{block}.conv2") + 1]) for block in BLOCKS]
        for limits in ((OFF, OFF), (arrivals[0], OFF), (arrivals[0] + 1, OFF), (OFF, arrivals[1]), (OFF, arrivals[1] + 1)):
            for second in (OFF, leads[1], leads[1] + 1, 0):
                halting = Halting(limits, ((OFF, leads[0] + 1)[first_looks], second))
                record = frame_record(made, layout.config, mode, result, 0, halting)
                assert record["exit"] == where(halting.limits, halting.margins, arrivals, leads), halting
                logits = [*result.exit_logits.values(), result.logits][record["exit"]][0]
                assert record["logits"] == logits.tolist() and record["class"] == logits.argmax()
                seen.add(record["exit"])
    assert seen == {0, 1, 2}


def test_gates_behind_the_exit_decide_nothing(made, images):
    layout, result = (
        plan(made),
        run(made, images[:1], "full", forced={gate.name: np.ones(gate.decisions, int) for gate in made.gates}),
    )
    counts = [sum(frame_record(made, layout.config, "full", result, 0, Halting.at(at, 2))["decisions"]) for at in range(3)]
    before = [made.layers.index(exit) for exit in made.exits]
    expected = [
        sum(gate.decisions for gate in made.gates if made.layers.index(gate) < place) for place in (*before, len(made.layers))
    ]
    assert counts == expected and counts[0] < counts[1] < counts[2]


def test_a_frame_that_goes_on_fits_its_budget(made):
    config = plan(made).config
    for mode in ("full", "1/8", "full ungated"):
        (first, onward), (second, rest) = exit_cycles(made, config, mode)
        assert first < second and 0 < onward < second and 0 < rest


def test_branches_leave_the_residual_stream_alone(made):
    """Nothing that is read behind a branch lies where the branch writes, and all exits share one place for their sums."""
    layout = plan(made)
    for exit in made.exits:
        start, end = (next(i for i, layer in enumerate(made.layers) if layer.exit == exit.name), made.layers.index(exit))
        alive = {
            name
            for layer in made.layers[end + 1 :]
            for name in (layer.input, layer.residual)
            if name and name != "image" and made.layers.index(made[name]) < start and layout.maps.get(name)
        }
        written = {layout.maps[layer.name] for layer in made.layers[start:end] if layout.maps[layer.name]}
        assert alive and written and written.isdisjoint(layout.maps[name] for name in alive)
    sums = {layout.sums[exit.input] for exit in made.exits}
    others = {place for name, place in layout.sums.items() if made[name].exit is None}
    assert len(sums) == 1 and sums.isdisjoint(others)
    assert layout.config.exits == 2 and layout.config.biases == 3 * 10 + layout.config.decisions
    assert all(layout.biases[exit.name] >= 10 + layout.config.decisions for exit in made.exits)


@pytest.mark.parametrize(
    "name, changes, words",
    [
        (CONV1, {"exit": None}, "exit.pool1 .* belongs to exit .*, whose layers do not follow one another"),
        (CONV2, {"exit": "stage2.block1.exit.classifier"}, "whose layers do not follow one another up to its classifier"),
        (CONV1, {"exit": "nowhere"}, "whose layers do not follow one another up to its classifier"),
        (CONV1, {"mask": "stage1.block1.channel_gate.linear"}, "decided by one or adds a map|is masked by"),
        (CONV1, {"gate": True}, "belongs to an exit and is a gate|belongs to a gate"),
        (END, {"exit": None}, "whose layers do not follow one another up to its classifier"),
        (END, {"weight": np.zeros((9, 32), int), "bias": np.zeros(9, int)}, "tells 9 classes apart and the network 10"),
        ("classifier", {"exit": "classifier"}, "do not follow one another up to its classifier"),
        ("stage2.block1.shortcut", {"input": "stage1.block1.exit.pool1"}, "pool1 .* belongs to an exit and stage2.block1.shortcut, which runs without"),
    ],
)  # fmt: skip
def test_exits_that_contradict_themselves_are_refused(name, changes, words):
    changed = graph()
    for field, value in changes.items():
        setattr(changed[name], field, value)
    with pytest.raises(GatefoldError, match=words) as error:
        LayerGraph(changed.name, changed.layers, changed.modes, ungated=changed.ungated)
    assert "\n" not in str(error.value)


def test_a_classifier_inside_is_an_exits():
    changed = graph()
    for layer in changed.layers:
        layer.exit = None
    with pytest.raises(GatefoldError, match=f"layer {END} of .* is a classifier before the last one and no exit's"):
        LayerGraph(changed.name, changed.layers, changed.modes, ungated=changed.ungated)


def test_limits_and_margins_are_words():
    for limits, margins in (((1,), ()), ((-1,), (0,)), ((0,), (1 << 32,))):
        with pytest.raises(GatefoldError, match="are no two lists of 32-bit integers"):
            Halting(limits, margins)


def with_tables(layers):
    layers[0].sum_table = np.arange(64) % 16


def with_a_long_branch(layers):
    end = next(layer for layer in layers if layer.exit == layer.name)
    first = layers.index(end) - 1
    source, weight = layers[first - 1], np.ones((24, 24, 1, 1), int)
    for number in range(15):
        layers.insert(
            first + number,
            Layer(f"more{number}", "conv", weight, 1, 8, 8, input=source.name, affine={Setting(): (np.ones(24, np.float32),) * 2}, exit=end.name),
        )  # fmt: skip
        source = layers[first + number]
    layers[first + 15].input = source.name


@pytest.mark.parametrize(
    "change, words",
    [
        (with_tables, "layer stem has bounds or tables of its own, which an engine with exits lacks; train it without exits"),
        (with_a_long_branch, "classifier ends a branch of 20 layers; the engine jumps over 16: use fewer"),
    ],
)
def test_what_the_engine_lacks_is_refused(change, words):
    plain = with_exits(random_resnet(3), BLOCKS[:1])
    change(plain.layers)
    with pytest.raises(GatefoldError, match=words) as error:
        plan(LayerGraph(plain.name, plain.layers, plain.modes))
    assert "\n" not in str(error.value)
