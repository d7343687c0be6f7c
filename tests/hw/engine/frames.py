"""Layer graphs on one compiled engine, and frames through it."""

from dataclasses import replace

import numpy as np
from rtl import unit

from flow.engine.config import Folding
from flow.engine.images import network_memories, widths
from flow.engine.interface import load_interface
from flow.engine.network import BLOCK, network_image
from flow.engine.plan import plan
from flow.engine.requant import requantise
from flow.engine.stream import frame_beats
from flow.simulation.library import Model

NO_HASH = "00000000"


def prepare(graphs, size, folder):
    """(library, [(layout, requantisation table) of every graph]): an engine that is large enough for all of them and has what any
    of them needs; network images of the graphs' names lie in the folder."""
    layouts, tables = [plan(graph, Folding(**size)) for graph in graphs], [requantise(graph) for graph in graphs]
    configs = [vars(layout.config) for layout in layouts]
    largest = {name: max(config[name] for config in configs) for name in configs[0]}
    buffers = layouts[0].config.planes * layouts[0].config.image_size // 8 * 2
    largest |= {"m_depth": 1 << (largest["image_base"] + buffers - 1).bit_length(), "mult_dsp": 0}
    for graph, layout, table in zip(graphs, layouts, tables, strict=True):
        layout.config = replace(layout.config, **largest)
        memories = network_memories(graph, layout, table)
        (folder / f"{graph.name}.bin").write_bytes(network_image(memories, NO_HASH, widths(layout.config), len(graph.modes)))
    return unit("engine_bench", folder, "engine_bench.sv", **layouts[0].config.parameters()), list(
        zip(layouts, tables, strict=True)
    )


def loaded(library, network, **options):
    """A Model of the library, out of reset, that holds the network of the file."""
    model = Model(library, **options)
    model.reset()
    load(model, network.read_bytes())
    return model


def load(model, image, pause=0, seed=0):
    """Stream a network image, and wait for its end."""
    words = np.frombuffer(image, "<u8")
    header = len(words) // BLOCK << 32 | 1 << load_interface().network.header_bit
    beats = np.concatenate([np.array([header], "<u8"), words]).view(np.uint8).reshape(-1, 8)
    model.stream({"s_axis": beats}, {"m_axis": 0}, input_pause=pause, seed=seed)
    for _ in range(8):
        if model.read("network_done"):
            return
        model.cycles(1)
    raise AssertionError(f"the network is not loaded: error {model.read('network_error')}")


def stream(model, graph, modes, planes, pauses, seed=0):
    """Records (dicts) of the frames, with random pauses on both streams.

    Args:
        planes: uint8 [N, planes, size, size].
    """
    interface, indices = load_interface(), list(graph.modes)
    beats = np.concatenate([frame_beats(image, indices.index(mode)) for image, mode in zip(planes, modes, strict=True)])
    beats = np.asarray(beats, dtype="<u8").view(np.uint8).reshape(-1, 8)
    decisions = sum(gate.decisions for gate in graph.gates)
    size = interface.record_words(graph.classes, decisions)
    result = model.stream(
        {"s_axis": beats}, {"m_axis": len(modes) * size // 2},
        input_pause=pauses[0], output_pause=pauses[1], seed=seed,
    )  # fmt: skip
    words = result.outputs["m_axis"].reshape(len(modes), -1).view("<u4")
    if not decisions:
        assert not words[:, len(interface.record) + graph.classes :].any()  # the record's padding
    unpacked = [interface.unpack_record(record.tolist(), graph.classes) for record in words]
    decided = interface.unpack_decisions(words, graph.classes)[:, :decisions].tolist()
    return [{**named, "logits": logits, "decisions": bits} for (named, logits), bits in zip(unpacked, decided, strict=True)]
