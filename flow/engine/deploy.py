"""The deploy folder: all that the board program needs, and all that it shares with the flow.

    modes.json       what was built and the operating modes (see `description`)
    interface.json   registers, error codes, record layout
    images/*.mem     memory images of the simulated accelerator
    accelerator.so   the simulated accelerator (C interface: hw/sim/accelerator_sim.h)
    accelerator.hwh  the hardware handoff that PYNQ reads; a bitstream goes beside it as accelerator.bit
    samples.npz      x: uint8 [N, 32, 32, 3] sample images, names: [N]
"""

import json
import shutil

import numpy as np

from flow.atomic import write_text
from flow.data.cifar10 import CLASSES
from flow.deploy.hwh import write_hwh
from flow.engine.cost import frame_cost, mode_costs
from flow.engine.interface import INTERFACE_FILE, load_interface

FORMAT = 1
LIBRARY = "accelerator.so"
HANDOFF = "accelerator.hwh"
FILES = ("modes.json", "interface.json", "images", LIBRARY, HANDOFF, "samples.npz")


def class_names(record, count):
    """Names of the classes that a record gives; else those of CIFAR-10 if it was trained on that, else their numbers."""
    names = record.get("class_names") or (CLASSES if record.get("data") == "cifar10" else ())
    return list(names) if len(names) == count else [str(number) for number in range(count)]


def description(compiled, board, build_hash, qonnx_hash, record, verification):
    """The contents of modes.json.

    Args:
        compiled: Compiled.
        board: Board.
        build_hash: SHA-256 in hex; the hardware's register holds its first 32 bits.
        qonnx_hash: SHA-256 in hex of the QONNX file that it was built from.
        record: what is known of the weights: `data`, `accuracy` (mode name -> 0…1); empty when untrained.
        verification: Verification, from running the RTL.

    Returns:
        JSON-ready dictionary: format, model, trained, board, part, clock_mhz, build_hash, qonnx_hash,
        interface_version, parameters, classes (names), logit_scale, simulator (file name), and `modes`: a list in
        the order of the mode index, each with name, index, group_counts (layer -> n), cycles_model and cycles_rtl
        (of a frame), cycles_per_layer and cycles_per_layer_rtl (layer -> cycles), tiles, and accuracy (None where
        it is not known).
    """
    graph, config = compiled.graph, compiled.plan.config
    modes = []
    for index, name in enumerate(graph.modes):
        cost = frame_cost(graph, name, config)
        modes.append(
            {
                "name": name,
                "index": index,
                "group_counts": {layer.name: graph.groups(name, layer) for layer in graph.layers},
                "cycles_model": cost.cycles,
                "cycles_rtl": verification.cycles[name],
                "cycles_per_layer_rtl": verification.layers[name],
                "cycles_per_layer": {layer: each.cycles for layer, each in mode_costs(graph, name, config).items()},
                "tiles": cost.tiles,
                "accuracy": record.get("accuracy", {}).get(name),
            }
        )
    return {
        "format": FORMAT,
        "model": graph.name,
        "trained": bool(record),
        "board": board.name,
        "part": board.part,
        "clock_mhz": board.clock_mhz,
        "build_hash": build_hash,
        "qonnx_hash": qonnx_hash,
        "interface_version": load_interface().version,
        "parameters": config.parameters(),
        "classes": class_names(record, graph.classes),
        "logit_scale": graph.layers[-1].logit_scale,
        "simulator": LIBRARY,
        "modes": modes,
    }


def fill(folder, contents, images, library, samples):
    """Write a deploy folder.

    Args:
        folder: empty folder.
        contents: what `description` returns.
        images: folder of the memory images.
        library: the simulation library.
        samples: (names, images uint8 [N, 32, 32, 3]).
    """
    shutil.copytree(images, folder / "images")
    shutil.copyfile(library, folder / LIBRARY)
    shutil.copyfile(INTERFACE_FILE, folder / "interface.json")
    write_hwh(folder / HANDOFF, part=contents["part"], clock_mhz=contents["clock_mhz"])
    names, pictures = samples
    np.savez_compressed(folder / "samples.npz", x=pictures, names=np.array(names))
    write_text(folder / "modes.json", json.dumps(contents, indent=1) + "\n")
