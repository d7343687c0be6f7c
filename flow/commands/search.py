"""``gatefold search``: find the best group count of every layer."""

import argparse
import json
import os
from contextlib import nullcontext
from pathlib import Path

from flow.commands.counts import MOST_WORKERS, whole
from flow.errors import GatefoldError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "search",
        help="find modes with a group count per layer that beat the uniform ones",
        description="Explore the group counts of a trained network's layers (Algorithm 2 of WeNet): from the full network on, "
        "each step gives one layer more groups, the one that makes time / accuracy smallest. Accuracy is measured on the last "
        "images of the training set, time is a model or a measurement. The best of all networks seen become modes pareto-1 "
        "(slowest), pareto-2 ... of the weights in the output folder, which `gatefold build --checkpoint` puts on the hardware. "
        "Every accuracy is kept, so that --resume goes on where a search ended.",
    )
    parser.add_argument("model", help="network: resnet8, resnet20, resnet38 or resnet74, or with --checkpoint FILE.py:CLASS")
    parser.add_argument(
        "--by",
        default="cycles",
        metavar="TIME",
        help="cycles (of the board's engine), macs, energy, cpu or cuda (measured here), or a file of measured times: the "
        "modes.json of a deploy folder, or {layer: {group count: time}} (default: %(default)s)",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.0, help="end at this accuracy, 0 to 1 (default: at the most groups everywhere)"
    )
    parser.add_argument("--data", default="cifar10", help="data set, as for `gatefold train` (default: %(default)s)")
    parser.add_argument(
        "--images", type=int, default=1000, metavar="N", help="held-out training images to search on (default: %(default)s)"
    )
    parser.add_argument(
        "--calibration", type=int, default=1024, metavar="N",
        help="training images, moved and mirrored as in training, that give every network its batch-normalisation statistics "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--points", type=int, default=8, help="modes to take from the front (default: %(default)s)")
    parser.add_argument(
        "--test-images", type=int, default=None, metavar="N",
        help="at last evaluate the modes on the first N test images; 0 leaves that out (default: all)",
    )  # fmt: skip
    parser.add_argument("--batch", type=int, default=1, help="images per inference for cpu and cuda (default: %(default)s)")
    parser.add_argument("--board", default="pynq-z2", help="pynq-z1, pynq-z2 or zedboard, for cycles (default: %(default)s)")
    parser.add_argument("--checkpoint", type=Path, metavar="FILE", help="trained weights (default: the shipped ones)")
    parser.add_argument("--jobs", type=whole(1, MOST_WORKERS), default=None, help="parallel evaluations (default: one per core)")
    parser.add_argument(
        "--backend",
        choices=("threads", "processes", "ray"),
        default="threads",
        help="where evaluations go: threads or processes of this machine, or Ray (default: %(default)s)",
    )
    parser.add_argument(
        "--ray-address", default=None, metavar="HOST:PORT", help="Ray cluster for --backend ray (default: start one here)"
    )
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on with an interrupted search in the output folder")
    again.add_argument("--overwrite", action="store_true", help="replace the search that the output folder holds, which is lost")
    parser.add_argument("--output", type=Path, metavar="DIR", help="output folder (default: runs/search/MODEL)")
    parser.add_argument("--json", action="store_true", help="print the modes and the uniform modes as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Search; returns the exit code."""
    from flow.claim import claim, refuse_to_replace
    from flow.explore.search import PROGRESS
    from flow.models import name_of
    from flow.paths import search_folder
    from flow.training.checkpoint import load_named

    if min(args.points, args.batch, args.images, args.calibration) < 1:
        raise GatefoldError("--points, --batch, --images and --calibration count things; give at least 1.")
    if args.test_images is not None and args.test_images < 0:
        raise GatefoldError(f"There are no {args.test_images} test images; give --test-images 0 to leave them out.")
    if not 0 <= args.threshold <= 1:
        raise GatefoldError(f"--threshold {args.threshold} is no accuracy; give a number from 0 to 1.")
    source = args.checkpoint or args.model
    model = load_named(args.model, args.checkpoint)
    if getattr(model, "gates", None) is not None or getattr(model, "exits", None):
        raise GatefoldError(f"{source} has gates or exits, which the search does not know; search with weights without them.")
    if model.searched:
        raise GatefoldError(f"{source} holds the modes of a search already; search with the weights from training.")
    folder = args.output or search_folder(name_of(args.model))
    if args.checkpoint and (folder / _kept(model)[-1]).resolve() == args.checkpoint.resolve():
        raise GatefoldError(f"The search would write its modes over {source}; give another --output.")
    with claim(folder):
        if not args.overwrite and not (args.resume and (folder / PROGRESS).exists()):
            refuse_to_replace(folder, _kept(model))
        return _search(args, model, source, folder)


def _kept(model) -> list[str]:
    """The files that a search leaves in its folder, its weights last."""
    from flow.explore.search import PROGRESS, RESULT

    return [PROGRESS, RESULT, f"{model.name}.safetensors"]


def _search(args: argparse.Namespace, model, source: str | Path, folder: Path) -> int:
    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from flow.claim import discard
    from flow.data import load
    from flow.data.held_out import draw, split
    from flow.engine.boards import find_board
    from flow.engine.select import choose
    from flow.explore.algorithm import steps_at_most
    from flow.explore.parallel import workers
    from flow.explore.search import RESULT, Search, write_result
    from flow.explore.times import time_table
    from flow.nn.modes import MODES
    from flow.training.augment import as_in_training
    from flow.training.checkpoint import read_record, save_model
    from flow.training.evaluate import accuracy, image_size
    from flow.training.trainer import with_mirror

    dataset = load(args.data, size=image_size(model))
    if dataset.num_classes > model.num_classes:
        raise GatefoldError(
            f"{source} tells {model.num_classes} classes apart and {args.data} has {dataset.num_classes}; choose another of them."
        )
    rest, images, labels = split(dataset, args.images)
    trained = read_record(source)
    mirror = with_mirror(trained["settings"], trained["data"])["mirror"] if "settings" in trained else dataset.mirrored
    calibration = as_in_training(draw(rest.train_x, args.calibration), mirror)
    torch.set_num_threads(1)
    table = time_table(model, args.by, choose(find_board(args.board)), args.batch)
    jobs = args.jobs or os.cpu_count() or 1
    search = Search(model, images, labels, calibration, table, folder, jobs)
    known = search.resume() if args.resume else 0
    console = Console(stderr=True, soft_wrap=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("accuracy {task.fields[accuracy]:.1f} %"),
    )
    parallel = nullcontext() if args.backend == "threads" else workers(jobs, args.backend, args.ray_address)
    with parallel, Progress(*columns, console=console) as progress:
        if args.overwrite:  # now that nothing is left to refuse
            discard(folder, _kept(model))
        if trained.get("held_out", 0) < args.images:
            console.print(
                f"the weights were trained on some of the {args.images} held-out images: their accuracy will look better than it is",
                highlight=False,
            )
        if args.resume:
            console.print(f"{known} networks are known already", highlight=False)
        task = progress.add_task("steps", total=steps_at_most(model.layers()), accuracy=0.0)
        result = search.run(
            args.threshold,
            args.points,
            lambda step, point: progress.update(task, completed=step, accuracy=100 * point.accuracy),
        )
        search.add_modes(result)
        test = {}
        count = len(dataset.test_x[: args.test_images])
        if count:
            progress.remove_task(task)
            task = progress.add_task("test images", total=count * len(result.modes), accuracy=0.0)
            for name in result.modes:
                x, y = dataset.test_x[:count], dataset.test_y[:count]
                test[name] = accuracy(model, x, y, name, lambda n: progress.advance(task, n))
                progress.update(task, accuracy=100 * test[name])
    record = {
        "by": args.by,
        "threshold": args.threshold,
        "data": dataset.name,
        "held_out_images": args.images,
        "calibration_images": len(calibration),
        "test_accuracy": test,
        "test_images": count,
    }
    write_result(folder / RESULT, model.name, result, record)
    reached = {mode: value for mode, value in trained.get("accuracy", {}).items() if mode in MODES}
    model.set_mode("full")
    weights = folder / _kept(model)[-1]
    save_model(model, weights, {**trained, "searched": model.searched, "search": record, "accuracy": reached | test})
    _show(args, model.name, result, test, weights)
    return 0


def _show(args, name, result, test, path) -> None:
    if args.json:
        keys = ("time", "accuracy", "groups")
        found = {name: {key: getattr(point, key) for key in keys} for name, point in result.modes.items()}
        for name, value in test.items():
            found[name]["test_accuracy"] = value
        uniform = {name: {key: getattr(point, key) for key in keys} for name, point in result.uniform.items()}
        print(json.dumps({"modes": found, "uniform": uniform, "dominated": result.dominated}, indent=2))
        return
    print(f"{name}: {len(result.points)} networks seen, {len(result.front)} of them on the front")
    for name, point in result.modes.items():
        tested = f"  test {100 * test[name]:.2f} %" if name in test else ""
        print(f"  {name:<9} {args.by} {point.time:<12.6g} held out {100 * point.accuracy:.2f} %{tested}")
    for name, point in result.uniform.items():
        beaten = "beaten or met by the front" if result.dominated[name] else "not beaten"
        print(f"  {name:<9} {args.by} {point.time:<12.6g} held out {100 * point.accuracy:.2f} %  {beaten}")
    print(f"weights with these modes: {path}")
