"""Memory plan, program and cycle model."""

from dataclasses import replace

import numpy as np
import pytest

from flow import models
from flow.engine.boards import find_board
from flow.engine.compile import keep_modes
from flow.engine.config import EngineConfig, Folding
from flow.engine.cost import TABLE_LOAD, Unplanned, frame_cost, layer_cost, mode_costs
from flow.engine.interface import load_interface
from flow.engine.memories import block_memories, ram_blocks, ram_luts
from flow.engine.plan import M, Place, X, image_words, map_words, plan
from flow.engine.program import program_words
from flow.engine.requant import requantise
from flow.engine.select import check_fit, choose, smaller_selections
from flow.engine.stream import frame_beats
from flow.errors import GatefoldError
from flow.export.from_model import layer_graph
from flow.graph.layers import Layer, LayerGraph
from flow.graph.random_graph import random_gated, random_plain, random_resnet


@pytest.fixture(scope="module")
def graph():
    return random_resnet(4, blocks=(2, 2, 1))


def test_maps_of_the_three_stages_take_32_words():
    assert [map_words(c, s) for c, s in ((16, 32), (32, 16), (64, 8))] == [32, 32, 32]


def test_residual_stream_stays_in_place_and_moves_at_a_shortcut(graph):
    layout = plan(graph)
    assert layout.maps["stem"] == layout.maps["stage1.block2.conv2"] == Place(X, 0)
    assert layout.maps["stage2.block1.shortcut"] == layout.maps["stage2.block2.conv2"] == Place(X, 32)
    assert layout.maps["stage2.block1.conv1"] == Place(M, 0)
    assert layout.residuals["stage3.block1.conv2"] == layout.maps["stage3.block1.shortcut"] == Place(X, 0)
    assert (layout.config.x_depth, layout.config.m_depth, layout.config.image_base) == (64, 64, 32)


def test_no_live_map_is_overwritten(graph):
    """Replays the plan: whatever a layer reads is what its producer wrote there."""
    layout = plan(graph)
    contents = {}
    for layer in graph.layers[:-1]:
        if layer.input != "image":
            assert contents[layout.maps[layer.input]] == layer.input
            assert layout.maps[layer.name] != layout.maps[layer.input]
        if layer.residual:
            assert contents[layout.residuals[layer.name]] == layer.residual
        if layout.maps[layer.name]:
            contents[layout.maps[layer.name]] = layer.name


def shortcuts_last(graph):
    """The same network with every shortcut behind the convolution that reads the same map: it is the last one to read it."""
    layers = list(graph.layers)
    for index, layer in enumerate(layers[:-1]):
        if layer.name.endswith("shortcut"):
            layers[index], layers[index + 1] = layers[index + 1], layer
    return LayerGraph(graph.name, layers, graph.modes)


def test_a_layer_does_not_overwrite_its_own_input(graph):
    """The last reader of a map goes elsewhere: pixels that it still has to read would be gone."""
    moved = shortcuts_last(graph)
    layout = plan(moved)
    assert layout.maps["stage1.block2.conv2"] == Place(X, 0)
    assert layout.maps["stage2.block1.shortcut"] == Place(X, 32)
    assert layout.maps["stage3.block1.shortcut"] == Place(X, 0)
    test_no_live_map_is_overwritten(moved)


def test_a_branch_of_three_convolutions():
    """Its first map lies beside the stream, so that the last but one's is in M, beside what is added."""
    graph = random_resnet(0)
    first = graph["stage1.block1.conv1"]
    second = replace(first, name="stage1.block1.between", input=first.name)
    graph["stage1.block1.conv2"].input = second.name
    layers = list(graph.layers)
    layers.insert(layers.index(first) + 1, second)
    longer = LayerGraph(graph.name, layers, graph.modes)
    layout = plan(longer)
    assert (layout.maps[first.name], layout.maps[second.name]) == (Place(X, 32), Place(M, 0))
    test_no_live_map_is_overwritten(longer)


def test_what_is_read_and_what_is_added_lie_apart():
    """One memory would be read twice in a cycle."""
    graph = random_resnet(0, blocks=(2, 1, 1))
    graph["stage1.block2.conv2"].residual = "stage1.block1.conv1"
    with pytest.raises(GatefoldError, match="layer stage1.block1.conv2 adds to a map while it reads from the residual stream"):
        plan(graph)


def test_program_walks_every_mode(graph):
    layout = plan(graph)
    words = program_words(graph, layout, requantise(graph))
    interface = load_interface()
    assert len(words) == layout.config.modes * layout.config.layers == 5 * 16
    for index, mode in enumerate(graph.modes):
        rows = [interface.unpack_descriptor(word) for word in words[index * 16 : index * 16 + len(graph.layers)]]
        assert [row["last"] for row in rows] == [0] * (len(rows) - 1) + [1]
        for row, layer in zip(rows, graph.layers, strict=True):
            assert row["groups"] * row["in_per_group"] == row["in_count"]
            assert row["groups"] == (1 if layer.kind == "linear" else graph.groups(mode, layer))
        assert (rows[0]["image"], rows[0]["in_count"], rows[0]["src"], rows[0]["src_base"]) == (1, 6, M, 32)
        assert (rows[-2]["pool"], rows[-1]["kind"]) == (1, 1)
        assert rows[graph.layers.index(graph["stage2.block1.conv1"])]["shuffle"] == 1


def test_cycles_follow_the_formula():
    layer = Layer("a", "conv", np.zeros((64, 64, 3, 3), np.int64), in_size=8, out_size=8, input="b")
    config = Unplanned()
    dense = layer_cost(layer, 1, config)
    overhead = dense.cycles - 32 * 64
    assert 0 < overhead <= 20
    assert dense.tiles == 32 * 64
    grouped = layer_cost(layer, 16, config)  # 16 groups, 2 tuples of 2 outputs, 4 inputs
    assert (grouped.cycles, grouped.tiles) == (16 * 2 * 4 + overhead, 16 * 2 * 4)
    slow = layer_cost(layer, 16, Unplanned(r=8))  # 16 cycles to let two outputs of 64 pixels through
    assert slow.tiles == grouped.tiles and slow.cycles > 16 * 2 * 16


def test_rates_of_a_resnet38():
    graph = random_resnet(0, blocks=(6, 6, 6))
    config = plan(graph).config
    cycles = {mode: frame_cost(graph, mode, config).cycles for mode in graph.modes}
    assert 1e8 / cycles["full"] >= 1250 and 1e8 / cycles["1/16"] >= 10000
    assert cycles["full"] >= 3.6 * cycles["1/4"]


def change(name, **attributes):
    graph = random_resnet(0)
    for key, value in attributes.items():
        setattr(graph[name], key, value)
    return graph


@pytest.mark.parametrize(
    "name, attributes, words",
    [
        ("stage1.block1.conv1", {"weight": np.zeros((16, 16, 5, 5), np.int64)}, "5x5 kernel"),
        ("stage1.block1.conv1", {"out_size": 64, "in_size": 64}, "64x64 maps"),
        ("stage2.block1.conv1", {"stride": 4}, "stride 4"),
        ("stage3.block1.conv2", {"pool": False}, "needs a global pool"),
        ("stage2.block1.conv2", {"residual": "stage1.block1.conv2"}, "another shape"),
        ("stage1.block1.conv1", {"input": "image"}, "only the first layer may|16 planes"),
    ],
)
def test_what_the_engine_lacks_names_the_layer(name, attributes, words):
    with pytest.raises(GatefoldError, match=f"layer .*({words})"):
        plan(change(name, **attributes))


def test_a_map_that_a_later_layer_reads_is_not_overwritten():
    graph = random_resnet(0, blocks=(2, 1, 1))
    graph["stage1.block2.conv2"].residual = "stem"
    with pytest.raises(GatefoldError, match="stage1.block1.conv2 overwrites stem"):
        plan(graph)


def test_a_model_that_is_too_large_names_the_remedy():
    graph = random_resnet(0)
    board = find_board("pynq-z2")
    layout = plan(graph, choose(board))
    check_fit(graph, layout, board)
    assert block_memories(layout.config) < board.bram36
    big = replace(layout, config=replace(layout.config, weight_depth=129120, requant_depth=13824, modes=5, layers=128))
    with pytest.raises(GatefoldError, match="does not fit xc7z020clg400-1.*--modes"):
        check_fit(graph, big, board)
    wide = replace(layout, config=replace(layout.config, weight_depth=105472))
    check_fit(graph, wide, board)
    with pytest.raises(GatefoldError, match=r"\(140 of them for weights\)"):  # kernels of quarters of the lanes are memory too
        check_fit(graph, replace(wide, config=replace(wide.config, pack=12288)), board)


def test_resnet74_fits_with_fewer_modes():
    graph, board = layer_graph(models.create("resnet74")), find_board("pynq-z2")
    layout = plan(graph, choose(board))
    assert block_memories(layout.config) == 153
    assert smaller_selections(graph, layout, board) == [(["full", "1/4"], 139), (["full"], 134.5)]
    with pytest.raises(GatefoldError, match=r"need 153 BRAM36 \(128 of them for weights\).*--modes full,1/4"):
        check_fit(graph, layout, board)
    full = keep_modes(graph, ["full"])
    layout = plan(full, choose(board))
    check_fit(full, layout, board)
    assert smaller_selections(full, layout, board) == []


def test_a_small_rom_is_no_block_memory():
    assert (ram_blocks(128, 128), ram_luts(128, 128)) == (0, 512)
    assert (ram_blocks(129, 128), ram_luts(129, 128)) == (4, 0)
    assert ram_blocks(640, 128) == 8


@pytest.mark.parametrize("dsp, pe, r", [(True, 2, 64), (False, 1, 32)])
def test_overhead_of_a_layer_at_the_default_size(dsp, pe, r):
    config = Unplanned.of(choose(find_board("pynq-z2"), dsp=dsp))
    assert (config.pe, config.r) == (pe, r) and (config.mult_dsp > 0) == dsp
    layer = Layer("a", "conv", np.zeros((64, 64, 3, 3), np.int64), in_size=8, out_size=8, input="b")
    assert layer_cost(layer, 1, config).cycles - 64 * 64 // pe <= 20


def test_an_engine_for_one_mode_takes_only_the_full_network():
    graph = random_resnet(0)
    plan(keep_modes(graph, ["full"]))
    with pytest.raises(GatefoldError, match="1/4 as its only mode"):
        plan(keep_modes(graph, ["1/4"]))


@pytest.mark.parametrize("parameters", [{"p": 48}, {"pe": 4}, {"r": 12}, {"v": 3}])
def test_impossible_parameters_are_refused(parameters):
    with pytest.raises(GatefoldError, match=f"engine parameter {next(iter(parameters)).upper()}"):
        Folding(**parameters)


@pytest.mark.parametrize(
    "attributes, words",
    [
        ({"clamp": (0, 32)}, "levels 0 to 32; the engine makes up to 32 from -16 on"),
        ({"clamp": (-17, 3)}, "levels -17 to 3"),
        ({"weight": np.full((32, 32, 3, 3), 8)}, "weights from 8 to 8; the engine does -7 to 7"),
        ({"weight": np.full((32, 32, 3, 3), -8)}, "weights from -8 to -8; the engine does -7 to 7"),
        ({"residual_table": np.arange(16) + 10}, "makes sums from -5 to 40; the engine does -32 to 31"),
        ({"pool2": "max", "out_size": 8}, "adds and then pools 2x2"),
        ({"in_size": 32, "stride": 2}, "adds at a stride of 2 from 32 to 16 pixels"),
        ({"out_size": 8}, "makes a map of 8x8 from 16x16"),
    ],
)
def test_what_a_layer_may_have_and_the_hardware_lacks(attributes, words):
    with pytest.raises(GatefoldError, match=f"layer stage2.block1.conv2 .*{words}"):
        plan(change("stage2.block1.conv2", **attributes))


@pytest.mark.parametrize(
    "name, attributes, words",
    [
        ("stem", {"weight": np.zeros((16, 7, 3, 3), np.int64)}, "reads 7 planes; the engine takes up to 6"),
        ("stage2.block1.conv1", {"pool2": "max", "out_size": 8}, "takes 16 requantisers or more, not 8; choose --r 16"),
    ],
)
def test_what_other_parameters_would_run(name, attributes, words):
    with pytest.raises(GatefoldError, match=f"layer {name} .*{words}"):
        plan(change(name, **attributes), Folding(r=8))


def features(graph):
    config = plan(graph).config
    return {
        name: getattr(config, name) for name in ("tables", "pool2", "mask", "acc_width", "high_digits", "low_digits", "pool_width")
    }


def test_what_no_layer_needs_is_left_out():
    usual = {"tables": 0, "pool2": 0, "mask": 0, "acc_width": 18, "high_digits": 0, "low_digits": 1, "pool_width": 10}
    assert features(random_resnet(0)) == usual
    last, conv = "stage3.block1.conv2", "stage2.block1.conv2"
    table = np.arange(64) % 16
    assert features(change(conv, residual_table=np.arange(16) // 2)) == {**usual, "tables": 1}
    assert features(change(conv, sum_table=table)) == {**usual, "tables": 1}
    assert features(change(conv, clamp=(-8, 7))) == {**usual, "tables": 1}
    assert features(change("stage2.block1.conv1", clamp=(0, 3))) == {**usual, "tables": 1}
    assert features(change(last, pool2="max")) == {**usual, "pool2": 1, "mask": 1}  # 4x4 pixels, stored in 8x8
    assert features(change(last, residual=None, pool2="sum", sum_table=table)) == {**usual, "tables": 1, "pool2": 2, "mask": 1}
    assert features(change(last, valid=(7, 8))) == {**usual, "mask": 1}
    stem = {"weight": np.full((16, 3, 3, 3), 127)}
    assert features(change("stem", **stem)) == {**usual, "acc_width": 21, "high_digits": 2, "low_digits": 1}


def test_wide_accumulators_take_a_second_dsp_of_every_requantiser():
    graph = change("stem", weight=np.full((16, 3, 3, 3), 127))
    layout = plan(graph, Folding(mult_dsp=14))
    assert layout.config.mult_dsp == 14 - 8  # 64 of them are worth 7.1 pairs
    assert plan(graph, layout.folding) == layout


def test_an_engine_is_read_back_from_its_parameters():
    config = plan(random_resnet(0)).config
    assert EngineConfig.of(config.parameters()) == config
    with pytest.raises(GatefoldError, match="another version of gatefold; build the network again"):
        EngineConfig.of({name: value for name, value in config.parameters().items() if name != "MASK"})


def test_what_is_asked_for_is_no_result():
    """A wish names no depth, and an engine has no default: only the plan of a network makes one."""
    with pytest.raises(TypeError):
        Folding(weight_depth=1024)
    with pytest.raises(TypeError):
        EngineConfig()


@pytest.mark.parametrize(
    "planes, size, words, beats", [(3, 32, 12, 384), (6, 32, 24, 768), (1, 16, 2, 32), (2, 8, 2, 16), (1, 8, 1, 16)]
)
def test_image_buffers(planes, size, words, beats):
    assert image_words(planes, size) == words
    assert len(frame_beats(np.ones((planes, size, size), np.uint8), 7)) == 1 + beats


def test_layers_wait_for_their_tables():
    """A layer of 32 tiles ends before the next one's tables are there; nothing waits without tables."""
    graph = random_resnet(0)
    config = plan(graph).config
    name = "stage3.block1.conv1"
    before = graph.layers[graph.layers.index(graph[name]) - 1]
    before.weight = before.weight[:2, :4]
    plain, waiting = (mode_costs(graph, "full", replace(config, tables=tables)) for tables in (0, 1))
    assert plain[before.name].cycles == 4 + 16 < TABLE_LOAD
    stages = dict.fromkeys(plain, 2) | {"classifier": 0}
    assert waiting[name].cycles - plain[name].cycles == stages[name] + TABLE_LOAD - (plain[before.name].cycles + 2)
    assert all(waiting[other].cycles == plain[other].cycles + stages[other] for other in plain if other != name)


def test_layers_without_residuals_alternate_between_the_memories():
    graph = random_resnet(0, blocks=(2, 1, 1))
    for layer in graph.layers:
        layer.residual = None
    shortcuts = [layer for layer in graph.layers if layer.name.endswith("shortcut")]
    graph.layers = [layer for layer in graph.layers if layer not in shortcuts]
    layout = plan(graph)
    memories = [layout.maps[layer.name].memory for layer in graph.layers[:-2]]
    assert memories == [X, M] * (len(memories) // 2) + [X] * (len(memories) % 2)
    contents = {}
    for layer in graph.layers[:-1]:
        assert layer.input == "image" or contents[layout.maps[layer.input]] == layer.input
        contents[layout.maps[layer.name]] = layer.name
    assert layout.maps[graph.layers[-2].name] is None


def test_fewer_modes_leave_the_rest_of_a_network_as_it_is():
    """Its image and the order of its classes too."""
    graph = random_plain(3)
    graph = replace(graph, class_order=tuple(range(graph.classes))[::-1])
    fewer = keep_modes(graph, list(graph.modes)[:1])
    assert graph.image is not None and (fewer.image, fewer.class_order) == (graph.image, graph.class_order)
    assert fewer.layers is graph.layers and list(fewer.modes) == list(graph.modes)[:1]


def test_sums_of_dropped_outputs_are_refused():
    graph = random_gated(seed=0, kinds=("pooled",), blocks=(1, 1, 1))
    gate = next(layer for layer in graph.gates if layer.name.startswith("stage2"))
    conv1 = next(layer for layer in graph.layers if layer.name == "stage1.block1.conv1")
    assert conv1.mask and gate.in_channels == conv1.out_channels
    gate.input = conv1.name
    with pytest.raises(
        GatefoldError, match=f"layer {gate.name} reads the sums of {conv1.name}, which keeps none of dropped outputs"
    ):
        plan(graph)
