#!/usr/bin/env python3
"""Runs images through the accelerator and prints what it saw.

    board/run.py --model resnet8 --mode 1/4 --count 16

On a PYNQ board this is the real accelerator, elsewhere the simulated board; the output says which.
"""

import argparse
import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Optional, Sequence, Tuple

if TYPE_CHECKING:
    from board.deploy import Deploy


ROOT = Path(__file__).resolve().parents[1]
WRITTEN_AT_ONCE = 4096  # frames whose results are text at a time


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    from board.command import MAX_BATCH, Parser, add_setting_options
    from board.energy_options import add_energy_options

    parser = Parser(
        prog="board/run.py",
        description="Run images through the accelerator of a deploy folder: on a PYNQ board, or simulated where there is none.",
    )
    add_setting_options(parser)
    parser.add_argument("--count", type=int, help="frames to run; images repeat when there are fewer (default: 16)")
    parser.add_argument(
        "--batch",
        type=int,
        default=0,
        help=f"frames per start of the accelerator, up to {MAX_BATCH} (default: as many as possible)",
    )
    parser.add_argument(
        "--images",
        metavar="PATH",
        help="folder of pictures of the network's size, .npz with x uint8 [N, height, width, colours] and optionally labels y, or .npy of such images (default: the deploy folder's samples)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    add_energy_options(parser)
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs the program.

    Returns:
        The exit code: 0; 2 with one sentence on stderr; 130 after an interrupt; 141 when the output's reader has gone.
    """
    from board.command import guarded

    return guarded(lambda: _main(make_parser().parse_args(argv)))


def _main(args):
    from board.command import need_modules

    need_modules(*(("numpy",) if args.attach else ("numpy", "pynq")))
    several = "," in (args.model or "") and not args.attach
    act = None if several else _energy_command(args)
    if act:
        found, lines = act(args)
        return _output(_json(found) if args.json else lines)
    if several:
        from board.several import run_several, text_of

        found = run_several(args)
        return _output(_json(found) if args.json else text_of(found))
    if args.adaptive:
        from board.adapting import adapt
        from board.command import deploy_of

        return _output(adapt(args, deploy_of(args)), flush=True)
    result, deploy = run(args)
    return _output(_json(result) if args.json else _text(result, deploy))


def _energy_command(args):
    """What the command line asks for other than to run frames, or None."""
    if args.attach:
        from board.attach import attach

        return attach
    if args.calibrate is not None or args.measure:
        from board import measuring

        return measuring.measure if args.measure else measuring.calibrate_meter
    return None


def run(args: argparse.Namespace) -> Tuple[dict, "Deploy"]:
    """Runs what the command line asks for; returns the result (the keys of --json, frames' values as arrays) and the deploy folder."""
    import numpy as np

    from board.adapting import chosen_setting
    from board.command import MAX_BATCH, check_number, deploy_of, gates_of, open_accelerator
    from board.driver import Order
    from board.energy import Power
    from board.exits import halting_of
    from board.images import MAX_FRAMES, load_images

    args.count = 16 if args.count is None else args.count
    check_number("count", args.count, MAX_FRAMES)
    deploy = deploy_of(args)
    chosen = None
    if any(value is not None for value in (args.budget_mj, args.budget_ms, args.budget_w)):
        chosen = chosen_setting(args, deploy)
        args.mode = chosen.setting.mode.name
        told = chosen.setting.order(args.count)
        modes, thresholds, forced, halting = told.modes, told.thresholds, told.forced, told.halting
    else:
        args.mode = "full" if args.mode is None else args.mode
        gate, thresholds, forced = gates_of(args, deploy)
        modes = deploy.mode_sequence(args.mode, args.count, gate)
        if gate == "off":  # modes of their own
            args.mode = ",".join(dict.fromkeys(mode.name for mode in modes))
        halting = halting_of(deploy.exits, modes, args.exit, args.budget, args.confidence)
    images = load_images(args.images or deploy.samples, args.count, deploy.picture.shape, len(deploy.classes))

    accelerator, simulated = open_accelerator(deploy)
    size = args.batch or MAX_BATCH
    starts = range(0, args.count, size)
    predictions = np.empty(args.count, np.uint8)
    logits = np.empty((args.count, len(deploy.classes)), np.int32)
    exits = np.empty(args.count, np.uint8)
    frame_cycles = np.empty(args.count, np.uint32)
    tiles = {layer.name: np.empty(args.count, np.uint32) for layer in deploy.layers}
    decisions = np.empty((args.count, sum(gate.count for gate in deploy.gates)), np.uint8)
    cycles = 0
    begun = itertools.accumulate(itertools.chain([0], (min(size, args.count - at) for at in starts)))

    def order(frames):
        at = next(begun)
        return Order(modes[at : at + frames], thresholds, forced, halting)

    batches = accelerator.stream(images.batches(min(size, args.count - at) for at in starts), order, args.timeout)
    for at, batch in zip(starts, batches):
        part = slice(at, at + len(batch.predictions))
        predictions[part], logits[part], frame_cycles[part] = batch.predictions, batch.logits, batch.frame_cycles
        decisions[part], exits[part] = batch.decisions, batch.exits
        for name, counts in batch.layer_tiles.items():
            tiles[name][part] = counts
        cycles += batch.cycles
        if len(starts) > 1 and sys.stderr.isatty():
            print(
                f"\r  {part.stop:,} of {args.count:,} frames",
                end="\n" if part.stop == args.count else "",
                file=sys.stderr,
                flush=True,
            )
    labels = images.labels[np.arange(args.count) % len(images.labels)]
    labelled = labels >= 0
    seconds = cycles / (deploy.clock_mhz * 1e6)
    decided = {gate.name: decisions[:, gate.first : gate.first + gate.count] for gate in deploy.gates}
    result = {
        "simulated": simulated,
        "model": deploy.model,
        "mode": args.mode,
        **({"chosen": chosen.record} if chosen else {}),
        "modes": list(dict.fromkeys(mode.name for mode in modes)),
        "frames": args.count,
        "predictions": predictions,
        "logits": logits,
        "cycles": cycles,
        "frame_cycles": frame_cycles,
        **({"exits": exits} if deploy.exits else {}),
        "tiles": sum(tiles.values()),
        **({"layer_tiles": tiles} if deploy.gates or deploy.exits else {}),
        **({"decisions": decided} if deploy.gates else {}),
        "frames_per_s": args.count / seconds,
        "latency_ms": 1e3 * seconds / len(starts),
        "batches": len(starts),
        "accuracy": float((predictions == labels)[labelled].mean()) if labelled.any() else None,
        "energy": {
            "kind": "modelled",
            "millijoule": 1e3 * Power().joules(seconds, float(sum(tiles.values()).sum()), deploy.clock_mhz),
        },
    }
    return result, deploy


def _pieces(array):
    """The elements of an array as lists, some at a time."""
    return (array[at : at + WRITTEN_AT_ONCE].tolist() for at in range(0, len(array), WRITTEN_AT_ONCE))


def _json(value, end="\n"):
    """A dictionary, a list of some, an array, or what JSON knows, in pieces of text."""
    if isinstance(value, dict):
        opening = "{"
        for key, part in value.items():
            yield f"{opening}{json.dumps(key)}: "
            yield from _json(part, "")
            opening = ", "
        yield ("{}" if opening == "{" else "}") + end
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        opening = "["
        for part in value:
            yield opening
            yield from _json(part, "")
            opening = ", "
        yield "]" + end
    elif hasattr(value, "tolist"):
        opening = "["
        for piece in _pieces(value):
            yield opening + json.dumps(piece)[1:-1]
            opening = ", "
        yield ("[]" if opening == "[" else "]") + end
    else:
        yield json.dumps(value) + end


def _text(result, deploy):
    """The result as lines, in pieces of text."""
    from board.summary import name_of

    each = "" if result["batches"] == 1 else f" each of {result['batches']} batches"
    frames = result["frames"]
    yield f"{result['model']} in mode {result['mode']}, {'simulated ' if result['simulated'] else ''}{deploy.board}, {deploy.clock_mhz:g} MHz\n"
    if "chosen" in result:
        option = result["chosen"]
        yield (
            f"  chosen       {name_of(option)}: {option['energy_mj']:.4f} mJ a frame ({option['kind']}), {option['latency_ms']:.4f} ms, "
            f"{option['power_w']:.3f} W, accuracy {100 * option['accuracy']:.2f} %\n"
        )
    yield "  predictions "
    for piece in _pieces(result["predictions"]):
        yield "".join(f" {deploy.classes[number]}" for number in piece)
    yield f"\n  latency      {result['latency_ms']:.3f} ms{each or f' for the batch of {frames}'}\n"
    yield f"  cycles       {result['cycles']:,} in all, {result['frame_cycles'].min():,} to {result['frame_cycles'].max():,} a frame\n"
    yield f"  rate         {result['frames_per_s']:,.0f} frames/s\n"
    if deploy.exits:
        names = [exit.name for exit in deploy.exits] + ["the network's own classifier"]
        for number, name in enumerate(names):
            there = result["exits"] == number
            if there.any():
                cycles = result["frame_cycles"][there]
                yield f"  exit {number:<8}{100 * there.mean():.1f} % of the frames, {cycles.mean():,.0f} cycles a frame ({name})\n"
    if deploy.exits or any(deploy.modes[name].gates for name in result["modes"]):
        beside = [layer for layer in deploy.layers if layer.gate or layer.exit]
        own = sum(result["layer_tiles"][layer.name].mean() for layer in beside)
        executed = result["tiles"].mean() - own
        most = deploy.all_tiles([deploy.modes[name] for name in result["modes"]])
        yield f"  tiles        {executed:,.0f} of {most:,.0f} a frame ({100 * executed / most:.1f} %), and {own:,.0f} for {_what(deploy)}\n"
    if result["accuracy"] is not None:
        yield f"  accuracy     {100 * result['accuracy']:.2f} % of the labelled images\n"
    yield f"  energy       {result['energy']['millijoule'] / frames:.3f} mJ a frame ({result['energy']['kind']})\n"


def _what(deploy):
    """What has tiles beside the network's own layers."""
    return " and ".join(word for word, found in (("the gates", deploy.gates), ("the exits", deploy.exits)) if found)


def _output(pieces, flush=False):
    """Writes to stdout, and where somebody follows it piece by piece; returns the exit code."""
    from board.command import say

    if sys.stdout is None:
        return say("standard output is closed; send the results somewhere.", 2)
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            if flush:
                sys.stdout.flush()
        sys.stdout.flush()
        return 0
    except OSError as problem:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left must not fail again at the exit
        if isinstance(problem, BrokenPipeError):
            return 128 + signal.SIGPIPE
        return say(f"the results cannot be written ({problem.strerror}); free some space, or send them elsewhere.", 2)


def script() -> NoReturn:
    """The program as a process of its own."""
    from board.command import process

    process(main)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # the package `board`, not its folder
    script()
