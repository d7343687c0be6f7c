"""Folding attributes that every node of a graph shares with its engine."""

from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp

from flow.engine.config import Folding

ATTRIBUTES = {"P": "p", "PE": "pe", "R": "r", "V": "v", "MULT_DSP": "mult_dsp", "REQUANT_DSP": "requant_dsp"}
"""Node attribute -> field of Folding."""


def attribute_types() -> dict[str, tuple]:
    """Attribute definitions, with Folding's defaults."""
    defaults = Folding()
    return {name: ("i", False, getattr(defaults, field)) for name, field in ATTRIBUTES.items()}


def attribute_values(folding: Folding) -> dict[str, int]:
    """Attribute name -> value."""
    return {name: getattr(folding, field) for name, field in ATTRIBUTES.items()}


def folding_of(node: HWCustomOp) -> Folding:
    """What a node's attributes ask for."""
    return Folding(**{field: node.get_nodeattr(name) for name, field in ATTRIBUTES.items()})
