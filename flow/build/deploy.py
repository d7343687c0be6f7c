"""The deploy folder: all that the board program needs, and all that it shares with the flow.

Of the network:
    modes.json       what was built and the operating modes (see `description`)
    network.bin      the network image, which the accelerator loads (`flow.engine.network`)
    samples.npz      x: uint8 [N, height, width, colours] sample images, names: [N]
Of the engine, which serves other networks too:
    engine.json      which engine it is: engine_hash, board, part, clock_mhz
    interface.json   registers, error codes, record layout
    accelerator.so   the simulated accelerator (C interface: hw/sim/accelerator_sim.h)
    accelerator.hwh  the hardware handoff that PYNQ reads; a bitstream goes beside it as accelerator.bit

modes.json and engine.json vouch for the folder: `files` holds the SHA-256 (hex) of every other file of the network and of the engine by its
path in the folder, `digest` that of the contents themselves, written as JSON with sorted keys and without spaces.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from flow.atomic import write_text
from flow.build.hwh import write_hwh
from flow.build.samples import Samples
from flow.build.verify import Verification
from flow.data.cifar10 import CLASSES
from flow.engine.boards import Board
from flow.engine.compile import engine_hash, with_hash
from flow.engine.config import EngineConfig
from flow.engine.cost import block_count, frame_cost, mode_costs, quarters_of
from flow.engine.frame import exit_cycles
from flow.engine.interface import INTERFACE_FILE, load_interface
from flow.engine.network import NETWORK
from flow.engine.plan import input_count
from flow.engine.sources import accelerator_sources
from flow.engine.top import NAME, top_text
from flow.errors import GatefoldError
from flow.graph.layers import LayerGraph
from flow.kept import content_digest

FORMAT = 8
MODES = "modes.json"
ENGINE = "engine.json"
INTERFACE = "interface.json"
LIBRARY = "accelerator.so"
HANDOFF = "accelerator.hwh"
BITSTREAM = "accelerator.bit"
OF_ENGINE = (INTERFACE, LIBRARY, HANDOFF, BITSTREAM)
HARDWARE = ("engine_hash", "board", "part", "clock_mhz")
"""What of modes.json says which engine it is."""


def engine_name(contents: dict[str, Any]) -> str:
    """What the folder of an engine is called where several lie beside each other.

    Args:
        contents: with the keys `HARDWARE`.
    """
    return f"{contents['board']}-{contents['engine_hash'][:8]}-{contents['clock_mhz']:g}MHz"


def class_names(record: dict[str, Any], count: int) -> list[str]:
    """Names of the classes that a record gives; else those of CIFAR-10 if it was trained on that, else their numbers."""
    names = record.get("class_names") or (CLASSES if record.get("data") == "cifar10" else ())
    return list(names) if len(names) == count else [str(number) for number in range(count)]


def image_description(graph: LayerGraph) -> dict[str, Any]:
    """How a picture becomes the planes that the accelerator reads, JSON-ready.

    Returns:
        height, width and colours of a picture; size: height = width of a plane, zero outside the picture; planes: how many; and
        table: [256][colours], the integer of each pixel, or None where that is the pixel. Where the table has negative integers,
        the planes are first the positive parts of all colours, then the negative ones as positive integers.
    """
    height, width, colours = graph.picture_shape
    first, table = graph.layers[0], graph.image.table if graph.image else None
    own = table is None or (table == np.arange(len(table))[:, None]).all()
    return {
        "height": height,
        "width": width,
        "colours": colours,
        "size": first.in_size,
        "planes": first.in_channels,
        "table": None if own else table.tolist(),
    }


def gate_description(graph: LayerGraph, config: EngineConfig) -> dict[str, Any]:
    """The gates, and what the convolutions have to do with them, JSON-ready: `gates` and `layers`, lists in the network's order.

    Returns:
        gates: name, count of its decisions, which follow one another in a record, and layer: whether it decides about layers;
        layers, of the convolutions: name, blocks of a map, inputs (kernels of an output), outputs, per_tile (outputs of a tile), shuffle, mask and when (gates or
        None), source (the layer whose masked outputs it reads, or None), gate (whether it belongs to one), exit (the classifier of the
        early exit that it belongs to, or None).
    """
    layers = []
    for layer in graph.layers:
        if layer.kind != "conv":
            continue
        source = graph.masked_source(layer)
        layers.append(
            {
                "name": layer.name,
                "blocks": block_count(layer.conv_size, config),
                "inputs": input_count(layer),
                "outputs": layer.out_channels,
                "per_tile": config.pe * quarters_of(layer, config),
                "shuffle": layer.shuffle,
                "mask": layer.mask,
                "when": layer.when,
                "source": source.name if source else None,
                "gate": layer.gate,
                "exit": layer.exit,
            }
        )
    gates = [{"name": gate.name, "count": gate.decisions, "layer": gate.name in graph.layer_gates} for gate in graph.gates]
    return {"gates": gates, "layers": layers}


def description(
    graph: LayerGraph,
    config: EngineConfig,
    board: Board,
    hardware_hash: str,
    graph_hashes: Sequence[str],
    record: dict[str, Any],
    trained: bool,
    verification: Verification,
) -> dict[str, Any]:
    """The contents of modes.json, without `files` and `digest`.

    Args:
        hardware_hash: the engine's hash, SHA-256 in hex; the hardware's register holds its first 32 bits.
        graph_hashes: two, SHA-256 in hex of the QONNX file and of the graph of layer nodes that it was built from.
        record: what is known of the weights: `data`, `class_names`, `accuracy` (mode name -> 0…1); empty when untrained.
        trained: whether the weights are trained ones.
        verification: from running the RTL.

    Returns:
        JSON-ready dictionary: format, model, trained, board, part, clock_mhz, engine_hash, engine (see `engine_name`), qonnx_hash, layers_hash,
        interface_version, parameters, classes (names, in the network's order), class_order (the class of each of the
        hardware's logits, None where they are the same), logit_scale, image (see `image_description`), simulator (file name),
        and `modes`: a list in the order of the mode index, each with name, index, gates (whether they run), group_counts (layer -> n),
        cycles_model and cycles_rtl (of a frame; with everything switched on, and the most seen), cycles_per_layer and
        cycles_per_layer_rtl (layer -> cycles), tiles, exits (of each early exit cycles_model and cycles_rtl of a frame that stops there, and
        onward: cycles from its branch on, which is not computed, to the nearest later end, at an exit or of the network), and accuracy (None where
        it is not known). `exits`: of each early exit name (of its classifier) and logit_scale.
    """
    modes = []
    for index, name in enumerate(graph.modes):
        cost = frame_cost(graph, name, config)
        seen = verification.exits.get(name, [])
        exits = zip(exit_cycles(graph, config, name), seen, strict=True)
        modes.append(
            {
                "name": name,
                "index": index,
                "gates": bool(graph.gates) and name not in graph.ungated,
                "group_counts": {layer.name: graph.groups(name, layer) for layer in graph.layers},
                "cycles_model": cost.cycles,
                "cycles_rtl": verification.cycles[name],
                "cycles_per_layer_rtl": verification.layers[name],
                "cycles_per_layer": {layer: each.cycles for layer, each in mode_costs(graph, name, config).items()},
                "tiles": cost.tiles,
                "exits": [{"cycles_model": end, "cycles_rtl": rtl, "onward": onward} for (end, onward), rtl in exits],
                "accuracy": record.get("accuracy", {}).get(name),
            }
        )
    hardware = dict(zip(HARDWARE, (hardware_hash, board.name, board.part, board.clock_mhz), strict=True))
    return {
        "format": FORMAT,
        "model": graph.name,
        "trained": trained,
        **hardware,
        "engine": engine_name(hardware),
        "qonnx_hash": graph_hashes[0],
        "layers_hash": graph_hashes[1],
        "interface_version": load_interface().version,
        "parameters": config.parameters(),
        "classes": class_names(record, graph.classes),
        "class_order": None if graph.class_order is None else list(graph.class_order),
        "image": image_description(graph),
        "logit_scale": graph.layers[-1].logit_scale,
        "simulator": LIBRARY,
        "modes": modes,
        "exits": [{"name": exit.name, "logit_scale": exit.logit_scale} for exit in graph.exits],
        **gate_description(graph, config),
    }


def fill(
    folder: Path, contents: dict[str, Any], network: Path, library: Path, samples: Samples, bitstream: dict[str, Path]
) -> None:
    """Write a deploy folder; its modes.json comes last.

    Args:
        folder: empty folder.
        contents: what `description` returns.
        network: the network image.
        library: the simulation library.
        bitstream: file name -> path, what `flow.build.bitstream.found` has found.
    """
    shutil.copyfile(network, folder / NETWORK)
    shutil.copyfile(library, folder / LIBRARY)
    shutil.copyfile(INTERFACE_FILE, folder / INTERFACE)
    write_hwh(folder / HANDOFF, part=contents["part"], clock_mhz=contents["clock_mhz"])
    names, pictures = samples
    np.savez_compressed(folder / "samples.npz", x=pictures, names=np.array(names))
    for name, path in bitstream.items():
        shutil.copyfile(path, folder / name)
    vouch(folder, contents)


def vouch(folder: Path, contents: dict[str, Any]) -> None:
    """Write engine.json and modes.json (`contents`), with the digests of the other files as they are and their own."""
    vouch_for_engine(folder, contents)
    _seal(folder / MODES, contents, lambda name: name not in (*OF_ENGINE, ENGINE))


def vouch_for_engine(folder: Path, contents: dict[str, Any]) -> None:
    """Write engine.json.

    Args:
        folder: holds the engine's files.
        contents: what says which engine it is, such as that of a modes.json.
    """
    hardware = {key: contents[key] for key in HARDWARE}
    _seal(folder / ENGINE, {"format": FORMAT, **hardware}, OF_ENGINE.__contains__)


def _seal(path, contents, is_its_own):
    contents = {key: value for key, value in contents.items() if key not in ("files", "digest")}
    files = {file.relative_to(path.parent).as_posix(): file for file in sorted(path.parent.rglob("*")) if file.is_file()}
    contents["files"] = {name: content_digest(file) for name, file in files.items() if name != path.name and is_its_own(name)}
    contents["digest"] = _digest(contents)
    write_text(path, json.dumps(contents, indent=1) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """The contents of a whole deploy folder's modes.json.

    Raises:
        GatefoldError: there is none, it is damaged or of another version, or a file is missing or not the one that was built.
    """
    contents, engine = _read_sealed(folder / MODES), read_engine(folder)
    if hardware_of(engine) != hardware_of(contents):
        raise GatefoldError(f"{folder / ENGINE} is damaged or of another build; run `gatefold build` again.")
    return contents


def read_engine(folder: Path) -> dict[str, Any]:
    """The contents of the engine.json of an engine's folder, or of a deploy folder, whose files are those of the engine.

    Raises:
        GatefoldError: as `read`.
    """
    return _read_sealed(folder / ENGINE)


def hardware_of(contents: dict[str, Any]) -> list[Any]:
    """What says of modes.json or engine.json which hardware they are for: the values of `HARDWARE`."""
    return [contents.get(key) for key in HARDWARE]


def _read_sealed(path):
    try:
        contents = json.loads(path.read_text())
        if contents["format"] != FORMAT:
            raise GatefoldError(f"{path} was made by another version of gatefold; run `gatefold build` again.")
        whole = contents["digest"] == _digest({key: value for key, value in contents.items() if key != "digest"})
        files = contents["files"].items()
    except (FileNotFoundError, NotADirectoryError):
        raise GatefoldError(f"There is no finished build in {path.parent}; run `gatefold build`.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise GatefoldError(f"{path} is damaged; run `gatefold build` again.")
    for name, digest in files:
        if content_digest(path.parent / name) != digest:
            raise GatefoldError(f"{path.parent / name} is damaged or of another build; run `gatefold build` again.")
    return contents


def built_graph(build: Path, contents: dict[str, Any]) -> LayerGraph:
    """The graph that a build was made from, with all modes of its network.

    Args:
        build: build folder.
        contents: what `read` returns of its deploy folder.

    Raises:
        GatefoldError: layers.onnx is missing, damaged or of another build.
    """
    from qonnx.core.modelwrapper import ModelWrapper

    from flow.finn import layer_graph

    path = build / "layers.onnx"
    if content_digest(path) != contents["layers_hash"]:
        raise GatefoldError(
            f"{path} is damaged or of another build than {build / 'deploy'}; run `gatefold build {contents['model']}` again."
        )
    return layer_graph(ModelWrapper(str(path)))


def hardware(contents: dict[str, Any], rtl: Path) -> tuple[dict[str, int], list[Path]]:
    """Parameters and RTL files of a build, as they went into it.

    Args:
        contents: what `read` returns of a deploy folder.
        rtl: folder for the generated files, the package and the module `accelerator` with its parameters.

    Returns:
        (RTL parameter name -> integer, paths without that of the module `accelerator`).

    Raises:
        GatefoldError: the sources have changed since.
    """
    sources = accelerator_sources(rtl)
    if engine_hash(contents["parameters"], sources) != contents["engine_hash"]:
        raise GatefoldError(f"hw/ has changed since {contents['model']} was built; run `gatefold build {contents['model']}` again.")
    parameters = with_hash(contents["parameters"], contents["engine_hash"])
    write_text(rtl / f"{NAME}.sv", top_text(parameters))
    return parameters, sources


def _digest(contents):
    return hashlib.sha256(json.dumps(contents, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
