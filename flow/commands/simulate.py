"""``gatefold simulate``: run a built accelerator in simulation and compare it with the integer model."""

import argparse
import json
import os
from pathlib import Path

from flow.atomic import make_folder
from flow.errors import GatefoldError

MOST_FRAMES = 100_000
"""In one batch: 300 MB of images, and an hour of simulation."""


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MOST_FRAMES:
        raise argparse.ArgumentTypeError(f"{text} is not from 1 to {MOST_FRAMES}")
    return value


def _percent(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 95:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 95")
    return value


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "simulate",
        help="run the built accelerator in simulation",
        description="Run frames through the simulated accelerator of a build, registers and DMA included, and compare every "
        "result with the integer model. Build first: gatefold build MODEL.",
    )
    parser.add_argument("model", help="network that was built, or the FILE.onnx of one")
    parser.add_argument(
        "--mode",
        default="full",
        metavar="LIST",
        help="mode, or modes that the frames take in turn: full,1/16,1/4 (default: full)",
    )
    exits = parser.add_mutually_exclusive_group()
    exits.add_argument(
        "--exit",
        type=int,
        metavar="N",
        help="stop every frame at the early exit N, from 0 on (default: at the network's own classifier)",
    )
    exits.add_argument(
        "--budget",
        type=int,
        metavar="CYCLES",
        help="stop every frame at the last exit that is sure to end within so many clock cycles",
    )
    exits.add_argument(
        "--confidence",
        metavar="T",
        help="stop a frame at the first exit whose best logit leads the second by at least T, or by T of a list with one for each exit",
    )
    parser.add_argument("--count", type=_count, default=16, help="frames (default: %(default)s)")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help=".npz with images x (or test_x) and labels y, or a folder of pictures (default: sample images)",
    )
    parser.add_argument("--stall", type=_percent, default=0, help="per cent of cycles in which each AXI channel waits")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="write an FST waveform (compiles a second simulator once)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="build folder (default: build/MODEL)")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Simulate; returns the exit code."""
    from rich.console import Console

    from flow.build.deploy import built_graph, read
    from flow.build.halting import halting_of
    from flow.build.source import is_file, network_name, qonnx_digest
    from flow.build.verify import compare
    from flow.engine.compile import keep_modes
    from flow.engine.config import EngineConfig
    from flow.engine.network import NETWORK
    from flow.graph.integer import picture_frames
    from flow.paths import build_root
    from flow.simulation.simulator import Simulator

    file, args.model = args.model, network_name(args.model)
    folder = args.folder or build_root() / args.model
    if args.trace:
        if args.trace.is_dir():
            raise GatefoldError(f"{args.trace} is a folder; give the name of a file for --trace.")
        make_folder(args.trace.parent)
    contents = read(folder / "deploy")
    if contents["model"] != args.model:
        raise GatefoldError(
            f"{folder} holds a build of {contents['model']}, not {args.model}; name that model, or another --folder."
        )
    if is_file(file) and Path(file).is_file() and qonnx_digest(file) != contents["qonnx_hash"]:
        raise GatefoldError(
            f"{folder} was built from another file than {file}; run `gatefold build {file}` again, or name its --folder."
        )
    names = [mode["name"] for mode in contents["modes"]]
    wanted = args.mode.split(",")
    for name in wanted:
        if name not in names:
            raise GatefoldError(f"There is no mode '{name}' in this build; choose from {', '.join(names)}.")
    modes = [wanted[i % len(wanted)] for i in range(args.count)]
    halting = halting_of(contents, dict.fromkeys(modes), args.exit, args.budget, args.confidence)
    images, labels = _images(args, folder / "deploy", contents)
    graph = keep_modes(built_graph(folder, contents), names)
    config = EngineConfig.of(contents["parameters"])

    deploy = folder / "deploy"
    with Console(stderr=True).status(f"{args.model}: simulating {args.count} frames") as status:
        library = deploy / contents["simulator"]
        if args.trace:
            status.update(f"{args.model}: compiling a simulator with waveforms")
            library = _tracing_library(folder, contents)
            status.update(f"{args.model}: simulating {args.count} frames")
        with Simulator(library, (deploy / NETWORK).read_bytes()) as simulator:
            if args.trace:
                simulator.trace(args.trace)
            told = None if halting is None else [halting[name] for name in names]
            indices = [names.index(mode) for mode in modes]
            records, cycles = simulator.run(picture_frames(graph, images), indices, args.stall, halting=told)
        compare(graph, config, records, images, modes, halting)

    order = contents["class_order"] or range(len(contents["classes"]))
    for record in records:
        logits = dict(zip(order, record["logits"], strict=True))
        record["class"], record["logits"] = order[record["class"]], [logits[number] for number in range(len(order))]
    clock = 1e6 * contents["clock_mhz"]
    result = {
        "simulated": True,
        "model": args.model,
        "mode": args.mode,
        "frames": args.count,
        "predictions": [record["class"] for record in records],
        "logits": [record["logits"] for record in records],
        "cycles": [record["cycles"] for record in records],
        **({"exits": [record["exit"] for record in records]} if contents["exits"] else {}),
        "batch_cycles": cycles,
        "frames_per_s": args.count * clock / cycles,
        "latency_ms": 1e3 * max(record["cycles"] for record in records) / clock,
        "accuracy": None if labels is None else sum(r["class"] == y for r, y in zip(records, labels)) / args.count,
    }
    if args.json:
        print(json.dumps(result, indent=2))
        return 0
    for frame, (mode, record) in enumerate(zip(modes, records, strict=True)):
        exit = f"  exit {record['exit']}" if contents["exits"] else ""
        print(f"frame {frame:>3}  {mode:<5} {contents['classes'][record['class']]:<11} {record['cycles']:>7} cycles{exit}")
    print(
        f"{args.count} frames equal to the integer model; batch {cycles} cycles, {result['frames_per_s']:.0f} frames/s at "
        f"{contents['clock_mhz']} MHz"
    )
    if labels is not None:
        print(f"accuracy {100 * result['accuracy']:.2f} %")
    return 0


def _images(args, deploy, contents):
    """(uint8 [count, height, width, colours], labels or None); images are repeated where there are fewer than frames."""
    import numpy as np

    from flow.data import load_test

    shape = [contents["image"][name] for name in ("height", "width", "colours")]
    if args.data:
        images, labels = load_test(args.data, len(contents["classes"]), shape=tuple(shape))
    else:
        with np.load(deploy / "samples.npz") as archive:
            images, labels = archive["x"], None
    index = np.arange(args.count) % len(images)
    return images[index], None if labels is None else labels[index]


def _tracing_library(folder, contents):
    from flow.build.deploy import hardware
    from flow.simulation.accelerator import compile_accelerator

    work = folder / "simulation" / "trace"
    parameters, sources = hardware(contents, work)
    return compile_accelerator(work, work / "accelerator.so", parameters, sources, trace=True, jobs=os.cpu_count() or 1)
