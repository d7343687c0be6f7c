"""What trained weights and the record beside them must be before anything is made of them."""

import hashlib
from pathlib import Path

import torch

from flow.errors import GatefoldError
from flow.files import is_share

LIMIT = 1e6
"""Largest magnitude of a plausible number; those of the shipped networks stay below 1e3."""
REMEDY = "restore the file or train again"


def digest(data: bytes) -> str:
    """What the record calls ``sha256``: of the .safetensors file, in hex."""
    return hashlib.sha256(data).hexdigest()


def check_record(record: object, path: Path) -> dict:
    """The record itself.

    Raises:
        GatefoldError: it is not what ``save_model`` writes; names the entry.
    """
    if not isinstance(record, dict):
        raise GatefoldError(f"{path} is damaged: it holds no record of trained weights; {REMEDY}.")
    fine = {
        "model": lambda value: isinstance(value, str),
        "num_classes": lambda value: type(value) is int and value >= 1,
        "quantised": lambda value: isinstance(value, bool),
        "options": lambda value: isinstance(value, dict),
        "searched": lambda value: isinstance(value, dict),
        "source": lambda value: isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("file", "class")),
        "layers": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
        "data": lambda value: isinstance(value, str),
        "class_names": lambda value: isinstance(value, list) and all(isinstance(each, str) for each in value),
        "accuracy": lambda value: isinstance(value, dict) and all(each is None or is_share(each) for each in value.values()),
        "sha256": lambda value: isinstance(value, str),
    }
    for name, is_fine in fine.items():
        if name in record and not is_fine(record[name]):
            raise GatefoldError(f"{path} is damaged: its entry {name} is {str(record[name])[:40]!r}; {REMEDY}.")
    return record


def check_weights(data: bytes, tensors: dict, record: dict, path: Path) -> None:
    """Refuse weights that no training leaves.

    Args:
        data: the bytes of the .safetensors file.
        tensors: name -> tensor, what it holds.
        record: its record; one from before there were digests has no ``sha256`` and vouches for nothing.
        path: of the file.

    Raises:
        GatefoldError: names the tensor that holds NaN, an infinity, a negative variance or an implausible number; or the
            file is another one than the record was written for.
    """
    for name, tensor in tensors.items():
        numbers = tensor.double()
        if not torch.isfinite(numbers).all():
            kind = "NaN" if torch.isnan(numbers).any() else "an infinite number"
            raise GatefoldError(f"{path}: the tensor {name} holds {kind}; {REMEDY}.")
        if name.endswith("running_var") and (numbers < 0).any():
            raise GatefoldError(f"{path}: the variance {name} is negative ({numbers.min():g}); {REMEDY}.")
        if tensor.is_floating_point() and (numbers.abs() > LIMIT).any():
            worst = numbers.abs().max()
            raise GatefoldError(f"{path}: the tensor {name} holds {worst:g}, which no training leaves (over {LIMIT:g}); {REMEDY}.")
    if record.get("sha256", digest(data)) != digest(data):
        raise GatefoldError(f"{path} is not the file that {path.with_suffix('.json').name} was written for; {REMEDY}.")
