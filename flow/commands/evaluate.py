"""``gatefold evaluate``: accuracy of a trained network in its group modes."""

import argparse
import json
from pathlib import Path

from flow.errors import GatefoldError


def add_parser(subparsers) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure the accuracy of a trained network",
        description="Run a trained network on test images, with the very integers that the hardware computes, and print how "
        "many it gets right. A mode is a share of the weights that is used: full, 1/2, 1/4, 1/8 or 1/16. Of a network with "
        "gates, also what they skip: the share of their decisions, and the multiply-accumulates that are left.",
    )
    parser.add_argument("model", help="network: resnet8, resnet20, resnet38 or resnet74")
    parser.add_argument("--mode", default="all", help="one mode, or all of them (default: %(default)s)")
    parser.add_argument(
        "--data",
        default="cifar10",
        help="cifar10 (downloaded once), digits, or an .npz file with x and y (or test_x and test_y) (default: %(default)s)",
    )
    parser.add_argument(
        "--checkpoint", type=Path, default=None, metavar="FILE", help="weights to use (default: those shipped in models/)"
    )
    parser.add_argument(
        "--gates", choices=("on", "off"), default=None, help="switch the gates of a network that has some (default: on)"
    )
    parser.add_argument("--count", type=int, default=None, metavar="N", help="only the first N images (default: all)")
    parser.add_argument("--threads", type=int, default=None, help="processor threads (default: all cores)")
    parser.add_argument(
        "--json", action="store_true", help="print model, mode, accuracy and predictions as JSON (per mode for --mode all)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit code."""
    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from flow.data import load_test
    from flow.models import NAMES
    from flow.nn.modes import group_vector, mode_names
    from flow.training.checkpoint import load_named
    from flow.training.evaluate import predict
    from flow.training.work import Work

    if args.checkpoint is None and args.model not in NAMES:
        raise GatefoldError(f"There is no model '{args.model}'; choose one of {', '.join(NAMES)}.")
    if args.count is not None and args.count < 1:
        raise GatefoldError(f"--count {args.count} leaves no image; give at least 1.")
    if args.threads is not None:
        torch.set_num_threads(max(1, args.threads))
    model = load_named(args.model, args.checkpoint)
    if args.mode != "all":
        group_vector(model, args.mode)  # an unknown mode is refused before the data set is read
    if args.gates is not None:
        _switch(model, args.gates == "on")
    modes = mode_names(model) if args.mode == "all" else [args.mode]
    images, labels = load_test(args.data)
    images, labels = images[: args.count], labels[: args.count]
    if len(labels) == 0:
        raise GatefoldError(f"{args.data} holds no images; give a file with at least one.")

    results = {}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("images", total=len(modes) * len(images))
        for mode in modes:
            progress.update(task, description=f"mode {mode}")
            work = Work(model)
            classes = predict(model, images, mode, on_batch=lambda n: (work.add(n), progress.advance(task, n)))
            results[mode] = {
                "model": model.name,
                "mode": mode,
                "accuracy": float((classes == labels).mean()),
                "predictions": classes.tolist(),
                **work.record(),
            }
    if args.json:
        print(json.dumps(results if args.mode == "all" else results[args.mode]))
    else:
        for mode, result in results.items():
            skipped = f", skip ratio {result['skip_ratio']:.3f}, {100 * result['macs']:.1f} % of the products" if "macs" in result else ""
            print(f"{model.name} {mode}: {100 * result['accuracy']:.2f} % of {len(labels)} images{skipped}")
    return 0


def _switch(model, on: bool) -> None:
    if getattr(model, "gates", None) is None:
        raise GatefoldError(f"These weights of {model.name} have no gates; leave --gates out.")
    if not on and not model.ungated:
        raise GatefoldError(
            f"These weights of {model.name} were not trained for gates switched off; train with --set samples=3, or leave --gates out."
        )
    model.set_gates(on)
