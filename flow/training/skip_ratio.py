"""How much of a network its gates skip, and the weight that holds it at a target."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from flow.nn.trace import Trace, Use
from flow.training.evaluate import as_input, batches

# The sign of alpha turns within this distance of the target.
BAND = 0.05


def decisions(use: Use) -> Tensor | None:
    """What the gates decided on a layer, [N, D], 1 for what ran: D channels, or the layer; None without a decision of gates.

    The channels of a skipped layer are skipped. Gates' own layers, which may be skipped with their layer, do not count.
    """
    if use.name.startswith("gates.") or use.executed is None and use.outputs is None:
        return None
    if use.outputs is None:
        return use.executed[:, None]
    return use.outputs if use.executed is None else use.outputs * use.executed[:, None]


def skip_ratio(trace: Trace) -> Tensor:
    """Share of the decisions in a trace that are to skip, 0..1: scalar, differentiable.

    A decision on channels counts once per channel, one on a layer once per convolution. Where nothing is decided nothing is
    skipped: 0.
    """
    taken = [kept for kept in map(decisions, trace) if kept is not None]
    total = sum(kept.numel() for kept in taken)
    return 1 - sum(kept.sum() for kept in taken) / total if total else torch.zeros(())


def harden(trace: Trace, threshold: float = 0.5) -> Trace:
    """The decisions that inference would take: 1 from the threshold on, else 0, without gradient."""

    def hard(p: Tensor | None) -> Tensor | None:
        return None if p is None else (p.detach() >= threshold).to(p.dtype)

    return Trace(replace(use, executed=hard(use.executed), inputs=hard(use.inputs), outputs=hard(use.outputs)) for use in trace)


def flipped_alpha(alpha: float, skipped: float, target: float | None) -> float:
    """Weight of the cost in a batch (DDI: Wang et al., JSTSP 2020, section IV-A): +alpha below the target skip ratio, -alpha
    above it. Without a target: alpha."""
    if target is None:
        return alpha
    return alpha if skipped < target else -alpha if skipped > target else 0.0


def signed_alpha(alpha: float, skipped: float, target: float | None) -> float:
    """As ``flipped_alpha``, but through 0 linearly, within ``BAND`` of the target. Without a target: alpha."""
    if target is None:
        return alpha
    return alpha * max(-1.0, min(1.0, (target - skipped) / BAND))


@torch.no_grad()
def measure_skip_ratio(model: nn.Module, images: np.ndarray, batch: int = 128) -> float:
    """Skip ratio of a gated network in inference, in its mode, over images uint8 [N, 32, 32, 3]; leaves it in eval."""
    model.eval()
    total = 0.0
    for _, part in batches(images, batch):
        model(as_input(model, part))
        total += float(skip_ratio(model.trace)) * len(part)
    return total / len(images)
