"""Folding attributes that every node of a graph shares with its engine."""

from flow.engine.config import Folding

ATTRIBUTES = {"P": "p", "PE": "pe", "R": "r", "V": "v", "MULT_DSP": "mult_dsp"}
"""Node attribute -> field of Folding."""


def attribute_types():
    """Attribute definitions, with Folding's defaults."""
    defaults = Folding()
    return {name: ("i", False, getattr(defaults, field)) for name, field in ATTRIBUTES.items()}


def attribute_values(folding):
    """Attribute name -> value of a Folding."""
    return {name: getattr(folding, field) for name, field in ATTRIBUTES.items()}


def folding_of(node):
    """The Folding that a node's attributes ask for."""
    return Folding(**{field: node.get_nodeattr(name) for name, field in ATTRIBUTES.items()})
