"""Whole numbers on the command line."""

import argparse
from collections.abc import Callable

MOST = 10**9
MOST_WORKERS = 1024
"""Threads or processes at a time; far more than a machine has cores end in an abort of the runtime libraries."""


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """Type of an argument: an integer from ``least`` to ``most``."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]} is not a whole number from {least} to {most}")
        return value

    return parse


def whole_list(least: int, most: int = MOST) -> Callable[[str], list[int]]:
    """Type of an argument: such integers, separated by commas."""
    parse = whole(least, most)
    return lambda text: [parse(part) for part in text.split(",")]
