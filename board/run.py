#!/usr/bin/env python3
"""Runs images through the accelerator and prints what it saw.

    board/run.py --model resnet8 --mode 1/4 --count 16

On a PYNQ board this is the real accelerator, elsewhere the simulated board; the output says which.
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def make_parser():
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="board/run.py",
        description="Run images through the accelerator of a deploy folder: on a PYNQ board, or simulated where there is none.",
    )
    parser.add_argument("--model", help="which build to run, e.g. resnet8 (default: the one built last)")
    parser.add_argument(
        "--mode", default="full", help="mode of the frames: full, 1/2 ... 1/16, or a list that changes every frame, e.g. full,1/16 (default: full)"
    )
    parser.add_argument("--count", type=int, default=16, help="frames to run; images repeat when there are fewer (default: 16)")
    parser.add_argument("--batch", type=int, default=0, help="frames per start of the accelerator (default: all in one)")
    parser.add_argument(
        "--images", metavar="PATH", help="folder of 32x32 pictures, or .npz with x uint8 [N, 32, 32, 3] and optionally labels y (default: the deploy folder's samples)"
    )
    parser.add_argument("--board-dir", metavar="DIR", help="deploy folder to use (default: build/MODEL/deploy)")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="seconds without a result before giving up (default: 10)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def main(argv=None):
    """Runs the program; returns the exit code."""
    args = make_parser().parse_args(argv)
    for module in ("numpy", "pynq"):
        if importlib.util.find_spec(module) is None:
            print(
                f"gatefold: {module} is missing in this Python; type `make run`, which makes an environment with it, and then use "
                f".venv-board/bin/python board/run.py (on a PYNQ board: sudo -E python3 board/run.py).",
                file=sys.stderr,
            )
            return 2
    from board.errors import BoardError

    try:
        result, deploy = run(args)
    except BoardError as error:
        print(f"gatefold: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result) if args.json else _text(result, deploy))
    return 0


def run(args):
    """Runs what the command line asks for; returns the result (the keys of --json) and the deploy folder."""
    import numpy as np

    from board.deploy import find_deploy, open_deploy
    from board.energy import modelled_millijoule
    from board.errors import BoardError
    from board.images import load_images

    for name in ("count", "timeout"):
        if not getattr(args, name) > 0:
            raise BoardError(f"--{name} is {getattr(args, name)}; give more than 0.")
    if args.batch < 0:
        raise BoardError(f"--batch is {args.batch}; give 0 for all frames in one batch, or more.")
    deploy = open_deploy(args.board_dir) if args.board_dir else find_deploy(ROOT / "build", args.model)
    if args.model not in (None, deploy.model):
        raise BoardError(f"{deploy.folder} holds {deploy.model}, not {args.model}; name its model or another --board-dir.")
    modes = deploy.mode_sequence(args.mode, args.count)
    images = load_images(args.images or deploy.samples).take(args.count)

    accelerator, simulated = _open_accelerator(deploy)
    size = args.batch or args.count
    batches = [
        accelerator.run(images.pixels[at : at + size], modes[at : at + size], args.timeout) for at in range(0, args.count, size)
    ]
    predictions = np.concatenate([batch.predictions for batch in batches])
    cycles = sum(batch.cycles for batch in batches)
    seconds = cycles / (deploy.clock_mhz * 1e6)
    labelled = images.labels >= 0
    result = {
        "simulated": simulated,
        "model": deploy.model,
        "mode": args.mode,
        "frames": args.count,
        "predictions": predictions.tolist(),
        "logits": np.concatenate([batch.logits for batch in batches]).tolist(),
        "cycles": cycles,
        "frame_cycles": np.concatenate([batch.frame_cycles for batch in batches]).tolist(),
        "frames_per_s": args.count / seconds,
        "latency_ms": 1e3 * seconds / len(batches),
        "batches": len(batches),
        "accuracy": float((predictions == images.labels)[labelled].mean()) if labelled.any() else None,
        "energy": {"kind": "modelled", "millijoule": modelled_millijoule(seconds)},
    }
    return result, deploy


def _open_accelerator(deploy):
    import warnings

    warnings.filterwarnings("ignore", category=UserWarning, module="pynq")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import pynq

    from board.driver import Accelerator
    from board.simulated import SimulatedDevice

    simulated = isinstance(pynq.Device.active_device, SimulatedDevice)
    return Accelerator(deploy, deploy.bitstream(simulated)), simulated


def _text(result, deploy):
    shown = [deploy.classes[k] for k in result["predictions"]]
    each = "" if result["batches"] == 1 else f" each of {result['batches']} batches"
    frames = result["frames"]
    lines = [
        f"{result['model']} in mode {result['mode']}, {'simulated ' if result['simulated'] else ''}{deploy.board}, {deploy.clock_mhz:g} MHz",
        f"  predictions  {' '.join(shown)}",
        f"  latency      {result['latency_ms']:.3f} ms{each or f' for the batch of {frames}'}",
        f"  cycles       {result['cycles']:,} in all, {min(result['frame_cycles']):,} to {max(result['frame_cycles']):,} a frame",
        f"  rate         {result['frames_per_s']:,.0f} frames/s",
    ]
    if result["accuracy"] is not None:
        lines.append(f"  accuracy     {100 * result['accuracy']:.2f} % of the labelled images")
    lines.append(f"  energy       {result['energy']['millijoule'] / frames:.3f} mJ a frame ({result['energy']['kind']})")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # the package `board`, not its folder
    sys.exit(main())
