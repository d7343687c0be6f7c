"""Depths of FINN's FIFOs, found by simulation of the whole design with FIFOs whose depth is an input.

One design is compiled, with a gauge (`rtl/gauge_fifo.sv`) on every stream between two nodes; each trial is a run of it.
First all gauges are as deep as the frames are long: this gives the cycles per frame that the nodes allow, and the most
that each FIFO held. Then, from the largest FIFO to the smallest, each depth is halved in (binary search) as far as the
frames still come as fast. The nodes work token by token, so a set of depths that does not stall in one run stalls in
none (Kahn, "The semantics of a simple language for parallel programming", 1974).
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flow.errors import GatefoldError
from flow.simulation.block_design import read_block_design
from flow.simulation.compile import RTL, compile_model, design_sources, module_ports
from flow.simulation.finn_support import refuse
from flow.simulation.library import Model, RtlSimError, StallError
from flow.simulation.stitch import join

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper


MINIMUM = 2
"""FINN's smallest depth."""


@dataclass(frozen=True)
class Stream:
    """A stream between two nodes: its producer and the index of its output, the words of a frame and their bits."""

    producer: str
    output: int
    words: int
    width: int


@dataclass(frozen=True)
class Sizing:
    """What the search found.

    Attributes:
        depths: node -> depth of the FIFO behind each of its outputs.
        interval: cycles from frame to frame at these depths, `free_interval`: with FIFOs without bounds.
        latency: cycles from the first word in to the last word of the first frame out.
        runs: simulations made.
    """

    depths: dict[str, list[int]]
    interval: int
    free_interval: int
    latency: int
    runs: int


@dataclass(frozen=True)
class Performance:
    """`frames` in a row through the design as it is: all `cycles`, those of the first frame, and from frame to frame."""

    frames: int
    cycles: int
    latency: int
    interval: int


def measure_performance(model: "ModelWrapper", part: str, clk_ns: float, frames: int = 3) -> Performance | None:
    """Run `frames` of random data through the stitched design, with the FIFOs that it has; None where it stalls."""
    model = _prepared(model, part, clk_ns)
    wrapper = Path(model.get_metadata_prop("wrapper_filename"))
    folder = Path(model.get_metadata_prop("vivado_stitch_proj"))
    files, links = design_sources((folder / "all_verilog_srcs.txt").read_text().split())
    _link(folder, links)
    inputs, counts = _ends(model, frames)
    with Model(compile_model(wrapper.stem, files), folder) as simulation:
        simulation.reset()
        try:
            result = simulation.stream(_noise(simulation, inputs), counts, patience=10_000_000)
        except StallError:
            return None
    interval, latency = _figures(result, frames)
    return Performance(frames, result.cycles, latency, interval)


def size_fifos(
    model: "ModelWrapper",
    part: str,
    clk_ns: float,
    *,
    frames: int = 3,
    slack: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> Sizing:
    """Smallest depths at which frames follow each other as fast as without bounds.

    Args:
        model: FINN model of specialised nodes without FIFOs, with its width converters; every node has RTL.
        frames: simulated in a row; the last two of them give the interval.
        slack: part by which the interval may grow for smaller FIFOs, 0.01 for one in a hundred.
        progress: told once per FIFO.

    Raises:
        GatefoldError: a node without RTL, FIFOs in the model, or a design that stalls however deep its FIFOs are.
    """
    return _Search(model, part, clk_ns, frames, slack, progress or (lambda text: None)).run()


class _Search:
    def __init__(self, model, part, clk_ns, frames, slack, progress):
        if any(node.op_type.startswith("StreamingFIFO") for node in model.graph.node):
            raise GatefoldError("The model has FIFOs already; size it before InsertFIFO.")
        if frames < 2:
            raise GatefoldError(f"frames is {frames}; the interval needs at least 2.")
        self.frames, self.slack, self.progress, self.runs = frames, slack, progress, 0
        self.model = _prepared(model, part, clk_ns)
        self.streams = _streams(self.model)
        self.inputs, self.counts = _ends(self.model, frames)
        self.library, self.folder = self._compiled()

    def _compiled(self) -> tuple[Path, Path]:
        """The stitched design with a gauge on every stream, and the folder where its data lie."""
        project = Path(self.model.get_metadata_prop("vivado_stitch_proj"))
        design = read_block_design(project / "make_project.tcl")
        fpga = {
            f"{stream.producer}/{name}": stream
            for stream, name in zip(self.streams, _masters(self.model, self.streams), strict=True)
        }
        joins, design.interface_joins = design.interface_joins, []
        (clock,) = [index for index, ends in enumerate(design.pin_joins) if ("", "ap_clk") in ends][:1]
        for ends in joins:
            source = next((f"{cell}/{name}" for cell, name in ends if f"{cell}/{name}" in fpga), None)
            if source is None or any(cell.startswith(f"{source.split('/')[0]}/") for cell, _ in ends):
                design.interface_joins.append(ends)
                continue
            stream = fpga[source]
            gauge = f"gauge_{self.streams.index(stream)}"
            design.cells[gauge] = "gauge_fifo"
            design.parameters[gauge] = {"WIDTH": str(stream.width), "ROOM": str(self.frames * stream.words)}
            producer = next(end for end in ends if "/".join(end) == source)
            design.interface_joins += [[producer, (gauge, "in0_V")], [(gauge, "out0_V"), *(end for end in ends if end != producer)]]
            design.pin_joins[clock].append((gauge, "ap_clk"))
            design.pin_joins.append([("", "ap_rst_n"), (gauge, "ap_rst_n")])
            design.pin_joins += [[("", f"{pin}_{gauge}"), (gauge, pin)] for pin in ("limit", "peak")]
        files, links = design_sources([*dict.fromkeys(design.files), RTL / "gauge_fifo.sv"])
        cells = {cell: (module, design.parameters.get(cell, {})) for cell, module in design.cells.items()}
        wrapper = project / f"{design.name}_gauged.v"
        wrapper.write_text(join(design, module_ports(cells, files)))
        _link(project, links)
        return compile_model(f"{design.name}_wrapper", [*files, wrapper]), project

    def trial(self, limits: list[int], patience: int) -> tuple[int, int, list[int]] | None:
        """(interval, latency, most held by each FIFO), or None where the design stalls."""
        self.runs += 1
        with Model(self.library, self.folder) as model:
            for index, limit in enumerate(limits):
                model.write(f"limit_gauge_{index}", limit)
            model.reset()
            try:
                result = model.stream(_noise(model, self.inputs), self.counts, patience=patience)
            except StallError:
                return None
            except RtlSimError:  # an assertion of the RTL: some of FINN's units lose beats under back-pressure
                if self.runs == 1:
                    raise
                return None
            peaks = [model.read(f"peak_gauge_{index}") for index in range(len(limits))]
        return *_figures(result, self.frames), peaks

    def run(self) -> Sizing:
        room = [max(MINIMUM, self.frames * stream.words) for stream in self.streams]
        free = self.trial(room, 10_000_000)
        if free is None:
            raise GatefoldError("The design stalls however deep its FIFOs are; a node waits for what never comes.")
        interval, latency, peaks = free
        allowed = int(interval * (1 + self.slack))
        patience = 4 * (interval + latency) + 1000
        depths = [max(MINIMUM, peak) for peak in peaks]

        def fast_enough(trial_depths):
            found = self.trial(trial_depths, patience)
            return found is not None and found[0] <= allowed

        order = sorted(range(len(depths)), key=lambda index: -depths[index] * self.streams[index].width)
        for number, index in enumerate(order):
            low, high = MINIMUM, depths[index]  # high is known to do
            while low < high:
                middle = MINIMUM if high == depths[index] and low == MINIMUM else (low + high) // 2
                if fast_enough([*depths[:index], middle, *depths[index + 1 :]]):
                    high = middle
                else:
                    low = middle + 1
            depths[index] = high
            stream = self.streams[index]
            self.progress(f"FIFO {number + 1} of {len(order)}: {stream.producer} output {stream.output}, depth {high}")
        final = self.trial(depths, patience)
        by_node = {node.name: [0] * len(node.output) for node in self.model.graph.node}
        for stream, depth in zip(self.streams, depths, strict=True):
            by_node[stream.producer][stream.output] = depth
        return Sizing(by_node, final[0], interval, final[1], self.runs)


def _noise(model: Model, counts: dict[str, int]) -> dict[str, np.ndarray]:
    """Random words for the inputs; what a node does in which cycle does not hang on them."""
    random, words = np.random.default_rng(0), {}
    for name, count in counts.items():
        port = model.stream_port(name, "tdata")
        words[name] = random.integers(0, 256, (count, port.bytes), np.uint8)
        words[name][:, -1] &= 0xFF >> (8 * port.bytes - port.width)
    return words


def _figures(result, frames: int) -> tuple[int, int]:
    """(cycles between the ends of the last two frames, cycles to the end of the first)."""
    ends = np.max([cycles.reshape(frames, -1)[:, -1] for cycles in result.output_cycles.values()], axis=0)
    return int(ends[-1] - ends[-2]), int(ends[0])


def _link(folder: Path, links: dict[str, Path]) -> None:
    for name, target in links.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)


def _prepared(model, part, clk_ns):
    """A copy with generated code and a stitched design."""
    from finn.transformation.fpgadataflow.create_stitched_ip import CreateStitchedIP
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.util.basic import getHWCustomOp

    model = copy.deepcopy(model)
    for node in model.graph.node:
        refuse(node.op_type, node.name)
    _check_widths(model)
    if not all(getHWCustomOp(node).get_nodeattr("ip_path") for node in model.graph.node):
        model = model.transform(PrepareIP(part, clk_ns)).transform(HLSSynthIP())
    return model.transform(CreateStitchedIP(part, clk_ns))


def _check_widths(model):
    """Two nodes agree on the width of the stream between them; it would stall or be read wrongly where they do not."""
    from finn.util.basic import getHWCustomOp

    for node in model.graph.node:
        for index, tensor in enumerate(node.input):
            producer = model.find_producer(tensor)
            if producer is None:
                continue
            given = getHWCustomOp(producer).get_outstream_width(list(producer.output).index(tensor))
            taken = getHWCustomOp(node).get_instream_width(index)
            if given != taken:
                raise GatefoldError(
                    f"{producer.name} gives {given} bits a word and {node.name} takes {taken}; put a width converter between them "
                    f"(FINN's InsertDWC)."
                )


def _streams(model) -> list[Stream]:
    from finn.util.basic import getHWCustomOp

    streams = []
    for node in model.graph.node:
        inst = getHWCustomOp(node)
        for index in range(len(node.output)):
            words = int(np.prod(inst.get_folded_output_shape(index)[:-1]))
            streams.append(Stream(node.name, index, words, int(inst.get_outstream_width_padded(index))))
    return streams


def _masters(model, streams) -> list[str]:
    from finn.util.basic import getHWCustomOp

    nodes = {node.name: getHWCustomOp(node) for node in model.graph.node}
    return [nodes[stream.producer].get_verilog_top_module_intf_names()["m_axis"][stream.output][0] for stream in streams]


def _ends(model, frames: int) -> tuple[dict[str, int], dict[str, int]]:
    """({input stream: words}, {output stream: words}) of all frames, by the names of the stitched design."""
    from finn.util.basic import getHWCustomOp

    names = json.loads(model.get_metadata_prop("vivado_stitch_ifnames"))
    inputs, outputs = {}, {}
    for (name, _), tensor in zip(names["s_axis"], model.graph.input, strict=True):
        node = model.find_consumer(tensor.name)
        index = list(node.input).index(tensor.name)
        inputs[name] = frames * int(np.prod(getHWCustomOp(node).get_folded_input_shape(index)[:-1]))
    for (name, _), tensor in zip(names["m_axis"], model.graph.output, strict=True):
        node = model.find_producer(tensor.name)
        index = list(node.output).index(tensor.name)
        outputs[name] = frames * int(np.prod(getHWCustomOp(node).get_folded_output_shape(index)[:-1]))
    return inputs, outputs
