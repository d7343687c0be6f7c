"""Counting cells of a mapped hierarchy, and small units through yosys."""

from dataclasses import replace

import pytest

from flow.engine.memories import TABLE_BITS, TABLE_WORDS, kernel_blocks, ram_blocks, ram_luts
from flow.engine.plan import WIDE_DSPS, plan
from flow.errors import GatefoldError
from flow.graph.random_graph import random_resnet
from flow.synth.merge import equal_modules
from flow.synth.resources import count, estimate

STATISTICS = {
    "modules": {
        "\\gatefold_top": {"num_cells_by_type": {"engine$gatefold_top.e": 1, "LUT2": 3, "FDRE": 5}},
        "\\engine$gatefold_top.e": {
            "num_cells_by_type": {"lane$gatefold_top.e.a": 2, "lane$gatefold_top.e.b": 1, "DSP48E1": 4, "RAMB36E1": 2}
        },
        "\\lane$gatefold_top.e.a": {"num_cells_by_type": {"LUT6": 10, "CARRY4": 3, "RAM64M": 1, "RAMB18E1": 1}},
        "\\lane$gatefold_top.e.b": {"num_cells_by_type": {"LUT6": 11}},
    }
}


def test_count_adds_up_the_hierarchy():
    seen = count(STATISTICS, "gatefold_top")
    total = seen.total
    assert (total.lut, total.ff, total.dsp, total.bram36) == (3 + 2 * 14 + 11, 5, 4, 3.0)
    lanes = next(unit for unit in seen.units if unit.name == "lane")
    assert (lanes.parent, lanes.count, lanes.lut, lanes.bram36) == ("engine", 3, 39, 1.0)
    rest = next(unit for unit in seen.units if unit.name == "(rest)" and unit.parent == "engine")
    assert (rest.lut, rest.dsp, rest.bram36) == (0, 4, 2.0)
    top = [unit for unit in seen.units if unit.parent == "gatefold_top"]
    assert sum(unit.lut for unit in top) == total.lut


def test_count_names_a_cell_of_unknown_size():
    with pytest.raises(GatefoldError, match="MYSTERY"):
        count({"modules": {"\\top": {"num_cells_by_type": {"MYSTERY": 1}}}}, "top")


def module(cells):
    return {
        "ports": {"a": {"direction": "input", "bits": [2, 3]}},
        "cells": {
            f"$auto${index}": {"type": kind, "parameters": parameters, "connections": connections}
            for index, (kind, parameters, connections) in enumerate(cells)
        },
    }


def test_equal_modules_differ_only_in_numbering():
    first = [("$mux", {"WIDTH": "1"}, {"A": [2], "B": ["0"]}), ("$not", {}, {"A": [3]})]
    renumbered = [("$not", {}, {"A": [8]}), ("$mux", {"WIDTH": "1"}, {"A": [7], "B": ["0"]})]
    other_constant = [("$mux", {"WIDTH": "1"}, {"A": [2], "B": ["1"]}), ("$not", {}, {"A": [3]})]
    netlist = {"modules": {"a": module(first), "b": module(renumbered), "c": module(other_constant)}}
    assert equal_modules(netlist) == {"a": "a", "b": "a", "c": "c"}


def test_equal_modules_looks_inside():
    netlist = {
        "modules": {
            "in_a": module([("$not", {}, {"A": [2]})]),
            "in_b": module([("$not", {}, {"A": [3]})]),
            "in_c": module([("$neg", {}, {"A": [3]})]),
            "top_a": module([("in_a", {}, {"a": [2, 3]})]),
            "top_b": module([("in_b", {}, {"a": [3, 2]})]),
            "top_c": module([("in_c", {}, {"a": [3, 2]})]),
        }
    }
    merged = equal_modules(netlist)
    assert merged["in_b"] == "in_a" and merged["top_b"] == "top_a"
    assert merged["in_c"] == "in_c" and merged["top_c"] == "top_c"


def test_requantiser_is_one_dsp():
    total = estimate({}, top="engine_requantiser").total
    assert total.dsp == 1 and total.bram36 == 0 and total.lut < 100


@pytest.mark.slow
def test_without_dsp_blocks_a_requantiser_is_made_of_luts():
    total = estimate({"REQUANT_DSP": 0}, top="engine_requantiser").total
    # Four products of six or seven bits, which hw/shell/soft_multiplier.v makes, and their sum.
    assert total.dsp == 0 and 500 < total.lut < 650


def test_feature_memory_is_lut_memory():
    seen = estimate({"DEPTH": 64}, top="engine_features")
    assert seen.total.bram36 == 0 and seen.total.dsp == 0
    # 16 banks of 128 bits × 64 words; a RAM64M holds three bits in four LUTs.
    assert 2730 <= seen.total.lut <= 3200
    assert next(unit for unit in seen.units if unit.name == "engine_bank").count == 16


@pytest.mark.slow
def test_tables_are_lut_memory_with_three_readers():
    """Three pixels share the write port of a RAM64M: 32 LUTs for two copies of four bits, and the choice of the copy."""
    total = estimate({"READERS": 12, "DEPTH": 64, "WIDTH": 4}, top="engine_table").total
    assert total.bram36 == 0 and total.lut <= 12 * (32 / 3 + 4) + 8
    # Sixteen words, six bits: both copies in a RAM32M.
    assert estimate({"READERS": 12, "DEPTH": 16, "WIDTH": 6}, top="engine_table").total.lut <= 12 * 4 + 4


@pytest.mark.slow
def test_tables_are_block_memory_once():
    total = estimate({"LAYERS": 16}, top="engine_table_loader").total
    assert 2 * total.bram36 == ram_blocks(TABLE_WORDS * 16, TABLE_BITS) == 1


@pytest.mark.slow
def test_a_wide_requantiser_is_two_dsps():
    assert estimate({"TABLES": 1}, top="engine_requantiser").total.dsp == 1
    assert estimate({"TABLES": 1, "ACC_WIDTH": 21}, top="engine_requantiser").total.dsp == WIDE_DSPS


@pytest.mark.parametrize(
    "depth, pack, blocks",
    [
        (6144, 1024, 12),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in ((8192, 0, 8), (8192, 4096, 20), (4096, 2048, 10))),
    ],
)
def test_kernels_are_block_memory(depth, pack, blocks):
    total = estimate({"DEPTH": depth, "PACK": pack, "PE": 2}, top="engine_weights").total
    config = replace(plan(random_resnet(0)).config, weight_depth=depth, pack=pack)
    assert total.bram36 == kernel_blocks(config) / 2 == blocks


@pytest.mark.parametrize("depth", [128, 129])
def test_ram_is_block_memory_from_a_size_on(depth):
    total = estimate({"DEPTH": depth, "WIDTH": 128}, top="engine_ram").total
    assert (2 * total.bram36, total.bram36 == 0) == (ram_blocks(depth, 128), depth <= 128)
    assert ram_luts(depth, 128) * 0.5 < total.lut <= ram_luts(depth, 128) if depth <= 128 else total.lut < 100


def test_what_yosys_refuses_is_named():
    with pytest.raises(GatefoldError, match="yosys refuses the hardware: .*nothing"):
        estimate({}, top="nothing")
