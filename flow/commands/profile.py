"""``gatefold profile``: time of every group mode on a processor or a GPU."""

import argparse
import json
from pathlib import Path

from flow.commands.counts import MOST_WORKERS, whole, whole_list
from flow.errors import GatefoldError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "profile",
        help="time per group mode on a CPU or GPU",
        description="Measure how long a network takes in each group mode on a processor or a GPU, in floating point with real "
        "grouped convolutions: the median of several runs, for each batch size.",
    )
    parser.add_argument("model", help="name of a network, or FILE.py:CLASS; for the uniform modes its weights do not matter")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to run (default: %(default)s)")
    parser.add_argument("--batch", type=whole_list(1), default=[1], metavar="LIST", help="batch sizes, e.g. 1,16,128 (default: 1)")
    parser.add_argument("--repeats", type=int, default=15, help="runs to take the median of (default: %(default)s)")
    parser.add_argument("--threads", type=whole(1, MOST_WORKERS), default=None, help="processor threads (default: all cores)")
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="weights with searched modes, to time those too (default: none)"
    )
    parser.add_argument("--json", action="store_true", help="print the times as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure; returns the exit code."""
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from flow.explore.profile import profile
    from flow.models import create
    from flow.nn.modes import mode_names
    from flow.training.checkpoint import load_named

    if args.device == "cuda" and not torch.cuda.is_available():
        raise GatefoldError("There is no CUDA device here; profile with --device cpu.")
    if args.repeats < 1:
        raise GatefoldError(f"--repeats {args.repeats} measures nothing; give at least 1.")
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    model = load_named(args.model, args.checkpoint) if args.checkpoint else create(args.model)
    if getattr(model, "gates", None) is not None:
        raise GatefoldError(f"A processor cannot skip what the gates in {args.checkpoint} turn off; give weights without gates.")
    modes = mode_names(model)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("modes", total=len(modes) * len(args.batch))
        seconds = profile(model, modes, args.batch, args.device, args.repeats, lambda: progress.advance(task))
    threads = torch.get_num_threads()
    name = torch.cuda.get_device_name() if args.device == "cuda" else f"cpu, {threads} thread{'s' if threads > 1 else ''}"
    if args.json:
        print(json.dumps({"model": model.name, "device": name, "repeats": args.repeats, "seconds": seconds}, indent=2))
        return 0
    print(f"{model.name} on {name}: milliseconds per batch")
    print("  " + f"{'mode':<10}" + "".join(f"{'batch ' + str(batch):>12}" for batch in args.batch))
    for mode, times in seconds.items():
        print("  " + f"{mode:<10}" + "".join(f"{1e3 * times[str(batch)]:>12.3f}" for batch in args.batch))
    return 0
