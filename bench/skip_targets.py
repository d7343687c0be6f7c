"""Skip targets on real CIFAR-10: one short run per target; prints the losses of every epoch and what was reached.

.venv/bin/python bench/skip_targets.py --data cifar10.npz --method ddi --set backbone=resnet8
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from flow.data import load
from flow.training.methods.registry import make
from flow.training.trainer import Settings, Trainer

PRESETS = {
    "ddi": "alpha=1.0 gate_epochs=1 epochs=1 hard_epochs=4 exit_epochs=0",
    "energynet": "low=8 high=8 first_epochs=3 epochs=5 last_epochs=3",
    "acs": "alpha=15 float_epochs=0 first_epochs=1 epochs=6 rate=0.5",
}
"""Options for runs of minutes: the papers' weights of the cost need hours."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--method", choices=PRESETS, default="ddi")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the method, as for `gatefold train`"
    )
    parser.add_argument("--targets", default="0.3,0.5,0.7")
    parser.add_argument("--steps", type=int, default=25, help="steps of an epoch")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--images", type=int, default=1000, help="test images to measure on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = load(args.data)
    for target in args.targets.split(","):
        start = time.monotonic()
        options = dict(part.split("=", 1) for part in [*PRESETS[args.method].split(), *args.set])
        method = make(args.method, {**options, "target": target})
        settings = Settings(args.model, args.batch, args.lr, seed=args.seed, steps=args.steps)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(settings, method, data, Path(folder))
            while trainer.epoch < trainer.total_epochs:
                record = trainer.run_epoch()
                losses = "  ".join(f"{loss:.3f}" for loss in record["loss"])
                print(f"  {record['phase']:15} {losses}  (loss, cost, ..., skip ratio)", flush=True)
            record = trainer.finish("bench/skip_targets.py", args.images)
        reached, work = record["accuracy"]["full"], record["work"]["full"]
        print(
            f"{args.model} {args.method} target {target}: skip ratio {work['skip_ratio']:.3f}, products with gates "
            f"{work['macs']:.3f} of all, accuracy {reached:.4f}, {time.monotonic() - start:.0f} s",
            flush=True,
        )
        for exit, row in enumerate(record.get("exits", []), 1):
            print(f"  halted at exit {exit}: accuracy {row['accuracy']:.4f}, products {row['macs']:.3f} of all", flush=True)


if __name__ == "__main__":
    main()
