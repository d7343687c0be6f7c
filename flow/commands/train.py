"""``gatefold train``: train a network for all its group modes."""

import argparse
import json
import math
import shlex
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from flow.commands.counts import MOST_WORKERS, whole, whole_list
from flow.commands.device import add_device, check_device
from flow.errors import GatefoldError

LARGEST_SEED = 2**32 - 1


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not KEY=VALUE")
    return key.replace("-", "_"), value


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "train",
        help="train a network for all its group modes, or with gates",
        description="Train a network so that one set of weights serves every group mode (full, 1/2 ... 1/16): first the "
        "full network in floating point, then all modes in floating point, then all modes with 4-bit weights and activations. "
        "Other methods train gates that skip layers and channels. A checkpoint is written after every epoch (on a CUDA device, where "
        "they are short, once a minute); --resume goes on from it. The trained weights and a record of what they reach end up in "
        "the output folder. torchrun shares the batches among several processes.",
    )
    parser.add_argument(
        "model", help="network, resnet8 for example (an unknown name lists them all), or one of your own: FILE.py:CLASS"
    )
    parser.add_argument(
        "--data",
        default="cifar10",
        help="cifar10, svhn or tiny-imagenet (downloaded once), imagenet (from its archives in the cache), digits (small, no "
        "download), an .npz file with train_x, train_y, test_x, test_y and perhaps class_names, or a folder with one subfolder of "
        "pictures per class, or with two such folders, train and test; pictures are scaled to cover the network's square and cut to "
        "their centre (default: %(default)s)",
    )
    parser.add_argument(
        "--classes",
        type=Path,
        default=None,
        metavar="FILE",
        help="text file with a class name in each line, instead of class_names",
    )
    parser.add_argument(
        "--mirror", choices=("on", "off"), default=None, help="exchange left and right of training images at random (default: on "
        "for cifar10, tiny-imagenet, imagenet and files of these names, else off)",
    )  # fmt: skip
    parser.add_argument(
        "--method",
        choices=("wenet", "ddi", "energynet", "acs", "pooled", "usnet"),
        default="wenet",
        help="group modes (wenet, usnet) or gates (ddi, energynet, acs, pooled); --full-epochs to --samples are options of wenet "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        type=_option,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an option of the method, such as target=0.7; an unknown one lists them all",
    )
    parser.add_argument(
        "--full-epochs",
        type=whole(0),
        default=None,
        help="epochs of the full network alone, in floating point on 24x24 crops (default: 8)",
    )
    parser.add_argument("--float-epochs", type=whole(0), default=None, help="epochs of all modes in floating point (default: 2)")
    parser.add_argument("--epochs", type=whole(0), default=None, help="epochs of all modes with 4-bit numbers (default: 6)")
    parser.add_argument(
        "--refine-epochs",
        type=whole(0),
        default=None,
        help="epochs for each mode, from 1/16 to full, in what no smaller mode uses (default: 0)",
    )
    parser.add_argument(
        "--samples",
        type=whole(1),
        default=None,
        help="networks trained in each step of all modes: the full one, the smallest, and this number less two at random; the "
        "time of a step grows with it (default: 20, as in the paper; usnet: 4, as in its own)",
    )
    parser.add_argument("--batch", type=whole(1), default=128, help="images in each step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=0.1, help="highest learning rate (default: %(default)s)")
    parser.add_argument(
        "--weight-decay", type=float, default=None, help="of the weights (default: the paper's 1e-4, for wenet and usnet 5e-4)"
    )
    parser.add_argument("--seed", type=whole(0, LARGEST_SEED), default=0, help="the same seed repeats a run (default: %(default)s)")
    parser.add_argument(
        "--seeds",
        type=whole_list(0, LARGEST_SEED),
        default=None,
        metavar="N,N",
        help="one run for each of these seeds, in OUTPUT/seed-N, resumed by itself",
    )
    parser.add_argument(
        "--jobs", type=whole(1, MOST_WORKERS), default=1, help="runs at a time, with --seeds (default: %(default)s)"
    )
    parser.add_argument(
        "--backend", choices=("processes", "ray"), default="processes", help="where runs of --seeds go (default: %(default)s)"
    )
    parser.add_argument(
        "--ray-address", default=None, metavar="HOST:PORT", help="Ray cluster for --backend ray (default: start one here)"
    )
    parser.add_argument("--steps", type=whole(1), default=None, help="end every epoch after so many steps (default: whole epochs)")
    parser.add_argument(
        "--held-out",
        type=whole(0),
        default=1000,
        metavar="N",
        help="leave N training images, at most a tenth, to later choices such as a search; the accuracy of every epoch "
        "is theirs (default: %(default)s)",
    )
    parser.add_argument(
        "--test-images", type=whole(1), default=None, metavar="N", help="evaluate on the first N test images (default: all)"
    )
    add_device(parser)
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="of the maps in training; bfloat16 takes half the time on a processor that has it, for "
        "networks of Conv and Residual layers (default: %(default)s)",
    )
    parser.add_argument(
        "--teacher", default=None, metavar="FILE",
        help="learn from these outputs of `gatefold teach` too, in the phases of all modes (default: from labels alone)",
    )  # fmt: skip
    parser.add_argument("--temperature", type=float, default=4.0, help="of the teacher's probabilities (default: %(default)s)")
    parser.add_argument(
        "--share",
        type=float,
        default=0.9,
        help="of the teacher in the loss, 0 to 1; the rest is the labels' (default: %(default)s)",
    )
    parser.add_argument("--threads", type=whole(1, MOST_WORKERS), default=None, help="processor threads (default: all cores)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    again.add_argument("--overwrite", action="store_true", help="replace the run that the output folder holds, which is lost")
    parser.add_argument(
        "--output", type=Path, default=None, metavar="DIR", help="output folder (default: runs/train/MODEL, or runs/train/CLASS)"
    )
    parser.add_argument("--json", action="store_true", help="print the record of the trained network as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train; returns the exit code."""
    import torch
    from rich.console import Console

    from flow.claim import claim, discard, refuse_to_replace
    from flow.data import load_training
    from flow.data.dataset import MIRRORED
    from flow.models import create, equipment, name_of
    from flow.paths import train_folder
    from flow.training import distributed
    from flow.training.evaluate import image_size
    from flow.training.trainer import CHECKPOINT, Settings, Trainer

    check_device(args.device)
    if args.weight_decay is not None and not 0 <= args.weight_decay < 1:
        raise GatefoldError(f"The weight decay {args.weight_decay} is not from 0 to 1; give --weight-decay 1e-4, for example.")
    if not 0 < args.lr < math.inf:
        raise GatefoldError(f"The learning rate {args.lr} is not a positive number; give --lr 0.1, for example.")
    if args.threads:
        torch.set_num_threads(args.threads)
    base, options = equipment(args.model)
    if options:
        method = args.model.rpartition("-")[2]
        raise GatefoldError(f"{args.model} is {base} with gates; train it as `gatefold train {base} --method {method}`.")
    size = image_size(create(args.model))  # refuses an unknown name before a folder is made for it
    name = name_of(args.model)
    method = _method(args)
    mirror = None if args.mirror is None else args.mirror == "on"
    if args.seeds and mirror is None:
        mirror = Path(args.data).stem in MIRRORED
    if not 0 < args.temperature < math.inf or not 0 <= args.share <= 1:
        raise GatefoldError("--temperature is a positive number and --share lies from 0 to 1; 4 and 0.9 are usual.")
    settings = Settings(
        args.model, args.batch, args.lr, args.weight_decay, args.seed, args.steps, args.held_out, mirror=mirror,
        precision=args.precision, teacher=args.teacher, temperature=args.temperature, share=args.share,
    )  # fmt: skip
    folder = args.output or train_folder(name)
    command = shlex.join(["gatefold", *sys.argv[1:]])
    if args.seeds and args.overwrite:
        raise GatefoldError("--seeds goes on with what its runs have left; delete their folders to start them anew.")
    kept = [CHECKPOINT, *(f"{weights}.safetensors" for weights in (name, f"{name}-slim"))]
    backbone = getattr(method, "backbone", None)
    if backbone is not None and Path(backbone).resolve() in [(folder / file).resolve() for file in kept]:
        raise GatefoldError(f"The run would write over {backbone}, from which it starts; give another --output.")
    first = distributed.is_first()
    # The other processes of torchrun end with the first one.
    with claim(folder) if first else nullcontext():
        if args.seeds:
            return _sweep(args, settings, method, folder, command)
        if first and not args.resume and not args.overwrite:
            refuse_to_replace(folder, kept)
        trainer = Trainer(settings, method, load_training(args.data, args.classes, size), folder, args.device, args.resume)
        console = Console(stderr=True, soft_wrap=True, quiet=not first)
        _tell_data(trainer, console)
        _tell_limits(trainer.model, console)
        if first and args.overwrite:  # now that nothing is left to refuse
            discard(folder, kept)
        return _train(args, trainer, folder, command, console)


def _train(args: argparse.Namespace, trainer, folder: Path, command: str, console) -> int:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from flow.nn.modes import mode_names
    from flow.training import distributed

    first = distributed.is_first()
    for name, (before, after) in trainer.changed.items():
        console.print(f"going on with {name} {after} instead of {before}", highlight=False)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
    )
    with Progress(*columns, console=console) as progress:
        while trainer.epoch < trainer.total_epochs:
            label = f"epoch {trainer.epoch + 1}/{trainer.total_epochs}"
            task = progress.add_task(label, total=trainer.steps_per_epoch, loss=0.0)
            record = trainer.run_epoch(lambda step, _, loss: progress.update(task, completed=step, loss=loss))
            progress.remove_task(task)
            reached = "  ".join(f"{mode} {100 * value:.1f} %" for mode, value in record["accuracy"].items())
            console.print(
                f"{label} ({record['phase']}): loss {record['loss'][0]:.3f}, {reached}, {record['seconds']} s so far",
                highlight=False,
            )
        images = min(args.test_images or len(trainer.dataset.test_x), len(trainer.dataset.test_x))
        task = progress.add_task("evaluation", total=len(mode_names(trainer.model)) * images, loss=0.0)
        record = trainer.finish(command, images, lambda count: progress.advance(task, count))
    distributed.leave()
    if not first:
        return 0
    if args.json:
        print(json.dumps(record, indent=2))
    else:
        reached = "  ".join(f"{mode} {100 * value:.2f} %" for mode, value in record["accuracy"].items())
        print(f"{trainer.model.name} on {record['test_images']} test images of {record['data']}: {reached}")
        print(f"weights: {folder / (trainer.model.name + '.safetensors')}")
    return 0


def _tell_data(trainer, console) -> None:
    """Say how a folder of pictures was divided, where that is a choice of ours."""
    data = trainer.dataset
    if data.division:
        numbers = f"{len(data.train_x)} images to train on, {len(trainer.held_x)} held out, {len(data.test_x)} to test with"
        console.print(f"{data.name}: {data.num_classes} classes, {numbers} ({data.division})", highlight=False)


def _tell_limits(model, console) -> None:
    """Refuse what cannot be learned, and say before the work what the engine will not take."""
    from flow.engine.plan import check_classes, plan
    from flow.export.from_model import layer_graph

    if model.num_classes < 2:
        raise GatefoldError("The data hold a single class, which leaves nothing to learn; give data of 2 classes or more.")
    if hasattr(model, "integer_layer"):
        try:
            check_classes(model.name, model.num_classes)
            if model.source and not model.gate_layers():
                plan(layer_graph(model))
        except GatefoldError as error:
            console.print(f"this network can be trained and evaluated, but not built: {error}", highlight=False)


def _method(args: argparse.Namespace):
    from flow.training.methods.registry import make

    flags = {"full_epochs": args.full_epochs, "float_epochs": args.float_epochs, "epochs": args.epochs}
    flags.update({"refine_epochs": args.refine_epochs, "samples": args.samples})
    options = {key: str(value) for key, value in flags.items() if value is not None} | dict(args.set)
    method = make(args.method, options)
    if not any(phase.epochs for phase in method.phases()):
        raise GatefoldError("There is nothing to train; give --full-epochs, --float-epochs or --epochs.")
    return method


def _sweep(args: argparse.Namespace, settings, method, folder: Path, command: str) -> int:
    from rich.console import Console

    from flow.explore.parallel import workers
    from flow.training.sweep import summary, sweep

    console = Console(stderr=True)
    where = partial(workers, args.jobs, args.backend, args.ray_address)
    run = (settings, method, args.data, folder.resolve(), command, args.device, args.test_images, args.classes)
    with console.status(f"{len(args.seeds)} runs, {args.jobs} at a time"):
        records = sweep(args.seeds, *run, workers=where)
    result = summary(records)
    if args.json:
        print(json.dumps(result, indent=2))
    else:
        for mode, value in result.items():
            print(f"{mode}: {100 * value['mean']:.2f} % (standard deviation {100 * value['deviation']:.2f}, {len(records)} runs)")
    return 0
