"""The methods by name, with their options from text."""

import math
import types
import typing
from dataclasses import fields

from flow.errors import GatefoldError
from flow.training.methods import Method
from flow.training.methods.acs import Acs
from flow.training.methods.ddi import Ddi
from flow.training.methods.energynet import EnergyNet
from flow.training.methods.pooled import Pooled
from flow.training.methods.usnet import USNet
from flow.training.methods.wenet import WeNet

METHODS = {method.name: method for method in (WeNet, Ddi, EnergyNet, Acs, Pooled, USNet)}
_WORDS = {"true": True, "false": False}


# Options that are shares, and the least value of others; the least of the rest is 0.
_SHARES = ("target", "threshold", "uniform")
_LEAST = {"samples": 1}


def _in_range(key: str, value) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return True
    return math.isfinite(value) and value >= _LEAST.get(key, 0) and (key not in _SHARES or value <= 1)


def _value(kind, text: str):
    """``text`` as the type of an option; ValueError if it is none."""
    if isinstance(kind, types.UnionType):
        if text == "none":
            return None
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if kind is bool:
        if text not in _WORDS:
            raise ValueError(text)
        return _WORDS[text]
    return kind(text)


def describe(name: str) -> str:
    """The options of a method with their defaults: ``key=value, ...``."""
    return ", ".join(f"{field.name}={str(field.default).lower()}" for field in fields(METHODS[name]))


def make(name: str, options: dict[str, str]) -> Method:
    """A method with some of its options changed.

    Args:
        name: one of ``METHODS``.
        options: option to its value as text; ``none``, ``true`` and ``false`` where the option takes them.
    """
    kinds = typing.get_type_hints(METHODS[name])
    values = {}
    for key, text in options.items():
        if key not in {field.name for field in fields(METHODS[name])}:
            raise GatefoldError(f"Method {name} has no option '{key}'; it has {describe(name)}.")
        try:
            values[key] = _value(kinds[key], text)
            if not _in_range(key, values[key]):
                raise ValueError(text)
        except (ValueError, OverflowError):
            raise GatefoldError(f"'{text[:40]}' is no value of option {key} of method {name}; it has {describe(name)}.") from None
    return METHODS[name](**values)
