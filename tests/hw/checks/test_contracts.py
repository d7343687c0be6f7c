"""The contracts of the accelerator's modules: each is broken once, by a fault in the RTL or in the program, and is seen to fire.

All faults are compiled into one accelerator; the file `fault.mem` in the working folder chooses one, or none, at power-up.
"""

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from flow.engine.compile import compile_graph
from flow.engine.config import Folding
from flow.engine.images import network_memories
from flow.engine.interface import load_interface
from flow.engine.program import descriptor_fields
from flow.engine.sources import accelerator_sources
from flow.errors import GatefoldError
from flow.graph.integer import run
from flow.graph.random_graph import random_resnet
from flow.simulation.accelerator import compile_accelerator
from flow.simulation.checks import CHECKS
from flow.simulation.simulator import BASE, Simulator

FULL, SIXTEENTH = 0, 4
NO_HASH = "00000000"
BLOCKED = ("stream_fifo", "in_ready  = «!count[ADDRESS]»", "DEPTH != 32 && !count[ADDRESS]")  # no record leaves the engine
NO_ROOM = ("dma_read", "&& «room >= (first_burst ? ($clog2(DEPTH) + 1)'(BURST + 1) : ($clog2(DEPTH) + 1)'(BURST))»", "1'b1")

# Place of the assertion -> its fault: module, «expression» and what takes its place, at one or more places.
FAULTS = {
    "checks.memory.blkWrite.last": [("dma_write", "m_axi_wlast   = «beat == 4'(BURST - 1)»", "beat == 4'd14")],
    "checks.memory.ar.held": [("dma_read", "else if («m_axi_arready») m_axi_arvalid", "1'b1")],
    "checks.memory.aw.stable": [("dma_write", "if («answered») begin\n        m_axi_awaddr", "answered || address_open")],
    "checks.memory.read_burst.beats": [("dma_read", "m_axi_arlen  <= «8'(BURST - 1)»", "8'(BURST)")],
    "checks.memory.read_burst.page": [("dma_read", "image_address + «32'(BURST * 8)»", "32'd120")],
    "slave.checks.host.write_answer": [("axi_lite_slave", "write         = «address_held && data_held && !answering && !s_axi_bvalid»",
                                        "address_held && !answering && !s_axi_bvalid")],
    "shell.checks.frames.stable": [("stream_fifo", "out_data  = «memory[read_address]»", "in_data")],
    "record.checks.records.held": [("engine_record", "m_axis_tvalid = «sending»", "sending && cycles[0]"), BLOCKED],
    "buffer.checks.overflow": [("stream_fifo", "in_ready  = «!count[ADDRESS]»", "1'b1"), NO_ROOM],
    "buffer.checks.underflow": [("stream_fifo", "!(pop && «count == (ADDRESS + 1)'(1)»)", "1'b0")],
    "buffer.checks.counted": [("stream_fifo", "read_address  <= «read_address + 1'b1»", "read_address + 2'd2")],
    "reader.checks.room": [NO_ROOM],
    "reader.checks.mode": [("dma_read", "= state.header && «good» && push_ready", "more"), ("dma_read", "(state.header && «good») ||", "more"),
                           ("dma_read", "if (!«good») begin", "more")],
    "reader.checks.aligned": [("registers", "((«source[6:0]» |", "{1'b0, source[5:0]}")],
    "writer.checks.aligned": [("registers", "| «destination[6:0]» |", "{1'b0, destination[5:0]}")],
    "writer.checks.data": [("dma_write", "&& «buffered >= ($clog2(DEPTH) + 1)'(BURST)»", "m_axi_awaddr != '0")],
    "batch.checks.rest": [("dma_batch", "whole = state == RUN && (load ? written && read_idle : «frames_done == target»)", "frames_read == target")],
    "batch.checks.busy_end": [("dma_batch", "busy      = «state != IDLE || starting»", "(state != IDLE && !finish) || starting")],
    "batch.checks.order": [("dma_read", "frames_read <= «frames_read + 1'b1»", "frames_read")],
    "batch.checks.network": [("registers", "else if («!loaded») ", "1'b0")],
    "engine.checks.still": [("engine_network", "load.write = «written ? chosen : '0»", "16'd1")],
    "host.checks.rest": [("registers", "start_written && «!busy»", "1'b1")],
    "host.checks.outcome": [("registers", "error             <= «finish_error != ERR_NONE»", "1'b1")],
    "record.checks.ready": [BLOCKED],
    "record.checks.quiet": [("engine_sequencer", "group_ready : «program_data.kind != KIND_CLASSIFIER || record_ready»)", "1'b1"), BLOCKED],
    "loader.checks.place": [("engine_loader", "base = «8'(IMAGE_BASE)»", "8'(IMAGE_BASE - 1)")],
    "loader.checks.unread": [("engine_loader", "(BEATS > 1 || !pending) : «count < 2'd2»", "1'b1")],
    "loader.checks.frames": [("engine_sequencer", "wait_count == '0 && «layer.image»;", "1'b1")],
    "sequencer.checks.header": [("engine_loader", "mode = «modes[drain]»", "8'd5")],
    "sequencer.checks.pixels": [("engine_sequencer", "width = «side ? 6'd16 : 6'd8»", "6'd4")],
    "sequencer.checks.groups": [("engine_sequencer", "block_end ? '0 : «in_base + here.in_count»", "in_base")],
    "sequencer.checks.order": [("engine_sequencer", "tuple_end ? '0 : «k + 9'd1»", "k + 9'd2")],
    "sequencer.checks.last": [("engine_sequencer", "next_tuple.one_input : «k + 9'd2 == here.in_count»", "k + 9'd3 == here.in_count")],
    "sequencer.checks.shifts": [("engine_sequencer", "input_number == 9'(SECOND)) || «input_number == 9'(LAST)»", "input_number == 9'(LAST + 1)")],
    "loader.checks.whole": [("engine_sequencer", "state == LOAD && «tables_ready»", "1'b1"),
                            ("engine_sequencer", "image_valid && «tables_ready»", "1'b1"),
                            ("engine_table_loader", "word == «6'd63») loading", "6'd62")],
    "loader.checks.order": [("engine_table_loader", "waddr <= «word»", "word + 6'd1")],
    "sequencer.checks.spaced": [("engine_sequencer", "less_two[i] = «length - 9'd2»", "of.in_count == 9'd1 ? 9'd0 : length - 9'd2")],
    "sequencer.checks.blanks": [("engine_sequencer", "tile.blank <= «GATES && here.blank»", "k == 9'd1")],
    "engine.checks.one": [("engine_write_back", "x_we[b][HALVES*c+h] <= rst_n && «pixels_in && !to_m»", "pixels_in")],
    "engine.checks.image": [("engine_write_back", "waddr <= «image_ready ? image_addr : written.addr»", "8'd0")],
    "engine.checks.chosen": [("tile_engine", ".to_m(«layer.dst»)", "!layer.dst")],
}  # fmt: skip
NUMBERS = {contract: number for number, contract in enumerate(FAULTS, 1)}

LAST = "stage3.block1.conv2"
CONV1, CONV2, SHORTCUT2, CONV1_2 = "stage1.block1.conv1", "stage1.block1.conv2", "stage2.block1.shortcut", "stage2.block1.conv1"
IMAGES = 32  # first word of the image buffers in M, behind the 32 words of a map inside a block
# Place of the assertion, and a program that breaks it: fields of some layers in every mode.
PROGRAMS = [
    ("sequencer.checks.memories", {CONV2: {"src": 0, "src_base": 32}}),
    ("sequencer.checks.passes", {"stem": {"in_count": 5}}),
    ("engine.checks.pools", {LAST: {"pool2": 2}}),
    ("engine.checks.residuals", {LAST: {"pool2": 1, "discard": 0}}),
    ("engine.checks.valid", {CONV1: {"rows": 27}}),
    ("sequencer.checks.outputs", {CONV1: {"out_per_group": 18}}),
    ("sequencer.checks.inputs", {CONV1: {"in_per_group": 17}}),
    ("program_checks.unread", {CONV1: {"dst": 0, "dst_base": 0}}),  # its own source
    ("program_checks.unread", {CONV1: {"dst_base": 16}}),  # half of the next one's source
    ("program_checks.unread", {CONV1_2: {"dst": 0, "dst_base": 48}}),  # half of the next one's residual
    ("record.checks.classes", {"classifier": {"out_count": 11}}),
    ("engine.checks.port[0].weights", {CONV1: {"weight_base": 11 * 1024}}),
    ("engine.checks.port[1].weights", {CONV1: {"weight_base": 11 * 1024 - 1}}),
    ("engine.checks.requants", {CONV1: {"requant_base": 2048 - 15}}),
    ("engine.checks.source", {CONV1: {"src_base": 34}}),
    ("engine.checks.target", {CONV1: {"shuffle": 3}}),
    ("engine.checks.memory", {CONV1: {"dst_base": IMAGES - 4}, CONV2: {"src_base": IMAGES - 4}}),
]


def with_faults(text, faults):
    """RTL text with a switch at every place; faults: place -> [(number, what takes the place)]."""
    for place, others in faults.items():
        before, expression, behind = re.split("[«»]", place)
        assert text.count(before + expression + behind) == 1, place
        choice = "".join(f"fault[0] == {number} ? ({other}) : " for number, other in others)
        text = text.replace(before + expression + behind, f"{before}({choice}({expression})){behind}")
    declaration = '\n  logic [7:0] fault [1];\n  initial $readmemh("fault.mem", fault);\n'
    return re.sub(r"^\);\n", lambda end: end[0] + declaration, text, count=1, flags=re.MULTILINE)


def program(compiled, changes, length=None):
    """Network image of a program with other values in some descriptors; `length`: only so many layers."""
    graph, words = compiled.graph, []
    layers = graph.layers[:length]
    for mode in graph.modes:
        for layer in layers:
            fields = descriptor_fields(graph, compiled.plan, compiled.table, mode, layer, layer is layers[-1])
            words.append(load_interface().pack_descriptor(**{**fields, **changes.get(layer.name, {})}))
        words += [0] * (compiled.plan.config.layers - len(layers))
    return compiled.program_image(NO_HASH, words)


@pytest.fixture(scope="module")
def accelerator(tmp_path_factory):
    """(library, network image, Compiled): a small accelerator with all faults."""
    folder = tmp_path_factory.mktemp("faulty")
    faults = defaultdict(lambda: defaultdict(list))
    for contract, places in FAULTS.items():
        for module, place, other in places:
            faults[module][place].append((NUMBERS[contract], other))
    sources = accelerator_sources(folder)
    for index, source in enumerate(sources):
        if source.stem in faults:
            sources[index] = folder / source.name
            sources[index].write_text(with_faults(source.read_text(), faults[source.stem]))
    compiled = compile_graph(random_resnet(seed=3), Folding(p=32, pe=2, r=16, v=16))
    compiled.plan.config = replace(compiled.plan.config, tables=1, pool2=1)  # which this network does not need
    compiled = replace(compiled, memories=network_memories(compiled.graph, compiled.plan, compiled.table))
    assert compiled.plan.config.image_base == IMAGES
    library = compile_accelerator(folder, folder / "faulty.so", compiled.plan.config.parameters(), sources)
    return library, compiled.image(NO_HASH), compiled


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working folder, in which no fault is chosen."""
    monkeypatch.chdir(tmp_path)
    choose(0)


def choose(fault):
    Path("fault.mem").write_text(f"{fault:02x}\n")


def stops(contract):
    """The simulation ends with a sentence that names the place of the assertion."""
    return pytest.raises(
        GatefoldError, match=rf"breaks a contract of the hardware: [^()]* \(accelerator\S*\.{re.escape(contract)}\);"
    )


@pytest.mark.parametrize("power_on", [0, 1, 2])
def test_nothing_fires_without_a_fault(accelerator, pixels, power_on):
    library, network, compiled = accelerator
    modes = list(compiled.graph.modes)
    for stall in (0, 60):
        with Simulator(library, network, power_on) as simulator:
            records, _ = simulator.run(pixels, range(len(pixels)), stall=stall, seed=power_on)
        for record, image, mode in zip(records, pixels, modes, strict=True):
            assert record["logits"] == run(compiled.graph, image.transpose(2, 0, 1)[None], mode).logits[0].tolist()


OTHERWISE = {
    "reader.checks.aligned", "writer.checks.aligned", "host.checks.rest", "reader.checks.mode", "record.checks.ready",
    "batch.checks.network",
}  # fmt: skip
PLAIN = sorted(set(FAULTS) - OTHERWISE)


@pytest.mark.parametrize("contract", PLAIN)
def test_fault(contract, accelerator, pixels):
    library, network, compiled = accelerator
    choose(NUMBERS[contract])
    with stops(contract), Simulator(library, network) as simulator:
        simulator.run(pixels, [SIXTEENTH] * len(pixels), stall=50, max_cycles=100_000)


@pytest.mark.parametrize("contract, changes", PROGRAMS)
def test_program(contract, changes, accelerator, pixels):
    library, network, compiled = accelerator
    with stops(contract), Simulator(library, network) as simulator:
        simulator.load(program(compiled, changes))
        simulator.run(pixels[:2], FULL)


def test_mode_list_beyond_the_program(accelerator, pixels):
    library, network, compiled = accelerator
    choose(NUMBERS["reader.checks.mode"])
    with stops("reader.checks.mode"), Simulator(library, network) as simulator:
        simulator.run(pixels[:2], [SIXTEENTH, 9])


@pytest.mark.parametrize("contract, name", [("reader.checks.aligned", "source"), ("writer.checks.aligned", "destination")])
def test_misaligned_batch(contract, name, accelerator):
    library, network, compiled = accelerator
    choose(NUMBERS[contract])
    with stops(contract), Simulator(library, network) as simulator:
        for register in ("source", "destination"):
            simulator.write(register, BASE + 64 * (register == name))
        simulator.write("frames", 1)
        simulator.write("control", 1)
        simulator.read("status")


def test_frames_without_a_network(accelerator, pixels):
    """One was there, and the load of the next one failed."""
    library, network, _ = accelerator
    choose(NUMBERS["batch.checks.network"])
    with Simulator(library, network) as simulator:
        with pytest.raises(GatefoldError, match="reports bad_network"):
            simulator.load(network[:-128])
        with stops("batch.checks.network"):
            simulator.run(pixels[:1], FULL)


def test_start_while_busy(accelerator):
    library, network, compiled = accelerator
    choose(NUMBERS["host.checks.rest"])
    with stops("host.checks.rest"), Simulator(library, network) as simulator:
        simulator.hang()
        simulator.write("frames", 1)
        simulator.write("control", 1)
        simulator.write("control", 1)


def test_frame_finishes_before_the_record_has_left(accelerator, pixels):
    """A program that ends in a convolution does not wait for the record before."""
    library, network, compiled = accelerator
    choose(NUMBERS["record.checks.ready"])
    with stops("record.checks.ready"), Simulator(library, network) as simulator:
        simulator.load(program(compiled, {}, length=1))
        simulator.run(pixels[:2], FULL, max_cycles=20_000)


def test_a_stopped_design_stays_stopped(accelerator, pixels):
    library, network, compiled = accelerator
    choose(NUMBERS["sequencer.checks.last"])
    with Simulator(library, network) as simulator:
        for _ in range(2):
            with stops("sequencer.checks.last"):
                simulator.run(pixels, FULL)
        with stops("sequencer.checks.last"):
            simulator.read("status")


def test_every_contract_is_broken_once():
    """A new assertion comes with a fault that it finds; the rules of buses have theirs in test_rules.py."""
    stated = set()
    for file in CHECKS.glob("*_checks.sv"):
        stated |= set(re.findall(r"(\w+): assert ", file.read_text()))
    assert stated == {contract.split(".")[-1] for contract in [*FAULTS, *(contract for contract, _ in PROGRAMS)] if ".memory." not in contract} - {
        "held", "stable", "write_answer"
    }  # fmt: skip
