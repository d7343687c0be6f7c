"""Test vectors for the engine's RTL: a folder with memory images, input stream and expected results.

    python -m flow.engine.vectors --out DIR [--model resnet8 | --random] [--modes full,1/4] [--frames 4] ...

The folder holds
    images/*.mem, gatefold_pkg.sv, parameters.json    what the RTL is built from
    input.hex       64-bit beats of all frames, one a line: header, image
    expected.hex    64-bit beats of all records; word 4 (cycles) is the cycle model's
    expected.json   per frame: mode, class, logits, tiles, cycles (model)
    stations.npz    "frame<i>.<layer>": every layer's stored output, uint8 [C, H, W] in channel slots; sums
                    int64 [C] for the pooled layer, logits for the classifier
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from flow.engine.config import EngineConfig
from flow.engine.cost import frame_cost
from flow.engine.images import memory_images
from flow.engine.integer import run
from flow.engine.interface import load_interface, write_package
from flow.engine.plan import plan
from flow.engine.random_graph import random_resnet
from flow.engine.requant import hardware, requantise
from flow.engine.stream import frame_beats, record_beats
from flow.errors import GatefoldError


def write_vectors(graph, config, modes, images, folder):
    """Write the folder described above.

    Args:
        graph: LayerGraph.
        config: EngineConfig (P, PE, R, V).
        modes: name of each frame's mode, [N].
        images: uint8 [N, 3, 32, 32].
    """
    folder = Path(folder)
    layout = plan(graph, config)
    table = requantise(graph)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name, text in memory_images(graph, layout, table).items():
        (folder / "images" / name).write_text(text)
    write_package(folder / "gatefold_pkg.sv")
    (folder / "parameters.json").write_text(json.dumps(layout.config.parameters(), indent=1) + "\n")

    interface, indices = load_interface(), list(graph.modes)
    beats, records, expected, stations = [], [], [], {}
    for frame, (mode, image) in enumerate(zip(modes, images, strict=True)):
        result = run(graph, image[None], mode, hardware(table))
        cost = frame_cost(graph, mode, layout.config)
        logits, predicted = result.logits[0].tolist(), int(result.classes[0])
        beats.append(frame_beats(image, indices.index(mode)))
        words = interface.pack_record(
            logits, frame=frame, mode=indices.index(mode), cycles=cost.cycles, tiles=cost.tiles, **{"class": predicted}
        )
        records.append(record_beats(words))
        expected.append({"mode": mode, "class": predicted, "logits": logits, "tiles": cost.tiles, "cycles": cost.cycles})
        stations |= {f"frame{frame}.{name}": value[0] for name, value in result.stations.items()}
    for name, parts in (("input.hex", beats), ("expected.hex", records)):
        (folder / name).write_text("".join(f"{int(beat):016x}\n" for beat in np.concatenate(parts)))
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    np.savez_compressed(folder / "stations.npz", **stations)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m flow.engine.vectors", description="Write test vectors for the RTL.")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", help="a model of flow.models, initialised from --seed")
    source.add_argument("--random", action="store_true", help="a random ResNet (the default)")
    parser.add_argument("--widths", default="16,32,64", help="channels per stage of the random ResNet")
    parser.add_argument("--blocks", default="1,1,1", help="blocks per stage of the random ResNet; 0 in stage 1 leaves it out")
    parser.add_argument("--classes", type=int, default=10, help="classes of the random ResNet")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frames", type=int, default=4)
    parser.add_argument("--modes", default="full", help="comma-separated; frame i runs in the i-th, cyclically")
    parser.add_argument("--p", type=int, default=64)
    parser.add_argument("--pe", type=int, default=2)
    parser.add_argument("--r", type=int, default=64)
    parser.add_argument("--v", type=int, default=16)
    parser.add_argument("--out", required=True, help="folder to write")
    args = parser.parse_args(argv)
    if args.model:
        from flow.engine.from_model import layer_graph
        from flow.models import create, initialise

        model = create(args.model)
        initialise(model, args.seed)
        graph = layer_graph(model)
    else:
        widths, blocks = ([int(x) for x in text.split(",")] for text in (args.widths, args.blocks))
        graph = random_resnet(args.seed, widths, blocks, args.classes)
    names = args.modes.split(",")
    modes = [names[i % len(names)] for i in range(args.frames)]
    images = np.random.default_rng(args.seed).integers(0, 256, (args.frames, 3, 32, 32), dtype=np.uint8)
    write_vectors(graph, EngineConfig(p=args.p, pe=args.pe, r=args.r, v=args.v), modes, images, args.out)


if __name__ == "__main__":
    try:
        main()
    except GatefoldError as error:
        sys.exit(f"gatefold: {error}")
