"""Modes that a search found: a group count per layer, and batch-normalisation statistics of their own.

The inputs of a layer are distributed differently for every choice of group counts before it, so the statistics of the group
count, which belong to the uniform modes, do not fit a mixed one.
"""

from torch import nn

from flow.errors import GatefoldError
from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.modes import MODES


def add_searched(model: nn.Module, name: str, groups: dict[str, int]) -> None:
    """See ``Network.add_mode``; GatefoldError unless ``groups`` has a possible count for every layer."""
    allowed = {spec.name: spec.group_counts for spec in model.layers()}
    if name in MODES or "." in name:
        raise GatefoldError(f"'{name}' cannot be the name of a mode of its own; choose one like pareto-1.")
    if set(groups) != set(allowed) or any(n not in allowed[layer] for layer, n in groups.items()):
        raise GatefoldError(f"Mode {name} has group counts that {model.name} has not; search again with that model.")
    model.searched[name] = dict(groups)
    for spec in model.layers():
        if spec.kind == "conv":
            model.get_submodule(spec.name).norm.add(name, groups[spec.name])


def activate_statistics(model: nn.Module, mode: str | None) -> None:
    """Use the statistics of a mode, or (None) those of the group counts."""
    for module in model.modules():
        if isinstance(module, SwitchableBatchNorm2d):
            module.mode = mode
