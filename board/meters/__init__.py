"""Meters: each a small class that gives times and watts, chosen by name."""

import argparse

from board.energy import Power
from board.errors import BoardError
from board.meters.meter import Meter
from board.meters.model import Model


def open_meter(args: argparse.Namespace, clock_mhz: float) -> Meter:
    """The meter that --meter names.

    Args:
        clock_mhz: of the accelerator.

    Raises:
        BoardError: there is no such meter, or it does not answer.
    """
    name, _, which = args.meter.partition(":")
    if name == "model":
        if not 0 < args.idle_watts <= args.active_watts < 1000:
            raise BoardError(
                f"--idle-watts is {args.idle_watts:g} and --active-watts {args.active_watts:g}; give two powers, the first not above the second."
            )
        return Model(Power(args.idle_watts, args.active_watts), clock_mhz)
    raise BoardError(f"--meter is {args.meter!r:.60}; give model.")
