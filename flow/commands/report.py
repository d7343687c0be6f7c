"""``gatefold report``: what the hardware takes of the part, and how fast it is."""

import argparse
import json
from pathlib import Path

from flow.commands.build import add_file_options, pixels_of
from flow.commands.engine import add_target_options, target_of
from flow.errors import GatefoldError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "report",
        help="resources, cycles and frames per second of a network's accelerator",
        description="Show what the accelerator of a network takes of a board's part (LUT, FF, DSP, BRAM, estimated by yosys "
        "before place and route), how many clock cycles each layer takes in each mode, and the frames per second that "
        "follow. Where it does not fit, say what is missing and which parameter to lower; that is a result and no error: the "
        "exit code is 0, and `fits` in the JSON is false. Needs no trained weights; what `gatefold build` has simulated is "
        "shown beside the formula, a dash (null in the JSON) where nothing is built yet. The first synthesis of a design "
        "takes minutes, its result is kept.",
    )
    parser.add_argument(
        "model", nargs="?", help="network: resnet8, resnet20, resnet38 or resnet74, perhaps with -w32 or -unshuffled behind it; or FILE.py:CLASS or "
        "FILE.onnx, as for `gatefold build`; with --energy it may be left out",
    )  # fmt: skip
    add_file_options(parser)
    parser.add_argument("--modes", metavar="LIST", help="modes to hold, separated by commas (default: all)")
    add_target_options(parser)
    parser.add_argument("--no-synthesis", action="store_true", help="leave out the resources: cycles at once")
    parser.add_argument(
        "--timing", action="store_true",
        help="also estimate the clock before placing: the slowest path of every pair of modules, and what limits the clock",
    )  # fmt: skip
    parser.add_argument(
        "--clock", type=float, metavar="MHZ", help="clock of the accelerator (default: that of a build for the board)"
    )
    parser.add_argument(
        "--pictures", type=Path, metavar="DIR",
        help="also draw, into this folder: accuracy against multiply-accumulates, cycles and modelled energy; of a network with "
        "gates, skip ratios per layer, the images of which most and least is skipped, and feature maps with skipping on and off",
    )  # fmt: skip
    parser.add_argument(
        "--html", type=Path, metavar="FILE",
        help="also write one self-contained page: design, resources, modes, cycles per layer, fronts, timing; with --data also what is "
        "measured on test images, skip heat maps among it, and with --energy the measurements of a log",
    )  # fmt: skip
    parser.add_argument(
        "--energy", type=Path, metavar="LOG",
        help="tables of accuracy against energy from a log of board/run.py --measure, measured and modelled apart: without a network of all in "
        "the log and nothing else, with one of its alone",
    )  # fmt: skip
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="with --energy: also write energy.md, energy.csv and charts into this folder"
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="trained weights, whose classes and modes are reported and drawn (default: those "
        "that are built in build/MODEL, else the shipped ones)",
    )  # fmt: skip
    weights.add_argument("--classes", type=int, metavar="N", help="report on a network of N classes, before any weights")
    parser.add_argument(
        "--data", help="data set of the pictures and of the page, as for `gatefold evaluate` (default: cifar10 for pictures)"
    )
    parser.add_argument("--images", type=int, default=1000, metavar="N", help="test images for them (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Report; returns the exit code."""
    from rich.console import Console

    from flow.build.source import is_file
    from flow.measurements.tables import markdown, records
    from flow.synth import report

    energy = _energy(args)
    if args.model is None:
        files = _write_energy(args, energy)
        print(json.dumps(records(energy), indent=2) if args.json else markdown(energy), end="\n" if args.json else "")
        for file in files if not args.json else ():
            print(file)
        return 0
    board, folding, engine = target_of(args)
    modes = None if args.modes is None else args.modes.split(",")
    design = report.Design.of(args.model, board, folding, modes, args.checkpoint, args.classes, pixels_of(args), engine)
    # Before the synthesis: a wrong file shows at once.
    measured = args.pictures or args.html and args.data
    if measured and is_file(args.model):
        raise GatefoldError(f"{args.model} is a network without weights of ours; leave out --pictures and --data.")
    pictures, settings, skips = _measure(args) if measured else ([], [], None)
    estimate = None
    if not args.no_synthesis:
        from flow.synth.resources import estimate as synthesise

        with Console(stderr=True).status(f"{args.model}: yosys estimates the resources (minutes the first time)"):
            estimate = synthesise(design.config.parameters())
    timing = None
    if args.timing:
        from flow.synth.timing import estimate as time

        with Console(stderr=True).status(f"{args.model}: yosys maps the netlist for the timing (minutes the first time)"):
            timing = time(design.config.parameters())
    contents = report.contents(design, estimate, timing)
    if pictures:
        contents["pictures"] = [str(file) for file in pictures]
    if energy:
        contents["energy"] = records(energy)
    if args.html:
        from flow.page import page

        page.write(args.html, contents, ["gatefold", *args.words], settings, skips, args.images, energy)
    files = [*pictures, *_write_energy(args, energy)]
    if args.json:
        print(json.dumps(contents, indent=2))
    else:
        report.show(contents, Console())
        if energy:
            print(markdown(energy), end="")
        for file in files:
            print(file)
    return 0


def _energy(args):
    """The tables of the log, of the model alone if there is one; none without a log."""
    from flow.build.source import network_name

    if args.energy is None:
        if args.model is None:
            raise GatefoldError("Name a network to report on, or a log of measurements with --energy.")
        if args.output:
            raise GatefoldError("--output takes the tables of a log; name it with --energy.")
        return []
    if args.model is None and (args.html or args.pictures):
        raise GatefoldError("--html and --pictures show a network; name it before --energy.")
    from flow.measurements.log import read_results
    from flow.measurements.tables import tables

    results = read_results(args.energy)
    name = None if args.model is None else network_name(args.model)
    own = [result for result in results if name in (None, result.network)]
    if not own:
        known = ", ".join(dict.fromkeys(result.network for result in results))
        raise GatefoldError(f"{args.energy} holds no result of {name}, but of {known}; name one of them.")
    return tables(own)


def _write_energy(args, energy):
    """The files of --output."""
    from flow.measurements import plots

    return plots.write(energy, args.output) if args.output else []


def _measure(args):
    """(files, settings, skips) on test images: pictures drawn if they are asked for, Setting of each mode, Skips or None."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from flow.data import load_test
    from flow.nn.modes import mode_names
    from flow.pictures.album import album
    from flow.pictures.measure import gate_settings, settings, skips
    from flow.training.checkpoint import load_named, read_record
    from flow.training.evaluate import image_size

    if args.images < 1:
        raise GatefoldError(f"--images {args.images} leaves no image; give at least 1.")
    model = load_named(args.model, args.checkpoint)
    names = read_record(args.checkpoint or args.model).get("class_names")
    images, labels = load_test(args.data or "cifar10", model.num_classes, names, image_size(model))
    images, labels = images[: args.images], labels[: args.images]
    passes = len(mode_names(model)) * len(gate_settings(model))
    columns = (TextColumn("measuring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("measuring", total=passes * len(images))
        found = settings(model, images, labels, lambda count: progress.advance(task, count))
    skipped = skips(model, images, labels) if getattr(model, "gates_on", False) else None
    files = album(model, images, found, skipped, args.pictures) if args.pictures else []
    return files, found, skipped
