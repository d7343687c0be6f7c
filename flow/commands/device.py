"""The option ``--device`` of commands that train."""

import argparse

from flow.errors import GatefoldError


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the option."""
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train (default: %(default)s)")


def check_device(device: str) -> None:
    """GatefoldError unless the device is there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise GatefoldError("There is no CUDA device here; train with --device cpu.")
