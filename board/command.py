"""What every way to use the board program does first: it looks at the options, opens the deploy folder and loads the accelerator.

Neither numpy nor pynq is needed to import this.
"""

import argparse
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from board.errors import BoardError

if TYPE_CHECKING:
    from board.deploy import Deploy

ROOT = Path(__file__).resolve().parents[1]
MAX_BATCH = 4096  # frames: 13 MB of the board's contiguous memory


def check_number(name: str, value: float, most: float) -> None:
    """The value of an option is more than 0 and not more than `most`; BoardError if not."""
    if not value > 0:
        raise BoardError(f"--{name} is {value}; give more than 0.")
    if value > most:
        raise BoardError(
            f"--{name} is {value}; the results of all frames are kept in memory, so give at most {most}, several times."
        )


def deploy_of(args: argparse.Namespace) -> "Deploy":
    """The deploy folder that the command line names, after a look at its other options."""
    from board.deploy import find_deploy, open_deploy

    check_number("timeout", args.timeout, float("inf"))
    if not 0 <= args.batch <= MAX_BATCH:
        raise BoardError(f"--batch is {args.batch}; give up to {MAX_BATCH}, or 0 for as many as possible.")
    deploy = open_deploy(args.board_dir) if args.board_dir else find_deploy(_builds(), args.model)
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


def _builds():
    """The folder of builds: GATEFOLD_BUILD, or build/ of this clone."""
    named = os.environ.get("GATEFOLD_BUILD")
    folder = Path(named).absolute() if named else ROOT / "build"
    if folder.exists() and not folder.is_dir():
        raise BoardError(f"GATEFOLD_BUILD names {folder}, which is a file; let it name a folder, or unset it.")
    return folder


def open_accelerator(deploy: "Deploy") -> tuple:
    """(Accelerator on the active device, whether that is the simulated board).

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
    return Accelerator(deploy, deploy.bitstream(simulated)), simulated
