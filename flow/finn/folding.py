"""Folding attributes that every node of a graph shares with its engine."""

from flow.engine.config import EngineConfig

ATTRIBUTES = {"P": "p", "PE": "pe", "R": "r", "V": "v", "MULT_DSP": "mult_dsp"}
"""Node attribute -> field of EngineConfig."""


def attribute_types():
    """Attribute definitions, with EngineConfig's defaults."""
    defaults = EngineConfig()
    return {name: ("i", False, getattr(defaults, field)) for name, field in ATTRIBUTES.items()}


def attribute_values(config):
    """Attribute name -> value of an EngineConfig."""
    return {name: getattr(config, field) for name, field in ATTRIBUTES.items()}


def engine_config(node):
    """The EngineConfig that a node's folding attributes ask for; the planner fills in the depths."""
    return EngineConfig(**{field: node.get_nodeattr(name) for name, field in ATTRIBUTES.items()})
