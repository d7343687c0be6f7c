"""Operators of ONNX graphs whose integers are attributes, for what standard operators cannot carry exactly through FINN
(`flow.export.lstm_step` says why)."""

from collections.abc import Callable
from typing import Any

import numpy as np
from qonnx.custom_op.base import CustomOp

from flow.graph.lstm import Rescale

DOMAIN = "gatefold"


class IntegerOperator(CustomOp):
    """What these operators share, as qonnx executes them."""

    TYPES: dict[str, tuple]
    """Attributes, as qonnx describes them."""

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return self.TYPES

    def verify_node(self) -> None:
        pass


def product_types(prefix: str) -> dict[str, tuple]:
    """The attributes of a product: weight in rows, bias, and rescale (multiplier, shift), their names behind a prefix."""
    return {f"{prefix}{part}": ("ints", True, []) for part in ("weight", "bias", "rescale")}


def product_attributes(prefix: str, weight: np.ndarray, bias: np.ndarray, rescale: Rescale) -> dict[str, list[int]]:
    """Their values."""
    values = (weight.reshape(-1).tolist(), bias.tolist(), [rescale.multiplier, rescale.shift])
    return dict(zip(product_types(prefix), values, strict=True))


def product_of(prefix: str, shape: tuple[int, int], attribute: Callable[[str], Any]) -> tuple[np.ndarray, np.ndarray, Rescale]:
    """The inverse: weight int64 of that shape, bias int64, and Rescale.

    Args:
        attribute: from an attribute's name to its value.
    """
    weight, bias, rescale = (np.array(attribute(name), np.int64) for name in product_types(prefix))
    return weight.reshape(shape), bias, Rescale(*rescale.tolist())
