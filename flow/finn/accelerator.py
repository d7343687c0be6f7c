"""The accelerator of a FINN model: registers and DMA around its TileEngine, simulated by FINN's SimEngine."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from finn import xsi
from finn.util.basic import getHWCustomOp, make_build_dir
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from flow.engine.compile import engine_hash, with_hash
from flow.engine.interface import load_interface
from flow.engine.network import BLOCK_BYTES, NETWORK, memories_digest
from flow.engine.sources import accelerator_sources
from flow.engine.stream import padded_frames
from flow.engine.top import NAME, top_text
from flow.errors import GatefoldError
from flow.finn.tile_engine import OP, TileEngine
from flow.graph.integer import picture_frames

if TYPE_CHECKING:
    from finn_xsi.sim_engine import SimEngine

METADATA = "gatefold_accelerator"
RTL = "rtl"
SOURCE_LIST = "all_verilog_srcs.txt"
BASE = 0x1000_0000
ALIGN = 128
BEAT = 8


class MakeAccelerator(Transformation):
    """Generate the accelerator of the model's TileEngine node: the one writer of the network image, parameters and top module.

    Leaves in the folder `network.bin`, the network image, `rtl/` with the top module `accelerator` and the interface package, and
    the file list `all_verilog_srcs.txt`; names the folder in the model's metadata under `gatefold_accelerator`.

    Args:
        folder: that exists; None for one of FINN's build folders.

    Raises:
        GatefoldError: the model has no TileEngine, or more than one, or its memories are not those that the node was made for.
    """

    def __init__(self, folder: str | Path | None = None):
        super().__init__()
        self.folder = folder

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        op = engine_node(model)
        folder = Path(self.folder or make_build_dir("accelerator_"))
        compiled = op.build()
        check_memories(op, compiled.memories)
        rtl = folder / RTL
        rtl.mkdir()
        sources = accelerator_sources(rtl)
        parameters = compiled.plan.config.parameters()
        top = rtl / f"{NAME}.sv"
        hash_ = engine_hash(parameters, sources)
        top.write_text(top_text(with_hash(parameters, hash_)))
        (folder / NETWORK).write_bytes(compiled.image(hash_))
        files = [*sources, top]
        (folder / SOURCE_LIST).write_text("".join(f"{file}\n" for file in files))
        model.set_metadata_prop(METADATA, str(folder))
        return model, False


def engine_node(model: ModelWrapper) -> TileEngine:
    """The model's one TileEngine."""
    nodes = model.get_nodes_by_op_type(OP)
    if len(nodes) != 1:
        raise GatefoldError(f"An accelerator holds one TileEngine, the model has {len(nodes)}; apply MapToTileEngine.")
    return getHWCustomOp(nodes[0])


def check_memories(op: TileEngine, memories: dict[str, list[int]]) -> None:
    """Raise GatefoldError where the words of memories (by name) are not those that a TileEngine node was made for."""
    if memories_digest(memories) != op.get_nodeattr("memories_digest"):
        raise GatefoldError(
            f"The network's memories are not those of the node {op.onnx_node.name}: their digests differ; build again, and report it if "
            "that repeats."
        )


def rtlsim_accelerator(
    model: ModelWrapper, images: np.ndarray, modes: Sequence[str], trace: str | Path | None = None, patience: int = 2_000_000
) -> tuple[list[dict[str, Any]], int]:
    """Run one batch through the accelerator's registers and DMA in FINN's SimEngine.

    Args:
        model: after `MakeAccelerator`.
        images: uint8 [N, height, width, colours].
        modes: name of each frame's mode, [N].
        trace: path of an FST waveform.
        patience: clock cycles after which the run is given up.

    Returns:
        (records, cycles): of each frame, the record's words by name and `logits`; the batch's cycles.

    Raises:
        GatefoldError: the model has no accelerator, it reports an error, or it does not finish.
    """
    folder = Path(model.get_metadata_prop(METADATA) or "")
    if not (folder / SOURCE_LIST).is_file():
        raise GatefoldError("The model has no accelerator; apply MakeAccelerator first.")
    graph, layout = engine_node(model).layout()
    interface, classes = load_interface(), graph.classes
    record_words = interface.record_words(classes, layout.config.decisions)
    files = (folder / SOURCE_LIST).read_text().split()
    sim_folder = Path(make_build_dir("rtlsim_accelerator_"))
    paths = xsi.compile_sim_obj(NAME, files, sim_folder, debug=trace is not None)
    sim = xsi.load_sim_obj(*paths, str(Path(trace).absolute()) if trace is not None else None)
    try:
        xsi.reset_rtlsim(sim)
        control = interface.fields["control"]
        network = np.frombuffer((folder / NETWORK).read_bytes(), np.uint8)
        blocks = len(network) // BLOCK_BYTES
        _run(sim, interface, network.copy(), {"source": BASE, "frames": blocks, "control": control["load"].mask}, patience)
        _write(sim, interface, {"irq": interface.fields["irq"]["pending"].mask})
        memory, places = _lay_out(picture_frames(graph, images), [list(graph.modes).index(mode) for mode in modes], record_words)
        _run(sim, interface, memory, {**places, "frames": len(images), "control": control["start"].mask}, patience)
        cycles = _read(sim, interface, "cycles")
    finally:
        xsi.close_rtlsim(sim)
    start = places["destination"] - BASE
    words = memory[start:].view("<u4").reshape(-1, record_words)[: len(images)]
    records = []
    for row, decisions in zip(words, interface.unpack_decisions(words, classes), strict=True):
        named, logits = interface.unpack_record(row, classes)
        records.append({**named, "logits": logits, "decisions": decisions})
    return records, cycles


class Memory:
    """Task for FINN's SimEngine: a memory on an AXI4 master, one burst a channel at a time, always ready.

    Args:
        bus: prefix of the ports.
        base: address of the first byte.
        content: uint8 [bytes], read and written in place.
    """

    def __init__(self, sim: "SimEngine", bus: str, base: int, content: np.ndarray):
        names = (
            "awaddr awlen awvalid awready wdata wstrb wlast wvalid wready bvalid bready bresp "
            "araddr arlen arvalid arready rdata rlast rvalid rready rresp"
        )
        self.port = {name: sim.get_bus_port(bus, name) for name in names.split()}
        self.base, self.content = base, content
        self.reads, self.write, self.responses = [], None, 0

    def __bool__(self):
        return False  # does not keep the simulation going

    def __call__(self, sim):
        port, updates = self.port, {}
        read = {name: port[name].read() for name in ("awvalid", "wvalid", "bready", "arvalid", "rready")}
        if port["awready"].as_bool() and read["awvalid"].as_bool():
            self.write = port["awaddr"].read().as_unsigned() - self.base
        if port["wready"].as_bool() and read["wvalid"].as_bool():
            self._store()
            if port["wlast"].read().as_bool():
                self.write, self.responses = None, self.responses + 1
        if port["bvalid"].as_bool() and read["bready"].as_bool():
            self.responses -= 1
        updates[port["bvalid"]] = "1" if self.responses else "0"
        updates[port["awready"]] = "1" if self.write is None else "0"
        updates[port["wready"]] = "0" if self.write is None else "1"

        if port["arready"].as_bool() and read["arvalid"].as_bool():
            address = port["araddr"].read().as_unsigned() - self.base
            count = port["arlen"].read().as_unsigned() + 1
            self.reads += [(address + BEAT * i, i == count - 1) for i in range(count)]
        if port["rvalid"].as_bool() and read["rready"].as_bool():
            self.reads.pop(0)
        if self.reads:
            address, last = self.reads[0]
            updates[port["rdata"]] = f"{int.from_bytes(self.content[address : address + BEAT].tobytes(), 'little'):x}"
            updates[port["rlast"]] = "1" if last else "0"
        updates[port["rvalid"]] = "1" if self.reads else "0"
        updates[port["arready"]] = "1" if len(self.reads) <= 1 else "0"
        return updates

    def _store(self):
        data = int(self.port["wdata"].read().as_hexstr(), 16).to_bytes(BEAT, "little")
        strobe = self.port["wstrb"].read().as_unsigned()
        for i in range(BEAT):
            if strobe >> i & 1:
                self.content[self.write + i] = data[i]
        self.write += BEAT


class Interrupt:
    """Task for FINN's SimEngine that ends when an interrupt line rises."""

    def __init__(self, sim: "SimEngine", name: str):
        self.line = sim.top.getPort(name)

    def __call__(self, sim):
        return None if self.line.read().as_bool() else {}


def _lay_out(planes, modes, record_words):
    """(memory uint8, register name -> address): planes [N, S, S, planes], the mode list, room for the records."""
    parts = [
        padded_frames(planes.transpose(0, 3, 1, 2)).reshape(-1),
        np.array(modes, np.uint8),
        np.zeros(4 * record_words * len(modes), np.uint8),
    ]
    parts = [np.pad(part, (0, -len(part) % ALIGN)) for part in parts]
    starts = [BASE, *(BASE + end for end in itertools.accumulate(len(part) for part in parts))]
    return np.concatenate(parts), dict(zip(("source", "mode_list", "destination"), starts, strict=False))


def _run(sim, interface, memory, registers, patience):
    """A batch or a load to its end, the control register last."""
    control, fields = interface.fields["control"], interface.fields["status"]
    sim.enlist(Memory(sim, "m_axi", BASE, memory))
    _write(sim, interface, registers | {"control": registers["control"] | control["interrupt"].mask})
    sim.enlist(Interrupt(sim, "irq"))
    if sim.run(patience):
        raise GatefoldError(f"The accelerator does not finish within {patience} cycles; look at a waveform.")
    sim.enlist(Memory(sim, "m_axi", BASE, memory))
    status = _read(sim, interface, "status")
    if fields["error"].of(status):
        names = {code: name for name, code in interface.errors.items()}
        raise GatefoldError(f"The accelerator reports the error {names.get(fields['error_code'].of(status))}; check the batch.")


def _write(sim, interface, registers):
    sim.write_axilite("s_axi_control", iter([(interface.registers[name], f"{value:x}") for name, value in registers.items()]))


def _read(sim, interface, name):
    """Value of a register."""
    address = interface.registers[name]
    reader = sim.read_axilite("s_axi_control", iter([address]))
    if sim.run(1000):
        raise GatefoldError("The registers do not answer; look at a waveform.")
    return int(reader[address], 16)
