"""From the probability of a gate to its decision."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from torch import Tensor, nn


def decide(p: Tensor, soft: bool, threshold: float = 0.5) -> Tensor:
    """Turn probabilities into decisions.

    Args:
        p: probabilities 0..1 of any shape.
        soft: give the probabilities themselves (training in DDI, section I, and ACS, section 3.3).
        threshold: a unit runs from this probability on.

    Returns:
        Tensor of the shape of p. With ``soft`` off its values are 0 or 1, and its gradient is that of p (straight-through).
    """
    if soft:
        return p
    hard = (p >= threshold).to(p.dtype)
    return hard + (p - p.detach())


class Judge(Protocol):
    """Lets the gates of a network decide."""

    soft: bool

    def __call__(self, name: str, x: Tensor, executed: Tensor | None = None) -> Tensor:
        """Decisions [N, K] of a gate.

        Args:
            name: of the gate among the network's gates; x: the map [N, C, H, W] that it reads, in real numbers.
            executed: [N], whether it is asked in inference, where the decisions are 0 if it is not; None: always.
        """

    def recurrent(self, name: str, block: str, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Decisions [N] of a gate that remembers, on a block, and its state; None is that before the first block."""

    def exit(self, name: str, x: Tensor) -> Tensor:
        """Real logits [N, classes] of an exit on the map [N, C, H, W] that it reads, in real numbers."""


class ByProbability:
    """By the probabilities that the gates compute.

    Args:
        gates: the network's, whose threshold counts; None: it has none.
        soft: see ``decide``.
        exits: the network's, by name.
    """

    def __init__(self, gates: nn.Module | None, soft: bool, exits: Mapping[str, nn.Module] | None = None):
        self.gates, self.soft, self.exits = gates, soft, exits

    def __call__(self, name: str, x: Tensor, executed: Tensor | None = None) -> Tensor:
        """See ``Judge``."""
        gate = self.gates.get_submodule(name)
        if executed is None or self.gates.training:
            return decide(gate(x), self.soft, self.gates.threshold)
        if not executed.any():
            return x.new_zeros(len(x), gate.linear.out_features)
        return where_executed(executed, x, lambda runs: decide(gate(runs), self.soft, self.gates.threshold))

    def recurrent(self, name: str, block: str, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """See ``Judge``."""
        p, state = self.gates.get_submodule(name)(x, state)
        return decide(p, self.soft, self.gates.threshold), state

    def exit(self, name: str, x: Tensor) -> Tensor:
        """See ``Judge``."""
        return self.exits[name](x)


def where_executed(executed: Tensor, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """``function`` of those of N images that are executed, zeros for the others: nothing is computed for them.

    Args:
        executed: [N]; x: [N, ...].
        function: from [n, ...] to [n, ...], n of 0 too.
    """
    runs = executed > 0
    made = function(x[runs])
    out = made.new_zeros(len(x), *made.shape[1:])
    out[runs] = made
    return out
