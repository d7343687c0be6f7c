"""``gatefold teach``: train a teacher and store its outputs."""

import argparse
from pathlib import Path

from flow.commands.counts import MOST_WORKERS, whole
from flow.commands.device import add_device, check_device

VIEWS = "views.safetensors"


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "teach",
        help="train a wide network whose outputs small ones are trained on",
        description="Train a wide floating-point network once and store its outputs for fixed views (crops, mirrored or not) of "
        "every training image in OUTPUT/views.safetensors, for `gatefold train --teacher`. A checkpoint is written after every "
        "epoch; --resume goes on from it. For a processor with bfloat16 arithmetic, or a CUDA device.",
    )
    parser.add_argument("--data", default="cifar10", help="data set, as for `gatefold train` (default: %(default)s)")
    parser.add_argument("--epochs", type=whole(1), default=10, help="passes over the training set (default: %(default)s)")
    parser.add_argument("--views", type=whole(1), default=8, metavar="N", help="views of each image (default: %(default)s)")
    parser.add_argument("--width", type=whole(1), default=1, help="multiplies the channels of its layers (default: %(default)s)")
    add_device(parser)
    parser.add_argument("--seed", type=whole(0), default=0, help="the same seed repeats a run (default: %(default)s)")
    parser.add_argument(
        "--held-out", type=whole(0), default=1000, metavar="N", help="as for `gatefold train`, and the same (default: %(default)s)"
    )
    parser.add_argument("--steps", type=whole(1), default=None, help="end every epoch after so many steps (default: whole epochs)")
    parser.add_argument("--threads", type=whole(1, MOST_WORKERS), default=None, help="processor threads (default: all cores)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    again.add_argument("--overwrite", action="store_true", help="replace the teacher that the output folder holds, which is lost")
    parser.add_argument("--output", type=Path, metavar="DIR", help="output folder (default: runs/teach)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and store; returns the exit code."""
    import torch

    from flow.claim import claim, discard, refuse_to_replace
    from flow.data import load
    from flow.paths import teach_folder
    from flow.training.teacher import CHECKPOINT, Teaching

    check_device(args.device)
    if args.threads:
        torch.set_num_threads(args.threads)
    folder = args.output or teach_folder()
    kept = [CHECKPOINT, VIEWS]
    with claim(folder):
        if not args.resume and not args.overwrite:
            refuse_to_replace(folder, kept)
        teaching = Teaching(
            load(args.data), folder, args.epochs, args.held_out, args.seed, args.steps, args.resume, args.width, args.device
        )
        if args.overwrite:  # now that nothing is left to refuse
            discard(folder, kept)
        return _teach(args, teaching, folder)


def _teach(args: argparse.Namespace, teaching, folder: Path) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from flow.training.views import make_views

    console = Console(stderr=True, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        while teaching.epoch < args.epochs:
            label = f"epoch {teaching.epoch + 1}/{args.epochs}"
            task = progress.add_task(label, total=teaching.steps)
            reached = teaching.run_epoch(lambda step, _: progress.update(task, completed=step))
            progress.remove_task(task)
            console.print(f"{label}: {100 * reached:.1f} % of the held-out images", highlight=False)
        task = progress.add_task("views", total=args.views * len(teaching.images))
        dataset = teaching.dataset
        views = make_views(
            teaching.model.eval(), teaching.images, args.views, dataset.name, dataset.mirrored, args.seed,
            lambda n: progress.advance(task, n),
        )  # fmt: skip
    path = folder / VIEWS
    views.save(path)
    right = (views.logits.argmax(2) == teaching.labels).float().mean()
    print(f"the teacher is right for {100 * teaching.accuracy(teaching.held_x, teaching.held_y):.1f} % of the held-out images and "
          f"{100 * float(right):.1f} % of the views")  # fmt: skip
    print(f"outputs: {path}")
    return 0
