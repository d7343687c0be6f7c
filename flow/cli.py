"""The command line ``gatefold``."""

import argparse
import importlib
import importlib.util
import os
import sys

from flow.atomic import refusal
from flow.errors import GatefoldError
from flow.interrupts import interruptible

COMMANDS = ("train", "teach", "evaluate", "search", "profile", "engine", "build", "deliver", "simulate", "report")


def make_parser() -> argparse.ArgumentParser:
    """Parser with every subcommand that is installed."""
    parser = argparse.ArgumentParser(
        prog="gatefold",
        description="Train a neural network with run-time group modes, build it for an FPGA, simulate it and report on it.",
        epilog="`gatefold COMMAND --help` explains a command.",
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if importlib.util.find_spec(f"flow.commands.{name}") is not None:
            importlib.import_module(f"flow.commands.{name}").add_parser(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, or 2 with one sentence on stderr."""
    try:
        with interruptible():
            args = make_parser().parse_args(argv)
            args.words = sys.argv[1:] if argv is None else argv
            return args.run(args) or 0
    except GatefoldError as error:
        print(f"gatefold: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except MemoryError:
        print("gatefold: There is not enough memory for that; give fewer or smaller images, or a smaller batch.", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"gatefold: {refusal(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gatefold: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
