#!/usr/bin/env python3
"""The device under test of MLPerf Tiny: answers MLCommons' runner over a serial port or a pseudo-terminal (docs/guide/mlperf.md).

board/mlperf.py --port /dev/ttyPS0 --mode 1/4
"""

import argparse
import sys
from pathlib import Path
from typing import NoReturn, Optional, Sequence

ROOT = Path(__file__).resolve().parents[1]


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    from board.command import MAX_BATCH, Parser, add_setting_options

    parser = Parser(
        prog="board/mlperf.py",
        description="Answer the benchmark runner of MLPerf Tiny, for performance and accuracy, and with --energy for energy.",
    )
    add_setting_options(parser)
    parser.add_argument(
        "--port",
        required=True,
        metavar="DEVICE",
        help="serial port, e.g. /dev/ttyPS0; or pty, a new pseudo-terminal whose name is printed",
    )
    parser.add_argument("--baud", type=int, help="of the serial port (default: 115200, with --energy 9600)")
    parser.add_argument(
        "--energy",
        metavar="PIN",
        help="energy mode: time stamps are falling edges, and no messages, of gpio:NUMBER (Linux' number) or of the line rts:DEVICE of a second serial port",
    )
    parser.add_argument("--id", help="what the benchmark calls the network (default: ic01, for 32x32 pictures of 10 classes)")
    parser.add_argument("--vendor", help="name of the device (default: gatefold- and the board's name)")
    parser.add_argument(
        "--batch",
        type=int,
        default=1,
        metavar="N",
        help=f"inferences of a command in one start of the accelerator, up to {MAX_BATCH}; the benchmark's single stream is 1 (default: 1)",
    )
    return parser


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Runs until it is interrupted; returns the exit code: 130, or 2 with one sentence on stderr."""
    from board.command import guarded

    return guarded(lambda: _main(make_parser().parse_args(argv)))


def _main(args):
    from board.command import check_number, deploy_of, gates_of, need_modules, open_accelerator
    from board.errors import BoardError
    from board.exits import halting_of
    from board.harness import Monitor, Network
    from board.ports import open_pin, open_port

    need_modules("numpy", "pynq")
    check_number("batch", args.batch, float("inf"))
    deploy = deploy_of(args)
    args.mode = "full" if args.mode is None else args.mode
    gate, thresholds, forced = gates_of(args, deploy)
    modes = deploy.mode_sequence(args.mode, 1, gate)
    if "," in args.mode:
        raise BoardError(f"--mode is {args.mode}; the benchmark runs one network, so give one mode.")
    halting = halting_of(deploy.exits, modes, args.exit, args.budget, args.confidence)
    name = args.id or ("ic01" if deploy.picture.shape == (32, 32, 3) and len(deploy.classes) == 10 else None)
    if name is None:
        raise BoardError(
            f"MLPerf Tiny has no network of {deploy.model}'s pictures and classes; name with --id what the runner shall look for."
        )
    port = open_port(args.port, args.baud or (9600 if args.energy else 115200))
    pin = open_pin(args.energy) if args.energy else None
    accelerator, simulated = open_accelerator(deploy)
    vendor = args.vendor or f"gatefold-{deploy.board}{'-simulated' if simulated else ''}"
    network = Network(deploy, accelerator, simulated, modes[0], thresholds, forced, halting, args.batch, args.timeout)
    monitor = Monitor(port.write, network, vendor, name, pin)
    what = f"{name} ({deploy.model}, mode {args.mode}), {'simulated ' if simulated else ''}{deploy.board}"
    print(f"{port.name} answers as {what}, {'energy' if pin else 'performance and accuracy'}; Ctrl-C ends it", flush=True)
    monitor.begin()
    while True:
        monitor.receive(port.read())


def script() -> NoReturn:
    """The program as a process of its own."""
    from board.command import process

    process(main)


if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # the package `board`, not its folder
    script()
