"""Proofs by induction with yosys' solver, and that each fails where a fault is planted."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flow.engine.interface import write_package

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
RTL = ROOT / "hw" / "rtl"
FILES = {
    "stream_fifo": ("stream_fifo",),
    "axi_lite_slave": ("axi_lite_slave",),
    "dma_write": ("stream_fifo", "dma_write"),
    "dma_read": ("stream_fifo", "dma_read"),
    "engine_sequencer": ("engine_pkg", "engine_sequencer"),
}
SIZES = {
    **{unit: {} for unit in FILES},
    "engine_sequencer": {"GATES": 0},
    "engine_sequencer with gates": {"GATES": 1},
    "engine_sequencer of one output, few requantisers": {"PE": 1, "R": 8},
    "engine_sequencer with gates and packed layers": {"R": 64, "GATES": 1, "PACK": 1},
    "engine_sequencer with gates, few requantisers": {"R": 16, "GATES": 1},
    "engine_sequencer with gates and exits": {"GATES": 1, "EXITS": 1},
    "engine_sequencer of 32 lanes, one mode": {"P": 32, "MODES": 1},
}
"""Parameters of a proof; its name begins with the unit's."""


def prove(name, folder, change=None):
    """Whether one of SIZES' proofs holds; `change` is (module, right, wrong): its source with a fault."""
    unit, sizes = name.split()[0], [f"{parameter}={value}" for parameter, value in SIZES[name].items()]
    write_package(folder / "gatefold_pkg.sv")
    sources = [folder / "gatefold_pkg.sv"]
    for name in FILES[unit]:
        source = RTL / f"{name}.sv"
        if change and change[0] == name:
            text = source.read_text()
            assert change[1] in text
            source = folder / source.name
            source.write_text(text.replace(change[1], change[2], 1))
        sources.append(source)
    done = subprocess.run(
        [sys.executable, HERE / "prove.py", f"{unit}_proof", *sources, HERE / f"{unit}_proof.sv", *sizes],
        cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.stdout.count("Import proof for assert") > 3, done.stdout[-2000:] + done.stderr[-2000:]
    if done.returncode:
        assert "proof did fail" in done.stdout + done.stderr, done.stdout[-2000:] + done.stderr[-2000:]
    return done.returncode == 0


@pytest.mark.parametrize("name", SIZES)
def test_proof(name, tmp_path):
    assert prove(name, tmp_path)


FAULTS = {
    "fifo takes a word too many": ("stream_fifo", "stream_fifo", "!count[ADDRESS]", "!(count[ADDRESS] && count[0])"),
    "fifo counts push and pop as a push": ("stream_fifo", "stream_fifo", "if (push != pop) count <= pop ?", "if (push || pop) count <= pop && !push ?"),
    "fifo gives the next word": ("stream_fifo", "stream_fifo", "memory[read_address]", "memory[read_address + 1'b1]"),
    "fifo keeps its place when cleared": ("stream_fifo", "stream_fifo", "      read_address  <= '0;\n", ""),
    "fifo offers no word behind two": ("stream_fifo", "stream_fifo", "'(1)));", "'(2)));"),
    "write is done twice": ("axi_lite_slave", "axi_lite_slave", "          data_held    <= 1'b0;\n        end else", "        end else"),
    "write without its data": ("axi_lite_slave", "axi_lite_slave", "address_held && data_held && !answering", "address_held && !answering"),
    "answer is lost": ("axi_lite_slave", "axi_lite_slave", "s_axi_bready && s_axi_bvalid", "s_axi_bready || s_axi_bvalid"),
    "address while one is held": ("axi_lite_slave", "axi_lite_slave", "if (s_axi_awready) address", "if (s_axi_awvalid) address"),
    "read data change while they wait": ("axi_lite_slave", "axi_lite_slave", "if (reading)       s_axi_rdata", "if (s_axi_rvalid || reading) s_axi_rdata"),
    "two reads under way": ("axi_lite_slave", "axi_lite_slave", "!reading && !s_axi_rvalid;", "!reading;"),
    "burst before its beats are there": ("dma_write", "dma_write", "buffered >= ($clog2(DEPTH) + 1)'(BURST)", "buffered >= ($clog2(DEPTH) + 1)'(BURST - 1)"),
    "buffer cleared in a burst": ("dma_write", "dma_write", ".clear    (abort && idle)", ".clear    (abort)"),
    "burst of fifteen beats": ("dma_write", "dma_write", "beat == 4'(BURST - 1)", "beat == 4'(BURST - 2)"),
    "next burst before the answer": ("dma_write", "dma_write", "response_open && !address_open && !data_open", "response_open"),
    "address moves while it waits": ("dma_write", "dma_write", "      if (answered) begin\n        m_axi_awaddr", "      if (answered || beat_written) begin\n        m_axi_awaddr"),
    "address is not aligned": ("dma_write", "dma_write", "32'(BURST * 8)", "32'(BURST * 4)"),
    "burst without room": ("dma_read", "dma_read", "($clog2(DEPTH) + 1)'(BURST + 1) : ($clog2(DEPTH) + 1)'(BURST));\n    // No burst", "($clog2(DEPTH) + 1)'(BURST) : ($clog2(DEPTH) + 1)'(BURST - 1));\n    // No burst"),
    "header has no place": ("dma_read", "dma_read", "<= image_burst ? (first_burst ? ($clog2(DEPTH) + 1)'(BURST + 1)", "<= image_burst ? (first_burst ? ($clog2(DEPTH) + 1)'(BURST)"),
    "room counted where none is left": ("dma_read", "dma_read", "m_axis_tvalid && m_axis_tready;", "m_axis_tready;"),
    "second burst in the cycle after one": ("dma_read", "dma_read", "&& !image_burst && taken", "&& taken"),
    "second burst before the first is counted": ("dma_read", "dma_read", "&& taken == '0\n", "\n"),
    "list asked for a frame too late": ("dma_read", "dma_read", "listed && slot == 3'd7", "listed && slot == 3'd0"),
    "asks beyond the last frame": ("dma_read", "dma_read", "left == 32'd2", "left == 32'd1"),
    "reading goes on after an error": ("dma_read", "dma_read", "if (failed) state <= DROP;\n          else if", "if"),
    "frame in a mode that there is not": ("dma_read", "dma_read", "modes[15:8] < mode_count", "1'b1"),
    "tuple ends a tile late": ("engine_sequencer", "engine_sequencer", "k + 9'd2 == here.in_count", "k + 9'd1 == here.in_count"),
    "block left out at a row's end": ("engine_sequencer", "engine_sequencer", "next_x + width == size", "next_x == size"),
    "last tuple of a group taken for one more": ("engine_sequencer", "engine_sequencer", "left <= 9'(2 * PE)", "left <= 9'(PE)"),
    "pair steps over one output's kernels": ("engine_sequencer", "engine_sequencer", "{7'd0, layer.in_count, 1'b0}", "{8'd0, layer.in_count}"),
    "next block begins at the last group's inputs": ("engine_sequencer", "engine_sequencer", "block_end ? '0 : in_base + here.in_count", "in_base + here.in_count"),
    "next layer a cycle early": ("engine_sequencer", "engine_sequencer", "if (wait_count == '0) state <= layer.last", "if (wait_count == 6'd1) state <= layer.last"),
    "tile of a tuple that still waits": ("engine_sequencer with gates", "engine_sequencer", "k + 9'd1 == here.hold", "k + 9'd2 == here.hold"),
    "packed tuple ends before its outputs have left": ("engine_sequencer with gates and packed layers", "engine_sequencer", "9'(4 * PE)", "9'(2 * PE)"),
    "descriptor taken twice": ("engine_sequencer with gates and exits", "engine_sequencer", "can_take && !passes && !take && !pass_over;", "can_take && !passes;"),
    "convolution without groups runs": ("engine_sequencer with gates", "engine_sequencer", "takes && conv && !no_group", "takes && conv"),
    "layer taken whose exit is passed": ("engine_sequencer with gates and exits", "engine_sequencer", "takes = rst_n && can_take && !passes", "takes = rst_n && can_take"),
    "groups begin as those of the layer before": ("engine_sequencer with gates and packed layers", "engine_sequencer", "quarters <= goes_on ? packs : new_packs", "quarters <= packs"),
    "group that follows begins too late": ("engine_sequencer with gates", "engine_sequencer", "(running && group_end)) here", "(running && block_end)) here"),
    "data while a header takes its place": ("dma_read", "dma_read", "!state.header;", "1'b1;"),
}  # fmt: skip


QUICK = {name: fault for fault, (name, *_) in reversed(FAULTS.items())}.values()
"""The first fault of each proof; `make proofs` plants all."""


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=[] if fault in QUICK else pytest.mark.slow) for fault in FAULTS])
def test_proof_fails_where_a_fault_is_planted(fault, tmp_path):
    name, *change = FAULTS[fault]
    assert not prove(name, tmp_path, change)
