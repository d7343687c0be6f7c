"""Names of the group modes."""

from typing import TYPE_CHECKING

from flow.errors import GatefoldError

if TYPE_CHECKING:
    from torch import nn


MODES = ["full", "1/2", "1/4", "1/8", "1/16"]
_COUNTS = dict(zip(MODES, (1, 2, 4, 8, 16)))


def check_mode(mode: str) -> None:
    """GatefoldError, naming the valid ones, unless the mode is one of ``MODES``."""
    if mode not in _COUNTS:
        raise GatefoldError(f"There is no mode '{mode}'; choose one of {', '.join(MODES)}.")


def mode_names(model: "nn.Module") -> list[str]:
    """The named modes that the model is for (its ``modes``, else all of ``MODES``), and then those that a search gave it."""
    return [*getattr(model, "modes", MODES), *getattr(model, "searched", {})]


def mode_of_groups(n: int) -> str:
    """Name of the mode in which every layer has n groups, as far as it can."""
    return next(mode for mode, count in _COUNTS.items() if count == n)


def group_vector(model: "nn.Module", mode: str) -> dict[str, int]:
    """Group count of every layer in a named mode: layers that cannot have that many groups take the most they have.

    Depthwise convolutions have one group per channel in every mode.

    Args:
        model: network with ``layers()``.
        mode: one of ``MODES``, or of the model's searched modes.

    Returns:
        Layer name to group count, in execution order.
    """
    searched = getattr(model, "searched", {})
    if mode in searched:
        return dict(searched[mode])
    if mode not in _COUNTS:
        raise GatefoldError(f"There is no mode '{mode}'; choose one of {', '.join([*MODES, *searched])}.")
    n = _COUNTS[mode]
    return {spec.name: max((c for c in spec.group_counts if c <= n), default=min(spec.group_counts)) for spec in model.layers()}
