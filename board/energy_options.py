"""The options of the command line that have to do with energy."""

import argparse

from board.energy import ACTIVE_W, IDLE_W

LOG = "energy.jsonl"


def add_energy_options(parser: argparse.ArgumentParser) -> None:
    """Adds them."""
    energy = parser.add_argument_group("energy", "what an inference takes, measured by a meter or modelled (docs/guide/energy.md)")
    energy.add_argument(
        "--measure",
        action="store_true",
        help="measure every mode (or those of --mode), and every exit where none is chosen, and append that to the log",
    )
    energy.add_argument("--meter", metavar="NAME[:WHICH]", default="model", help="where the power comes from (default: model)")
    energy.add_argument("--calibration", metavar="FILE", help="two-point calibration of the meter")
    energy.add_argument("--calibrate", type=float, metavar="W", help="add a point to it: the meter reads a load of so many true W")
    energy.add_argument(
        "--marker", metavar="FILE", help="GPIO's value or serial port that marks the windows, for a meter that records by itself"
    )
    energy.add_argument(
        "--attach", metavar="csv:FILE|joulescope:FILE", help="what that meter recorded: the energies of the last measurement"
    )
    energy.add_argument("--seconds", type=float, default=10.0, metavar="S", help="of a window, 10 or more (default: 10)")
    energy.add_argument("--windows", type=int, default=5, metavar="N", help="of every setting (default: 5)")
    energy.add_argument("--log", metavar="FILE", default=LOG, help=f"log of measurements to go on with (default: {LOG})")
    for name, what in (("mj", "energy of a frame in mJ"), ("ms", "latency of a frame in ms"), ("w", "power in W")):
        energy.add_argument(
            f"--budget-{name}",
            type=float,
            metavar=name.upper().replace("MJ", "mJ").replace("MS", "ms"),
            help=f"run in the setting with the best accuracy within that {what}",
        )
    energy.add_argument(
        "--adaptive",
        metavar="FILE|unix:PATH|udp:PORT",
        help="choose anew for every frame, within the mJ that this file holds or that come at this socket; --count 0: no end",
    )
    energy.add_argument("--ambient", type=float, metavar="C", help="temperature of the room in °C, for the log")
    for name, value, what in (("idle", IDLE_W, "waits"), ("active", ACTIVE_W, "multiplies in every cycle")):
        energy.add_argument(
            f"--{name}-watts",
            type=float,
            default=value,
            metavar="W",
            help=f"of the model: power of the whole board while it {what} (default: {value})",
        )
