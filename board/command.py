"""What every way to use the board program does first: it looks at the options, opens the deploy folder and loads the accelerator.

Neither numpy nor pynq is needed to import this.
"""

import argparse
import importlib.util
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Callable, NoReturn, Optional, Sequence

from board.errors import BoardError

if TYPE_CHECKING:
    from board.deploy import Deploy

ROOT = Path(__file__).resolve().parents[1]
NETWORKS = Path(__file__).resolve().parent / "networks"
MAX_BATCH = 4096  # frames: 13 MB of the board's contiguous memory


class Parser(argparse.ArgumentParser):
    """One that tells what is wrong in a sentence."""

    def error(self, message: str) -> NoReturn:
        """Ends the program."""
        self.exit(2, f"gatefold: {message}; {self.prog} --help explains the options.\n")


def add_setting_options(parser: argparse.ArgumentParser) -> None:
    """The options that say which build runs, and how its frames do."""
    parser.add_argument(
        "--model",
        help="which build to run, e.g. resnet8 (default: the one built last); with board/run.py several of one engine, e.g. resnet8,resnet20: "
        "all are loaded at once, and frames are theirs in turn",
    )
    parser.add_argument(
        "--mode",
        help="mode of the frames: full, 1/2 ... 1/16, or a list that changes every frame, e.g. full,1/16 (default: full; with --measure: all)",
    )
    parser.add_argument(
        "--gate",
        metavar="on|off|force:FILE",
        default="on",
        help="whether the network's gates decide, do not run, or do what a JSON file says: {gate: list of 0 and 1, or one for all} (default: on)",
    )
    for name, what in (("gate", "channel"), ("layer", "layer")):
        parser.add_argument(
            f"--{name}-threshold",
            type=int,
            default=0,
            metavar="N",
            help=f"sum from which a {what} gate says yes; higher skips more (default: 0, probability one half)",
        )
    exits = parser.add_mutually_exclusive_group()
    exits.add_argument(
        "--exit",
        type=int,
        metavar="N",
        help="stop every frame at the early exit N, from 0 on (default: at the network's own classifier)",
    )
    exits.add_argument(
        "--budget",
        type=int,
        metavar="CYCLES",
        help="stop every frame at the last exit that is sure to end within so many clock cycles",
    )
    exits.add_argument(
        "--confidence",
        metavar="T",
        help="stop a frame at the first exit whose best logit leads the second by at least T, or by T of a list with one for each exit",
    )
    parser.add_argument(
        "--board-dir",
        metavar="DIR",
        help="deploy folder to use (default: MODEL/deploy in build/, or in the folder that GATEFOLD_BUILD names)",
    )
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds without a result before giving up (default: 10)"
    )


def need_modules(*modules: str) -> None:
    """These can be imported; BoardError if not."""
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise BoardError(
                f"{module} is missing in this Python; type `make run`, which makes an environment with it, and then use "
                f".venv-board/bin/python board/run.py (on a PYNQ board: python3 board/run.py in a login shell of root, sudo -i)."
            )


def guarded(program: Callable[[], int]) -> int:
    """What `program` returns, or the exit code of what it raises: 2 with one sentence on stderr, 130 after an interrupt."""
    try:
        return program()
    except BoardError as error:
        return say(error, 2)
    except KeyboardInterrupt:
        return say("interrupted", 130)
    except OSError as error:
        return say(
            f"{error.filename or 'the system'} refuses ({error.strerror or error}); check the path and your rights to it (on a board: sudo -i).",
            2,
        )
    except ImportError as error:
        return say(
            f"this Python is not complete ({error}); install what is missing, or type `make run` and use .venv-board/bin/python.", 2
        )
    except MemoryError:
        return say("the memory is used up; run fewer frames (--count).", 2)


def process(program: Callable[[], int]) -> NoReturn:
    """A program as a process of its own: SIGTERM ends it so that the driver can stop the accelerator."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(program())


def say(message: object, code: int) -> int:
    """One line on stderr, whatever the names in it hold; returns the exit code."""
    line = "".join(character if character.isprintable() else repr(character)[1:-1] for character in str(message))
    print(f"gatefold: {line}", file=sys.stderr)
    return code


def check_number(name: str, value: float, most: float) -> None:
    """The value of an option is more than 0 and not more than `most`; BoardError if not."""
    if not value > 0:
        raise BoardError(f"--{name} is {value}; give more than 0.")
    if value > most:
        raise BoardError(
            f"--{name} is {value}; the results of all frames are kept in memory, so give at most {most}, several times."
        )


def check_running(args: argparse.Namespace) -> None:
    """The options about running batches are possible; BoardError if not."""
    check_number("timeout", args.timeout, float("inf"))
    if not 0 <= args.batch <= MAX_BATCH:
        raise BoardError(f"--batch is {args.batch}; give up to {MAX_BATCH}, or 0 for as many as possible.")


def deploy_of(args: argparse.Namespace) -> "Deploy":
    """The deploy folder that the command line names, after a look at its other options."""
    from board.deploy import open_deploy

    check_running(args)
    deploy = open_deploy(args.board_dir) if args.board_dir else find_build(args.model)
    if args.model not in (None, deploy.model):
        raise BoardError(f"{deploy.folder} holds {deploy.model}, not {args.model}; name its model or another --board-dir.")
    chosen = next((name for name in ("exit", "budget", "confidence") if getattr(args, name) is not None), None)
    if chosen and not deploy.exits:
        raise BoardError(f"{deploy.model} has no early exits; leave out --{chosen}.")
    return deploy


def gates_of(args: argparse.Namespace, deploy: "Deploy") -> tuple:
    """What the command line says of gates: "on", "off" or "force", (channel, layer) threshold, and forced decisions or None."""
    from board.gates import read_forced

    gate, _, file = args.gate.partition(":")
    if gate not in ("on", "off", "force") or bool(file) != (gate == "force"):
        raise BoardError(f"--gate is {args.gate!r:.60}; give on, off or force:FILE.")
    thresholds = (args.gate_threshold, args.layer_threshold)
    if not deploy.gates and (gate != "on" or any(thresholds)):
        raise BoardError(f"{deploy.model} has no gates; leave out --gate and thresholds.")
    if not all(-(1 << 31) <= threshold < 1 << 31 for threshold in thresholds):
        raise BoardError("a threshold is a sum in 32 bits; give -2147483648 to 2147483647.")
    return gate, thresholds, read_forced(Path(file), deploy.gates) if gate == "force" else None


def find_build(model: Optional[str] = None) -> "Deploy":
    """The deploy folder of a model, or the newest: in the folder that GATEFOLD_BUILD names, or else among those that came with this program
    and in build/ beside it.

    Raises:
        BoardError: there is none.
    """
    from board.deploy import find_deploy

    named = os.environ.get("GATEFOLD_BUILD")
    if not named:
        return find_deploy((ROOT / "build", NETWORKS), model)
    folder = Path(named).absolute()
    if folder.exists() and not folder.is_dir():
        raise BoardError(f"GATEFOLD_BUILD names {folder}, which is a file; let it name a folder, or unset it.")
    return find_deploy((folder,), model)


def open_accelerator(deploy: "Deploy", others: Sequence["Deploy"] = ()) -> tuple:
    """(Accelerator on the active device, whether that is the simulated board).

    Args:
        others: builds for the same engine, whose networks are loaded beside it.

    Raises:
        BoardError: there is neither.
    """
    warnings.filterwarnings("ignore", category=UserWarning, module="pynq")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    import pynq

    from board.driver import Accelerator

    try:
        from board.simulated import SimulatedDevice
    except ImportError:  # PYNQ before 3.0
        SimulatedDevice = ()
    try:
        device = pynq.Device.active_device
    except RuntimeError:
        device = None
    simulated = isinstance(device, SimulatedDevice)
    if device is None or simulated and int(pynq.__version__.split(".")[0]) < 4:
        raise BoardError(
            f"PYNQ {pynq.__version__} finds no board, and the simulated one needs PYNQ 4; run on a board, or type: make run."
        )
    return Accelerator(deploy, deploy.bitstream(simulated), others), simulated
