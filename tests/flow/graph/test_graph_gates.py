"""Gates in the layer graph: against a reference that passes by what is skipped, a channel at a time."""

import numpy as np
import pytest

from flow.errors import GatefoldError
from flow.graph.integer import decide, run
from flow.graph.layers import Layer, LayerGraph, Setting
from flow.graph.random_graph import random_gated

MASK, MASK2, SKIP = "stage2.block1.channel_gate.linear", "stage2.block2.pooled_gate", "stage1.block2.layer_gate"
FIRST, LAST = "stage1.block1.conv1", "stage3.block1.conv2"


@pytest.fixture(scope="module")
def graph():
    """Two blocks, two, and one: one with each kind of gates; channels are shuffled in the last three."""
    return random_gated(2, (16, 32, 32), (2, 2, 1))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)


def slot(layer, channel):
    width = layer.out_channels // 16
    return channel % width * 16 + channel // width if layer.shuffle else channel


def one_image(graph, image, mode, forced=None):
    """Stations and decisions of one image [C, H, W]; a layer that a decision skips is not computed, nor is a channel."""
    maps, decisions = {"image": image.astype(int)}, {}
    gated = mode not in graph.ungated
    for layer in graph.layers:
        if (layer.kind == "gate" or layer.gate) and not gated:
            continue
        source, runs = maps[layer.input], not gated or layer.when is None or decisions[layer.when][0]
        if layer.kind != "conv":
            out = []
            for k in range(len(layer.weight)):
                total = int(layer.bias[k])
                for c, values in enumerate(source):
                    total += int(layer.weight[k, c]) * int(values.sum())
                out.append(int(runs and total >= 0) if layer.kind == "gate" else total)
            if layer.kind == "gate":
                decisions[layer.name] = out = list((forced or {}).get(layer.name, out))
            maps[layer.name] = np.array(out)
            continue
        setting = graph.modes[mode].get(layer.name, Setting())
        scale, offset = layer.affine[setting]
        outputs, inputs, kernel, _ = layer.weight.shape
        size, pad = -(-layer.in_size // layer.stride), kernel // 2
        padded = np.pad(source, ((0, 0), (pad, pad), (pad, pad)))
        stored = np.zeros((outputs, layer.out_size, layer.out_size), int)
        valid = layer.valid or (size, size)
        for o in range(outputs):
            before = maps[layer.residual][o][:size, :size] if layer.residual else 0
            made = np.zeros((size, size), int) + before
            if runs and not (gated and layer.mask and not decisions[layer.mask][o]):
                acc = np.zeros((size, size), int)
                for i in range(inputs):
                    if o * setting.groups // outputs != i * setting.groups // inputs or not padded[i].any():
                        continue
                    for y in range(kernel):
                        for x in range(kernel):
                            there = padded[
                                i, y : y + layer.stride * size : layer.stride, x : x + layer.stride * size : layer.stride
                            ]
                            acc += int(layer.weight[o, i, y, x]) * there[:size, :size]
                level = np.round(acc.astype(np.float32) * scale[o] + offset[o]).astype(int)
                made = np.clip(np.clip(level, -15 if layer.residual else 0, 15) + before, 0, 15)
            stored[slot(layer, o), : valid[0], : valid[1]] = made[: valid[0], : valid[1]]
        maps[layer.name] = stored.sum(axis=(1, 2)) if layer.pool else stored
    del maps["image"]
    return maps, decisions


def check(graph, images, mode, forced=None):
    got = run(graph, images, mode, forced=forced)
    for number, image in enumerate(images):
        given = {name: np.broadcast_to(rows, (len(images), len(rows.T)))[number] for name, rows in (forced or {}).items()}
        stations, decisions = one_image(graph, image, mode, given)
        assert set(got.stations) <= set(stations)
        for name, station in got.stations.items():
            assert np.array_equal(station[number], stations[name]), (mode, name)
        assert set(got.decisions) == set(decisions)
        for name, rows in got.decisions.items():
            assert rows.dtype == np.uint8 and rows[number].tolist() == decisions[name], (mode, name)
    return got


@pytest.mark.parametrize("mode", ["full", "1/4", "1/16"])
def test_gates_decide_what_is_computed(graph, images, mode):
    got = check(graph, images, mode)
    assert set(got.stations) == {layer.name for layer in graph.layers}
    if mode == "full":
        taken = np.concatenate([rows.reshape(-1) for rows in got.decisions.values()])
        assert 0.2 < taken.mean() < 0.8
        assert len({rows.tobytes() for rows in got.decisions[MASK]}) > 1, "images decide differently"


def test_zero_decides_to_run():
    """A probability of one half."""
    gate = Layer("gate", "gate", np.array([[2, -1], [2, -1], [2, -1]]), input="before", bias=np.array([-1, 0, 1]))
    assert decide(gate, np.array([[3, 6], [1, 1]])).tolist() == [[0, 1, 1], [1, 1, 1]]
    assert decide(gate, np.array([[3, 6], [1, 1]]), np.array([[1], [0]])).tolist() == [[0, 1, 1], [0, 0, 0]]


def all_gates(graph, value):
    return {gate.name: np.full(gate.decisions, value) for gate in graph.gates}


@pytest.mark.parametrize("mode", ["full", "1/4"])
def test_all_off_leaves_the_residuals(graph, images, mode):
    """Nothing but stem, shortcuts and classifier has an influence."""
    got = check(graph, images[:1], mode, all_gates(graph, 0))
    assert np.array_equal(got.stations["stage1.block2.conv2"], got.stations["stem"])
    assert np.array_equal(got.stations["stage2.block2.conv2"], got.stations["stage2.block1.shortcut"])
    assert np.array_equal(got.stations[LAST], got.stations["stage3.block1.shortcut"].sum(axis=(2, 3)))
    assert not got.stations[FIRST].any()


@pytest.mark.parametrize("mode", ["full", "1/4"])
def test_all_on_is_the_network_without_gates(graph, images, mode):
    got, plain = check(graph, images[:1], mode, all_gates(graph, 1)), run(graph, images[:1], f"{mode} ungated")
    assert not plain.decisions and not set(plain.stations) & {layer.name for layer in graph.layers if layer.decides}
    for name, station in plain.stations.items():
        assert np.array_equal(station, got.stations[name]), name
    check(graph, images[:1], f"{mode} ungated")


@pytest.mark.parametrize("mode", ["full", "1/4", "1/16"])
def test_one_channel_and_an_empty_group(graph, images, mode):
    on = all_gates(graph, 1)
    one, empty = on | {MASK: np.eye(32, dtype=int)[19], MASK2: np.eye(32, dtype=int)[:3]}, dict(on)
    for name in (MASK, MASK2, "stage3.block1.gate1.linear"):
        empty[name] = np.repeat([1, 1, 0, 1], 8)  # the third group of four: its outputs go, its inputs are spread by the shuffle
    got = check(graph, images, mode, one)
    assert np.flatnonzero(got.stations["stage2.block1.conv1"].any(axis=(0, 2, 3))).tolist() == [
        slot(graph["stage2.block1.conv1"], 19)
    ]
    empty["stage1.block1.channel_gate.linear"] = np.repeat([1, 0, 1, 1], 4)
    check(graph, images, mode, empty)


def test_a_skipped_layer_does_not_decide_on_channels(graph, images):
    """Its channel gate says no to all; nor does it matter what the gate's convolution would read."""
    both = graph["stage2.block1.channel_gate.linear"]
    assert both.when == "stage2.block1.layer_gate"
    got = run(graph, images, "full", forced={both.when: np.array([[0], [1], [0]])})
    assert got.decisions[both.name].any(axis=1).tolist() == [False, True, False]
    assert got.stations[both.input].any(axis=1).tolist() == [False, True, False]
    given = run(graph, images, "full", forced={both.when: np.array([[0], [1], [0]]), both.name: np.ones(32, int)})
    assert (
        given.decisions[both.name].all(axis=1).tolist() == given.decisions[both.name].any(axis=1).tolist() == [False, True, False]
    )


def test_forced_decisions_need_no_gates(graph, images):
    """Neither the gate nor the convolutions that only it reads are run; the others are."""
    names = [layer.name for layer in graph.executed("full", {MASK: 0, "stage3.block1.gate2.linear": 0})]
    assert "stage2.block1.layer_gate" in names and "stage3.block1.gate1.bottleneck" in names
    gone = {MASK, "stage2.block1.channel_gate.conv"} | {
        f"stage3.block1.gate2.{part}" for part in ("bottleneck", "conv1", "conv2", "linear")
    }
    assert names == [layer.name for layer in graph.layers if layer.name not in gone]
    assert [layer.name for layer in graph.executed("full ungated")] == [layer.name for layer in graph.layers if not layer.decides]
    assert graph.executed("full") == graph.layers


@pytest.mark.parametrize(
    "mode, forced, words",
    [
        ("full", {"gate9": np.ones(3)}, "has no gate 'gate9'; it has stage1.block1.channel_gate.linear, "),
        ("full", {SKIP: np.ones(2)}, rf"shape \(2,\) are forced on gate {SKIP} of gated2; give 1 for all images, or 3 times 1"),
        ("full", {SKIP: np.array([2])}, f"forced on gate {SKIP} of gated2 are 0 or 1, not 2"),
        ("full ungated", {SKIP: np.array([1])}, "full ungated of gated2 runs no gates"),
    ],
)
def test_decisions_that_cannot_be_forced(graph, images, mode, forced, words):
    with pytest.raises(GatefoldError, match=words):
        run(graph, images, mode, forced=forced)


@pytest.mark.parametrize(
    "name, changes, words",
    [
        (FIRST, {"mask": "stage1.block1.gate"}, "is masked by stage1.block1.gate, which is no gate; the gates are stage1.block1.channel"),
        (FIRST, {"mask": "stem"}, "is masked by stem, which is no gate"),
        (FIRST, {"mask": MASK}, f"is masked by {MASK}, which does not come before it; reorder"),
        (FIRST, {"mask": None, "when": "stage1.block1.channel_gate.linear"}, "is skipped by .* decides on 16 things, and there are 1"),
        (LAST, {"mask": SKIP}, f"is masked by {SKIP}, which decides on 1 things, and there are 32"),
        (LAST, {"when": "stage2.block1"}, "is skipped by stage2.block1, which is no gate"),
        (LAST, {"sum_table": np.zeros(64, int)}, "keeps codes of stage3.block1.shortcut where it is dropped; leave out its tables"),
        (LAST, {"gate": True}, "belongs to a gate and classifier, which runs without gates too, reads it"),
        ("stage2.block1.shortcut", {"when": SKIP}, "without leaving anything behind, and stage2.block1.conv2 adds it"),
        (SKIP, {"mask": MASK}, "has a mask or belongs to a gate, which only a convolution can"),
        (SKIP, {"weight": np.full((1, 16), 128)}, "has weights up to 128; a gate's are -127 to 127"),
        (SKIP, {"bias": None}, r"needs weights \[decisions, channels\] and a bias"),
        (SKIP, {"input": "stage1.block1.channel_gate.linear"}, "a gate layer, which makes no map"),
        (SKIP, {"input": "image"}, "reads image; a gate layer reads the sums of a convolution"),
        ("classifier", {"when": SKIP}, "is a classifier, which always runs"),
        ("classifier", {"input": MASK2}, f"reads {MASK2}, a gate layer"),
        ("stage3.block1.gate1.linear", {"input": "stage3.block1.gate1.conv1"}, "conv2 of gated2 belongs to a gate and none reads it"),
        ("stage2.block1.conv1", {"input": "stage2.block1.channel_gate.conv"}, "reads the map of stage2.block1.channel_gate.conv, of which only the sums"),
    ],
)  # fmt: skip
def test_gates_that_contradict_themselves_are_refused(name, changes, words):
    graph = random_gated(2, (16, 32, 32), (2, 2, 1))
    for field, value in changes.items():
        setattr(graph[name], field, value)
    with pytest.raises(GatefoldError, match=words) as error:
        LayerGraph(graph.name, graph.layers, graph.modes, ungated=graph.ungated)
    assert "\n" not in str(error.value)


def test_an_ungated_mode_is_a_mode(graph):
    with pytest.raises(GatefoldError, match="no mode 'half' to run without gates; it has full, 1/2"):
        LayerGraph(graph.name, graph.layers, graph.modes, ungated=frozenset({"half"}))
