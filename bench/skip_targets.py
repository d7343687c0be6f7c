"""DDI's skip targets on real CIFAR-10: short runs from trained weights, one per target; prints what was reached.

    .venv/bin/python bench/skip_targets.py --data cifar10.npz
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from flow.costs import Accounting
from flow.data import load
from flow.training.evaluate import accuracy
from flow.training.exits import evaluate_exits
from flow.training.methods.ddi import Ddi
from flow.training.skip_ratio import measure_skip_ratio
from flow.training.trainer import Settings, Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet8")
    parser.add_argument("--backbone", default="resnet8", help="trained weights (default: %(default)s as shipped)")
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--gates", default="ddi")
    parser.add_argument("--unit", default="macs", help="of the cost (default: %(default)s)")
    parser.add_argument("--targets", default="0.3,0.5,0.7")
    parser.add_argument("--alpha", type=float, default=1.0, help="for runs of minutes; the paper's 2e-4 needs hours (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=25, help="steps of an epoch")
    parser.add_argument("--epochs", default="1,1,4,0", help="gates alone, soft, hard, exits (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--images", type=int, default=1000, help="test images to measure on")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data = load(args.data)
    epochs = [int(part) for part in args.epochs.split(",")]
    for target in (float(part) for part in args.targets.split(",")):
        start = time.monotonic()
        method = Ddi(args.backbone, args.gates, *epochs, args.alpha, target, args.unit)
        settings = Settings(args.model, batch=args.batch, weight_decay=1e-4, seed=args.seed, steps=args.steps)
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(settings, method, data, Path(folder))
            while trainer.epoch < trainer.total_epochs:
                record = trainer.run_epoch()
                loss, cost, skipped = record["loss"]
                print(f"  {record['phase']:9} loss {loss:.3f}  E {cost:.2f}  skipped {skipped:.3f}", flush=True)
            model = trainer.model
            method.finish(model, trainer._calibration_batches, trainer.phases)
        x, y = data.test_x[: args.images], data.test_y[: args.images]
        skipped = measure_skip_ratio(model, x)
        accounting = Accounting(model, "macs")
        spent = float(accounting.of(model.trace).mean()) / accounting.full
        print(
            f"{args.model} {args.gates} target {target:.2f}: skipped {skipped:.3f}, products with gates {spent:.3f} of all, "
            f"accuracy {accuracy(model, x, y, 'full'):.4f}, {time.monotonic() - start:.0f} s",
            flush=True,
        )
        if model.exits_on:
            for exit in range(len(model.exits) + 1):
                last = torch.full((len(x),), exit)
                reached, spent, _ = evaluate_exits(model, x, y, accounting, lambda logits, costs: last[: len(costs)])
                print(f"  halted at exit {exit + 1}: accuracy {reached:.4f}, products {spent / accounting.full:.3f} of all", flush=True)


if __name__ == "__main__":
    main()
