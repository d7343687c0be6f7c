"""Ablations on CIFAR-10, equal budgets on both sides, several seeds: prints mean and standard deviation.

    .venv/bin/python bench/ablations.py --data cifar10.npz --output runs/ablations
    .venv/bin/python bench/ablations.py --data cifar10.npz --only sampling --teacher teacher/views.safetensors

1. WeNet with channel shuffle against without. 2. WeNet's group modes against US-Net's widths, whose smallest take as many
multiply-accumulates. 3. ACS' gates trained with the cost of what they run (eq. 5) against gates that only see the
cross-entropy. 4. What Algorithm 1 samples and learns from: group counts per layer as in the paper, the modes in use, and these
with a teacher's outputs (`gatefold teach`) in the loss; in bfloat16, the modes in use in float32 too. A run that was interrupted goes on where it was.
"""

import argparse
from functools import partial
from pathlib import Path

from flow.explore.parallel import workers
from flow.paths import runs_root
from flow.training.methods.registry import make
from flow.training.sweep import summary, sweep
from flow.training.trainer import Settings

GROUPS = {"full_epochs": "3", "float_epochs": "2", "epochs": "1", "samples": "3"}
GATES = {"float_epochs": "2", "first_epochs": "1", "epochs": "3", "rate": "0.5"}
LONGER = {"full_epochs": "6", "float_epochs": "3", "epochs": "3", "samples": "3"}
SIDES = {
    "modes": {
        "shuffle": ("resnet8", "wenet", GROUPS),
        "no shuffle": ("resnet8-unshuffled", "wenet", GROUPS),
        "US-Net": ("resnet8", "usnet", GROUPS),
    },
    "gates": {
        "cost-aware gates": ("resnet8", "acs", {**GATES, "alpha": "15", "target": "0.5"}),
        "plain gates": ("resnet8", "acs", {**GATES, "alpha": "0.0", "target": "none"}),
    },
    "sampling": {
        "per layer": ("resnet8", "wenet", LONGER),
        "modes in use": ("resnet8", "wenet", {**LONGER, "uniform": "0.9"}),
        "modes in use, teacher": ("resnet8", "wenet", {**LONGER, "uniform": "0.9"}),
        "modes in use, float32": ("resnet8", "wenet", {**LONGER, "uniform": "0.9"}),
    },
}


def settings_of(group: str, side: str, model: str, steps: int, teacher: str | None) -> Settings | None:
    """Of one side; None if it needs a teacher and there is none."""
    if group != "sampling":
        return Settings(model, steps=steps)
    taught = side.endswith("teacher")
    if taught and teacher is None:
        return None
    precision = "float32" if side.endswith("float32") else "bfloat16"
    teacher = teacher if taught else None
    return Settings(model, steps=steps, lr=0.2, weight_decay=2e-4, precision=precision, teacher=teacher, share=0.7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=80, help="steps of an epoch, of 128 images (default: %(default)s)")
    parser.add_argument("--images", type=int, default=2000, help="test images (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default: %(default)s)")
    parser.add_argument("--only", choices=SIDES, default=None, help="one group of ablations (default: all)")
    parser.add_argument(
        "--teacher", default=None, metavar="FILE", help="outputs of `gatefold teach` (default: that side is left out)"
    )
    parser.add_argument("--output", type=Path, default=runs_root() / "ablations")
    args = parser.parse_args()
    seeds = [int(seed) for seed in args.seeds.split(",")]
    where = partial(workers, args.jobs)
    sides = [(group, *item) for group in ([args.only] if args.only else SIDES) for item in SIDES[group].items()]
    for group, side, (model, name, options) in sides:
        settings = settings_of(group, side, model, args.steps, args.teacher)
        if settings is None:
            continue
        method = make(name, options)
        folder = (args.output / side.replace(",", "").replace(" ", "-")).resolve()
        command = f"bench/ablations.py --only {group} --steps {args.steps} --images {args.images}"
        records = sweep(seeds, settings, method, args.data, folder, command, "cpu", args.images, workers=where)
        modes = summary(records)
        shown = modes if name != "acs" else {"full": modes["full"]}
        print(f"{side} ({len(seeds)} seeds):", flush=True)
        for mode, value in shown.items():
            print(f"  {mode:5} {100 * value['mean']:.2f} % (standard deviation {100 * value['deviation']:.2f})")
        if name == "acs":
            for key, label in (("skip_ratio", "skip ratio"), ("macs", "products, of all")):
                values = [record["work"]["full"][key] for record in records]
                print(f"  {label}: {', '.join(f'{value:.3f}' for value in values)}", flush=True)


if __name__ == "__main__":
    main()
