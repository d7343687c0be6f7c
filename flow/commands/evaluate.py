"""``gatefold evaluate``: accuracy of a trained network in its group modes."""

import argparse
import json
import math
from pathlib import Path

from flow.commands.build import add_file_options, pixels_of
from flow.commands.counts import MOST_WORKERS, whole
from flow.errors import GatefoldError

BATCH = 64
"""Images of a QONNX file's network at a time."""


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "evaluate",
        help="measure the accuracy of a trained network",
        description="Run a trained network on test images, with the very integers that the hardware computes, and print how "
        "many it gets right. A mode is a share of the weights that is used: full, 1/2, 1/4, 1/8 or 1/16. Of a network with "
        "gates, also what they skip: the share of their decisions, and the multiply-accumulates that are left; of one with early "
        "exits, what each of them gives.",
    )
    parser.add_argument(
        "model",
        help="network: resnet8, resnet20, resnet38 or resnet74, or with --checkpoint any other, FILE.py:CLASS too; or FILE.onnx, as "
        "for `gatefold build`",
    )
    add_file_options(parser)
    parser.add_argument("--mode", default="all", help="one mode, or all of them (default: %(default)s)")
    parser.add_argument(
        "--data",
        default="cifar10",
        help="data set, as for `gatefold train`, or an .npz file with x and y (or test_x and test_y); of a folder of pictures those "
        "that training leaves for testing (default: %(default)s)",
    )
    parser.add_argument(
        "--checkpoint", type=Path, default=None, metavar="FILE", help="weights to use (default: those shipped in models/)"
    )
    parser.add_argument(
        "--gates", choices=("on", "off"), default=None, help="switch the gates of a network that has some (default: on)"
    )
    halt = parser.add_mutually_exclusive_group()
    halt.add_argument(
        "--budget",
        type=float,
        default=None,
        metavar="SHARE",
        help="halt every image at the last exit that costs no more than this share of the multiply-accumulates of its mode, "
        "0.5 for example; at the first exit where none is so cheap",
    )
    halt.add_argument(
        "--margin",
        type=float,
        default=None,
        help="halt every image at the first exit whose largest logit leads the second by this much, 2 for example",
    )
    parser.add_argument("--count", type=int, default=None, metavar="N", help="only the first N images (default: all)")
    parser.add_argument("--threads", type=whole(1, MOST_WORKERS), default=None, help="processor threads (default: all cores)")
    parser.add_argument(
        "--json", action="store_true", help="print model, mode, accuracy and predictions as JSON (per mode for --mode all)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate; returns the exit code."""
    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from flow.build.source import is_file
    from flow.data import load_test
    from flow.models import NAMES, create
    from flow.nn.modes import group_vector, mode_names
    from flow.training.checkpoint import is_shipped, load_named, read_record
    from flow.training.evaluate import image_size, predict
    from flow.training.work import Work, exit_table

    if args.count is not None and args.count < 1:
        raise GatefoldError(f"--count {args.count} leaves no image; give at least 1.")
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    if is_file(args.model):
        return _file(args)
    if pixels_of(args):
        raise GatefoldError(f"--mean, --deviation and --divisor belong to a QONNX file; {args.model} brings its own.")
    if args.checkpoint is None and not (args.model in NAMES or is_shipped(args.model)):
        create(args.model)  # refuses an unknown name
        raise GatefoldError(f"No weights of {args.model} are shipped; give some with --checkpoint.")
    model = load_named(args.model, args.checkpoint)
    if args.mode != "all":
        group_vector(model, args.mode)  # an unknown mode is refused before the data set is read
    if args.gates is not None:
        _switch(model, args.gates == "on")
    halting = args.budget is not None or args.margin is not None
    for option, value in (("--budget", args.budget), ("--margin", args.margin)):
        if value is not None and not 0 <= value < math.inf:
            raise GatefoldError(f"{option} {value} is no limit; give a number from 0 on.")
    exits = getattr(model, "exits_on", False)
    if halting and not exits:
        raise GatefoldError(f"These weights of {model.name} have no exits to halt at; leave --budget and --margin out.")
    modes = mode_names(model) if args.mode == "all" else [args.mode]
    names = read_record(args.checkpoint or args.model).get("class_names")
    images, labels = load_test(args.data, model.num_classes, names, image_size(model))
    if model.image_size not in (None, images.shape[1]):
        raise GatefoldError(
            f"{model.name} takes images of {model.image_size}x{model.image_size} pixels and {args.data} has "
            f"{images.shape[1]}x{images.shape[1]}; choose another of them."
        )
    images, labels = images[: args.count], labels[: args.count]

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
            if exits:
                results[mode]["exits"] = exit_table(model, images, labels)
            if halting:
                results[mode]["halted"] = _halt(model, images, labels, args)
    if args.json:
        print(json.dumps(results if args.mode == "all" else results[args.mode]))
    else:
        for mode, result in results.items():
            print(f"{model.name} {mode}: {100 * result['accuracy']:.2f} % of {len(labels)} images{_skipped(result)}")
            for i, row in enumerate(result.get("exits", [])):
                print(f"  exit {i}: {_row(row)}")
            if halting:
                shares = ", ".join(f"{100 * share:.1f}" for share in result["halted"]["taken"])
                print(f"  halted: {_row(result['halted'])}; {shares} % of the images at the exits, the last one at last")
    return 0


def _file(args: argparse.Namespace) -> int:
    """Evaluate a network in a QONNX file by the integers of the layers that FINN makes of it."""
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from flow.build.source import network_name
    from flow.data import load_test
    from flow.finn import NetworkConfig, layer_graph, read_network
    from flow.graph.integer import run as run_integers

    for option in ("checkpoint", "gates", "budget", "margin"):
        if getattr(args, option) is not None:
            raise GatefoldError(f"{args.model} holds its weights, and neither gates nor exits; leave out --{option}.")
    if args.mode not in ("all", "full"):
        raise GatefoldError(f"There is no mode '{args.mode}'; {args.model} has full.")
    name, console = network_name(args.model), Console(stderr=True)
    with console.status(f"{name}: through FINN"):
        graph = layer_graph(read_network(args.model, NetworkConfig(pixels=pixels_of(args))))
    images, labels = load_test(args.data, graph.classes, shape=graph.picture_shape)
    images, labels = images[: args.count], labels[: args.count]
    order, classes = np.array(graph.class_order or range(graph.classes)), []
    for start in track(range(0, len(images), BATCH), name, console=console, transient=True):
        planes = images[start : start + BATCH].transpose(0, 3, 1, 2)
        classes += order[run_integers(graph, planes, "full").classes].tolist()
    accuracy = float((np.array(classes) == labels).mean())
    if args.json:
        result = {"model": name, "mode": "full", "accuracy": accuracy, "predictions": classes}
        print(json.dumps({"full": result} if args.mode == "all" else result))
    else:
        print(f"{name} full: {100 * accuracy:.2f} % of {len(labels)} images")
    return 0


def _switch(model, on: bool) -> None:
    if getattr(model, "gates", None) is None:
        raise GatefoldError(f"These weights of {model.name} have no gates; leave --gates out.")
    if not on and not model.ungated:
        raise GatefoldError(
            f"These weights of {model.name} were not trained for gates switched off; train with --set samples=3, or leave --gates out."
        )
    model.set_gates(on)


def _skipped(result: dict) -> str:
    if "macs" not in result:
        return ""
    share, own = 100 * result["macs"], 100 * result["overhead"]
    return f", skip ratio {result['skip_ratio']:.3f}, {share:.1f} % of the products, of which gates and exits take {own:.1f}"


def _row(row: dict) -> str:
    return f"{100 * row['accuracy']:.2f} %, {100 * row['macs']:.1f} % of the products"


def _halt(model, images, labels, args: argparse.Namespace) -> dict:
    """Accuracy and mean products of images that halt as asked, and the share of them per exit."""
    from flow.costs import Accounting
    from flow.training.exits import evaluate_exits, halt_by_budget, halt_by_margin

    accounting = Accounting(model, "macs")

    def halt(logits, costs):
        if args.margin is not None:
            return halt_by_margin(logits, args.margin)
        return halt_by_budget(costs, args.budget * accounting.full)

    accuracy, spent, taken = evaluate_exits(model, images, labels, accounting, halt)
    return {"accuracy": accuracy, "macs": spent / accounting.full, "taken": taken.tolist()}
