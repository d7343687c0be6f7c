"""Several networks loaded at once, frames in turn: what `board/run.py --model A,B` does."""

import argparse
from typing import Iterator, List

import numpy as np

from board.command import MAX_BATCH, check_number, check_running, find_build, open_accelerator
from board.deploy import Deploy
from board.errors import BoardError
from board.images import MAX_FRAMES, load_images

ALONE = {
    "board_dir": None,
    "gate": "on",
    "gate_threshold": 0,
    "layer_threshold": 0,
    "exit": None,
    "budget": None,
    "confidence": None,
    "budget_mj": None,
    "budget_ms": None,
    "budget_w": None,
    "adaptive": None,
    "measure": False,
    "calibrate": None,
}
"""Options that are for one network, and what they are where they are left out."""


def run_several(args: argparse.Namespace) -> dict:
    """Runs what the command line asks for; returns the keys of --json, frames' values as arrays.

    Raises:
        BoardError: the networks cannot be loaded at once or do not take the same pictures, or an option is for one network.
    """
    networks = _builds(args)
    first, count = networks[0], 16 if args.count is None else args.count
    check_number("count", count, MAX_FRAMES)
    check_running(args)
    turns = np.arange(count) % len(networks)
    own = [network.mode_sequence(args.mode or "full", int((turns == number).sum())) for number, network in enumerate(networks)]
    modes = [own[frame % len(networks)][frame // len(networks)] for frame in range(count)]
    images = load_images(args.images or first.samples, count, first.picture.shape, len(first.classes))

    accelerator, simulated = open_accelerator(first, networks[1:])
    size = args.batch or MAX_BATCH
    starts, found, cycles = range(0, count, size), [[] for _ in networks], 0
    for at, pixels in zip(starts, images.batches(min(size, count - at) for at in starts)):
        part = slice(at, at + len(pixels))
        results = accelerator.run_several(pixels, turns[part].tolist(), modes[part], args.timeout)
        for frames, batch in results:
            found[turns[part][frames[0]]].append((at + frames, batch))
        cycles += results[0][1].cycles  # of the whole batch
    labels = images.labels[np.arange(count) % len(images.labels)]
    seconds = cycles / (first.clock_mhz * 1e6)
    return {
        "simulated": simulated,
        "board": first.board,
        "clock_mhz": first.clock_mhz,
        "mode": args.mode or "full",
        "frames": count,
        "cycles": cycles,
        "frames_per_s": count / seconds,
        "latency_ms": 1e3 * seconds / len(starts),
        "batches": len(starts),
        "networks": [_result(network, parts, labels, first.classes) for network, parts in zip(networks, found) if parts],
    }


def _builds(args) -> List[Deploy]:
    """The builds that --model names, which go together."""
    for name, usual in ALONE.items():
        if getattr(args, name) != usual:
            raise BoardError(f"--{name.replace('_', '-')} is for one network; leave it out, or name one network as --model.")
    names = [name.strip() for name in args.model.split(",")]
    if not all(names):
        raise BoardError(f"--model is {args.model!r:.60}; name a build, or several with a comma between two.")
    networks = [find_build(name) for name in names]
    first = networks[0]
    for other in networks[1:]:
        if other.picture.shape != first.picture.shape or not _alike(other.picture.table, first.picture.table):
            raise BoardError(
                f"{other.model} and {first.model} take other pictures, and a batch is of one kind; run them one after the other."
            )
    return networks


def _alike(one, other):
    return (one is None) == (other is None) and (one is None or np.array_equal(one, other))


def _result(network, parts, labels, classes):
    """What one network gave, frame by frame."""
    frames = np.concatenate([frames for frames, _ in parts])

    def all_of(name):
        return np.concatenate([getattr(batch, name) for _, batch in parts])

    predictions = all_of("predictions")
    labelled = labels[frames] >= 0
    known = labelled.any() and network.classes == classes
    return {
        "model": network.model,
        "frame": frames,
        "classes": network.classes,
        "predictions": predictions.astype(np.uint8),
        "logits": all_of("logits"),
        "frame_cycles": all_of("frame_cycles"),
        **({"exits": all_of("exits")} if network.exits else {}),
        "tiles": all_of("tiles"),
        "accuracy": float((predictions == labels[frames])[labelled].mean()) if known else None,
    }


def text_of(result: dict) -> Iterator[str]:
    """The result as lines."""
    models = ", ".join(network["model"] for network in result["networks"])
    where = f"{'simulated ' if result['simulated'] else ''}{result['board']}, {result['clock_mhz']:g} MHz"
    yield f"{models} in turn in mode {result['mode']}, {where}\n"
    each = f" for the batch of {result['frames']}" if result["batches"] == 1 else f" each of {result['batches']} batches"
    yield f"  latency      {result['latency_ms']:.3f} ms{each}\n"
    yield f"  cycles       {result['cycles']:,} in all\n"
    yield f"  rate         {result['frames_per_s']:,.0f} frames/s\n"
    for network in result["networks"]:
        cycles, named = network["frame_cycles"], [network["classes"][number] for number in network["predictions"]]
        yield f"{network['model']}\n  predictions  {' '.join(named)}\n"
        yield f"  cycles       {cycles.min():,} to {cycles.max():,} a frame\n"
        if network["accuracy"] is not None:
            yield f"  accuracy     {100 * network['accuracy']:.2f} % of its labelled images\n"
