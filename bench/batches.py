"""Frames/s of the board program's two ways: a batch behind the other, and the next made ready while one runs.

    .venv-board/bin/python bench/batches.py --board-dir build/resnet8/deploy [--mode full] [--batch 256] [--batches 20] [--json]

On a board everything is real. On a machine without one the host's part is this machine's in real time (frames into planes, registers,
records into results), and the accelerator's part takes in real time what its clock cycles take at the build's clock: each batch is
simulated once, and from then on a stand-in for the register block answers `busy` so long and lays down the records of that batch.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from board.command import open_accelerator
from board.deploy import open_deploy
from board.driver import Order


class Paced:
    """The register block of an accelerator that has computed its batches before: it takes the time of their cycles.

    Args:
        accelerator: whose registers it stands for.
        records: what the accelerator writes for every batch.
        cycles: of a batch.
        seconds: that those take.
    """

    def __init__(self, accelerator, records, cycles, seconds):
        self._accelerator, self._offsets = accelerator, accelerator._offsets
        self._records, self._cycles, self._seconds = records, cycles, seconds
        self._end = 0.0

    def write(self, offset, value):
        if offset == self._offsets["control"] and value & self._accelerator._bit("control", "start"):
            self._end = time.perf_counter() + self._seconds
            return
        if offset == self._offsets["destination"]:
            self._destination = value

    def read(self, offset):
        busy = time.perf_counter() < self._end
        if offset == self._offsets["status"]:
            if not busy:
                self._lay_down()
            return self._accelerator._bit("status", "busy") if busy else self._accelerator._bit("status", "done")
        if offset == self._offsets["frames_done"]:
            return 0 if busy else len(self._records)
        return self._cycles if offset == self._offsets["cycles"] else 0

    def _lay_down(self):
        for slot in self._accelerator._slots.values():
            if slot[2].device_address == getattr(self, "_destination", None):
                slot[2].bo.bytes[: self._records.nbytes] = self._records.view(np.uint8).reshape(-1)


def paced(accelerator, pixels, order, deploy):
    """Lets the accelerator answer from one simulation of the batch, in real time; returns its seconds."""
    batch = next(accelerator.stream([pixels], lambda frames: order))
    records = np.array(accelerator._slots[0][2])
    seconds = batch.cycles / (deploy.clock_mhz * 1e6)
    accelerator._registers = Paced(accelerator, records, batch.cycles, seconds)
    return seconds


def rate(run, frames):
    """Frames/s of a function that runs so many."""
    begin = time.perf_counter()
    run()
    return frames / (time.perf_counter() - begin)


def main():
    """Prints both rates."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board-dir", required=True)
    parser.add_argument("--mode", default="full")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    deploy = open_deploy(args.board_dir)
    accelerator, simulated = open_accelerator(deploy)
    order = Order(deploy.mode_sequence(args.mode, args.batch))
    pixels = np.random.default_rng(0).integers(0, 256, (args.batch, *deploy.picture.shape), dtype=np.uint8)
    seconds = paced(accelerator, pixels, order, deploy) if simulated else None
    frames = args.batch * args.batches

    def one_behind_the_other():
        for _ in range(args.batches):
            accelerator.run(pixels, order.modes)

    def in_turn():
        for _ in accelerator.stream([pixels] * args.batches, lambda count: order):
            pass

    in_turn()  # warm
    result = {
        "simulated": simulated,
        "mode": args.mode,
        "batch": args.batch,
        "one_behind_the_other": rate(one_behind_the_other, frames),
        "in_turn": rate(in_turn, frames),
        "accelerator_alone": args.batch / seconds if seconds else None,
    }
    if args.json:
        print(json.dumps(result))
        return
    print(f"{deploy.model} in mode {args.mode}, batches of {args.batch}{', accelerator paced by its cycles' if simulated else ''}")
    for key, value in result.items():
        if key.startswith(("one", "in_", "acc")) and value:
            print(f"  {key.replace('_', ' '):<22} {value:10,.0f} frames/s")


if __name__ == "__main__":
    main()
