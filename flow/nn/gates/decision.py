"""From the probability of a gate to its decision."""

from torch import Tensor


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
