"""Engines that several networks share: what is joined, what is refused, and that nothing of a network's own changes with a larger engine."""

from dataclasses import asdict, replace

import pytest

from flow.engine.compile import compile_graph
from flow.engine.config import Folding
from flow.engine.cost import mode_costs
from flow.engine.plan import plan
from flow.engine.shared import SIZES, check_holds, join, of_text, read_engine, text_of, write_engine
from flow.errors import GatefoldError
from flow.graph.random_graph import random_gated, random_resnet

FOLDING = Folding()


@pytest.fixture(scope="module")
def graphs():
    return [random_resnet(3), random_gated(4, kinds=("ddi",), blocks=(1, 1, 2)), random_gated(5, kinds=("acs",), blocks=(1, 1, 2))]


@pytest.fixture(scope="module")
def engine(graphs):
    return join([plan(graph, FOLDING).config for graph in graphs])


def test_the_engine_holds_each_and_is_no_larger(graphs, engine):
    configs = [plan(graph, FOLDING).config for graph in graphs]
    for graph, config in zip(graphs, configs, strict=True):
        check_holds(engine, config, graph.name)
    for name in SIZES:
        if name != "m_depth":
            assert getattr(engine, name) == max(getattr(config, name) for config in configs), name
    assert engine.m_depth >= engine.image_base + 2 * 3 * 32 // 8 > engine.m_depth // 2
    assert join([engine, *configs]) == engine == join([*reversed(configs), engine])


def test_what_a_network_is_stays(graphs, engine):
    """Its kernels, constants and results; what counts cycles knows the engine."""
    for graph in graphs:
        alone, shared = compile_graph(graph, FOLDING), compile_graph(graph, FOLDING, plan(graph, FOLDING, engine))
        for name in ("requant", "fc_weights", "fc_bias"):
            assert shared.memories[name] == alone.memories[name]
        assert len(shared.memories["program"]) <= engine.layers * len(graph.modes)
        for mode in graph.modes:
            costs = [sum(cost.cycles for cost in mode_costs(graph, mode, each.plan.config).values()) for each in (alone, shared)]
            assert costs[0] <= costs[1] <= 1.3 * costs[0]


@pytest.mark.parametrize("name", sorted(set(SIZES) - {"m_depth"}))
def test_an_engine_that_is_too_small_is_told(graphs, engine, name):
    own = replace(engine, **{name: getattr(engine, name) + 1})
    with pytest.raises(
        GatefoldError, match=f"net needs {getattr(own, name)} {SIZES[name]} and the engine has {getattr(engine, name)}; "
    ):
        check_holds(engine, own, "net")


@pytest.mark.parametrize("name, value", [("p", 32), ("v", 8), ("tables", 1), ("classes", 12), ("planes", 1), ("hidden", 12)])
def test_an_engine_that_works_otherwise_is_told(engine, name, value):
    with pytest.raises(GatefoldError, match=f"net does not go onto this engine: .*: {value} here, {getattr(engine, name)} there"):
        check_holds(engine, replace(engine, **{name: value}), "net")
    with pytest.raises(GatefoldError, match="they need engines of their own"):
        join([engine, replace(engine, **{name: value})])


def test_networks_that_share_no_engine_are_named(engine):
    """Any two of them: what these have in different sizes, the first one may lack."""
    lacks, ten, twelve = (replace(engine, hidden=hidden) for hidden in (0, 10, 12))
    with pytest.raises(
        GatefoldError, match="^b and c cannot share an engine: hidden units of the gates' LSTM: 10 here, 12 there; they"
    ):
        join([lacks, ten, twelve], names=["a", "b", "c"])
    assert join([lacks, ten, ten]).hidden == 10


def test_wide_accumulators_take_dsp_blocks_from_the_lanes(engine):
    """Of the engine, which runs networks with and without them."""
    narrow, wide = replace(engine, mult_dsp=14), replace(engine, mult_dsp=6, acc_width=19)
    shared = join([narrow, wide])
    assert shared == wide == join([wide, narrow])
    for own in (narrow, wide):
        check_holds(shared, own, "net")
    with pytest.raises(GatefoldError, match="net needs 19 bits of an accumulator and the engine has 18"):
        check_holds(narrow, wide, "net")


def test_tables_of_layers_are_one_networks(engine):
    """As the board program has it: `board.linking`."""
    tabled = replace(engine, tables=1)
    with pytest.raises(GatefoldError, match="a and b have tables of their layers, .*; leave out --resident"):
        join([tabled, tabled], resident=True, names=["a", "b"])
    assert join([tabled, tabled]) == join([tabled], resident=True) == tabled


def test_masks_and_pools_are_told(engine):
    for lacks in ({"mask": 0}, {"pool2": 0}):
        (name,) = lacks
        with pytest.raises(GatefoldError, match="which the engine lacks"):
            check_holds(replace(engine, **lacks), replace(engine, **{name: 1}), "net")


def test_a_description_comes_back(engine, tmp_path):
    write_engine(tmp_path / "engine.json", "zedboard", engine, ["a", "b"])
    assert read_engine(tmp_path / "engine.json") == ("zedboard", engine)
    assert of_text(text_of(engine)) == engine and of_text(text_of(None)) is None
    assert engine.folding == FOLDING


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1}', '{"format": 2, "board": "zedboard", "parameters": {}}',
                                  '{"format": 1, "board": 1, "parameters": {}}', '{"format": 1, "board": "zedboard", "parameters": {"P": "x"}}', '{"format": 1, "board": "zedboard", "parameters": {"P": true}}',
                                  '{"format": 1, "board": "zedboard", "parameters": {"P": 32, "P": 64}}'])  # fmt: skip
def test_a_file_that_describes_no_engine(text, tmp_path):
    (tmp_path / "engine.json").write_text(text)
    with pytest.raises(GatefoldError, match="describes no engine of this version"):
        read_engine(tmp_path / "engine.json")


def test_parameters_of_another_version(engine, tmp_path):
    parameters = {name.upper(): value for name, value in asdict(engine).items() if name != "pack"}
    (tmp_path / "engine.json").write_text(str({"format": 1, "board": "zedboard", "parameters": parameters}).replace("'", '"'))
    with pytest.raises(GatefoldError, match="another version of gatefold; write one with"):
        read_engine(tmp_path / "engine.json")
    with pytest.raises(GatefoldError, match="There is no file .*none.json; write an engine"):
        read_engine(tmp_path / "none.json")


def test_a_file_for_a_board_that_there_is_not(engine, tmp_path):
    write_engine(tmp_path / "engine.json", "pynq-z9", engine, [])
    with pytest.raises(
        GatefoldError, match=r"engine\.json is for a board that is not known: There is no board 'pynq-z9'; choose one of"
    ):
        read_engine(tmp_path / "engine.json")
