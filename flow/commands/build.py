"""``gatefold build``: from a trained network to a verified accelerator."""

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from flow.commands.engine import add_target_options, target_of
from flow.errors import GatefoldError

if TYPE_CHECKING:
    from flow.finn.pixels import Pixels


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    """Register the subcommand."""
    parser = subparsers.add_parser(
        "build",
        help="build the accelerator of a network and check it in simulation",
        description="Build the accelerator of a network: take its QONNX file through FINN, lay out memories and program, compile the "
        "RTL for simulation, check it in every mode against the integer model, and write build/MODEL/deploy for the board "
        "program. A second call only does what has changed.",
    )
    parser.add_argument(
        "model",
        help="network: resnet8, resnet20, resnet38 or resnet74, perhaps with -w32 or -unshuffled behind it; FILE.py:CLASS, a network of "
        "your own with group modes (built in build/CLASS); or FILE.onnx, one as Brevitas' export_qonnx wrote it (built in build/FILE)",
    )
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--checkpoint", type=Path, metavar="FILE", help="trained weights (default: the shipped ones)")
    weights.add_argument("--untrained", action="store_true", help="random weights, to look at hardware before training")
    add_file_options(parser)
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="of FILE.onnx: text file with the names of its classes, one a line"
    )
    parser.add_argument(
        "--samples", type=Path, metavar="FILE", help="of FILE.onnx: .npz with x, uint8 [N, height, width, colours], sample images for "
        "the deploy folder (default: random ones)",
    )  # fmt: skip
    parser.add_argument("--modes", metavar="LIST", help="modes to build, separated by commas, e.g. full,1/4 (default: all)")
    add_target_options(parser)
    parser.add_argument(
        "--clock", type=float, metavar="MHZ", help="clock of the accelerator, refused where the timing estimate does not carry it"
    )
    parser.add_argument(
        "--clock-anyway", action="store_true", help="take --clock without the estimate, which needs minutes the first time"
    )
    parser.add_argument(
        "--verify",
        choices=("plain", "mapped"),
        default="plain",
        help="which RTL is simulated: plain (default), or mapped, in addition the lanes as synthesis takes them, in LUTs and DSP "
        "blocks, from random power-on values (some minutes)",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="build folder (default: build/MODEL)")
    parser.add_argument("--json", action="store_true", help="print what was built as JSON")
    parser.set_defaults(run=run)


def add_file_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what a QONNX file cannot: what the network is given for a pixel."""
    for name, what in (("mean", "mean"), ("deviation", "standard deviation")):
        parser.add_argument(
            f"--{name}", type=_numbers, metavar="LIST", help=f"of FILE.onnx: {what} that training normalised its pixels with, before the "
            "network; one number, or one per colour separated by commas",
        )  # fmt: skip
    parser.add_argument(
        "--divisor", type=float, metavar="D", help="of FILE.onnx: what training divided pixels of 0 to 255 by (default: 255)"
    )


def pixels_of(args: argparse.Namespace) -> "Pixels | None":
    """Pixels that the options of `add_file_options` describe, None where there are none.

    Raises:
        GatefoldError: a number that cannot be.
    """
    given = {name: getattr(args, name) for name in ("mean", "deviation", "divisor") if getattr(args, name) is not None}
    for name, value in given.items():
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(map(math.isfinite, numbers)) or name != "mean" and not all(number > 0 for number in numbers):
            raise GatefoldError(
                f"--{name} cannot be {','.join(f'{number:g}' for number in numbers)}; give {'' if name == 'mean' else 'positive '}numbers."
            )
    if not given:
        return None
    from flow.finn.pixels import Pixels  # FINN takes seconds to load

    return Pixels(**given)


def _numbers(text):
    return tuple(float(part) for part in text.split(","))


def run(args: argparse.Namespace) -> int:
    """Build; returns the exit code."""
    import torch
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from flow.build.build import MAPPED_STEPS, STEPS, Build, Request
    from flow.build.source import check_origin, network_name
    from flow.paths import build_root
    from flow.synth.timing import check_clock, known_estimate

    torch.set_num_threads(1)
    board, folding, engine = target_of(args)
    request = Request(
        model=args.model,
        board=board,
        folding=folding,
        engine=engine,
        checkpoint=args.checkpoint,
        untrained=args.untrained,
        modes=None if args.modes is None else args.modes.split(","),
        mapped=args.verify == "mapped",
        pixels=pixels_of(args),
        classes=args.classes,
        samples=args.samples,
    )
    if args.clock_anyway and args.clock is None:
        raise GatefoldError("--clock-anyway needs a clock; give --clock MHZ too, or leave it out.")
    if args.clock and not args.clock_anyway:
        request.accept = lambda config: check_clock(config.parameters(), board.clock_mhz)
    name = network_name(args.model)
    folder = args.output or build_root() / name
    if folder.exists() and not folder.is_dir():
        raise GatefoldError(f"{folder} is a file; give another folder with --output.")
    if args.output is None:
        check_origin(folder, args.model)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{name}: reading the network", total=STEPS + MAPPED_STEPS * request.mapped)

        def report(title):
            if title is None:
                progress.advance(task)
            else:
                progress.update(task, description=f"{name}: {title}")

        try:
            contents = Build(request, folder, report).run()
        except GatefoldError:
            progress.update(task, visible=False)  # the sentence is all that there is to read
            raise
        progress.update(task, description=f"{name}: built")

    timing = known_estimate(contents["parameters"])
    summary = _summary(contents, folder, timing)
    if args.json:
        print(json.dumps(summary, indent=2))
        return 0
    origin = "" if contents["trained"] else ", untrained"
    simulated = "RTL and its mapped lanes" if request.mapped else "RTL"
    print(
        f"{name} for {board.name} ({board.part}) at {board.clock_mhz:g} MHz{origin}, {simulated} equal to the integer model in every mode"
    )
    for name, mode in summary["modes"].items():
        reached = "" if mode["accuracy"] is None else f"  accuracy {100 * mode['accuracy']:.2f} %"
        print(
            f"  {name:<9} {mode['cycles_rtl']:>8} cycles  {mode['frames_per_s']:>8.0f} frames/s  "
            f"{mode['latency_ms']:.3f} ms{reached}"
        )
    print(f"deploy folder: {summary['deploy']}")
    print(_clock(timing, board.clock_mhz))
    return 0


def _clock(timing, clock_mhz):
    """What is known of the clock that all rates are at: the estimate takes minutes, so a build only looks for one that is kept."""
    from flow.synth.timing import carried

    if timing is None:
        return (
            f"{clock_mhz:g} MHz is not checked against the timing of this engine; `gatefold report` with --timing estimates what it carries "
            "(minutes the first time)"
        )
    return carried(timing, clock_mhz)


def _summary(contents, folder, timing):
    clock = 1e6 * contents["clock_mhz"]
    return {
        "model": contents["model"],
        "board": contents["board"],
        "part": contents["part"],
        "clock_mhz": contents["clock_mhz"],
        "estimated_mhz": timing.clock_mhz if timing else None,
        "trained": contents["trained"],
        "engine_hash": contents["engine_hash"],
        "parameters": contents["parameters"],
        "modes": {
            mode["name"]: {
                "cycles_model": mode["cycles_model"],
                "cycles_rtl": mode["cycles_rtl"],
                "frames_per_s": clock / mode["cycles_rtl"],
                "latency_ms": 1e3 * mode["cycles_rtl"] / clock,
                "accuracy": mode["accuracy"],
            }
            for mode in contents["modes"]
        },
        "deploy": str(folder / "deploy"),
    }
