"""What a network with gates and exits leaves out in inference."""

import numpy as np
import torch

from flow.costs import Accounting
from flow.training.exits import evaluate_exits
from flow.training.skip_ratio import skip_ratio


class Work:
    """Skip ratio and multiply-accumulates over the batches of one mode.

    Args:
        model: network with gates, in its mode; without gates there is nothing to measure and ``record`` is empty.
    """

    def __init__(self, model):
        self._model = model if getattr(model, "gates_on", False) else None
        self._accounting = Accounting(model, "macs") if self._model else None
        self._skipped = self._share = 0.0
        self._images = 0

    def add(self, images: int) -> None:
        """Take in the model's last batch, of so many images."""
        if self._model:
            self._skipped += images * float(skip_ratio(self._model.trace))
            self._share += images * float(self._accounting.of(self._model.trace).mean()) / self._accounting.full
            self._images += images

    def record(self) -> dict[str, float]:
        """``skip_ratio``, and ``macs``: multiply-accumulates, gates and exits included, as a share of the mode without them."""
        if not self._images:
            return {}
        return {"skip_ratio": self._skipped / self._images, "macs": self._share / self._images}


def exit_accuracies(model, images: np.ndarray, labels: np.ndarray, accounting: Accounting) -> list[tuple[float, float]]:
    """(accuracy 0..1, mean cost of an image) of halting every image at each exit, the network's own classifier last.

    Args:
        model: network with exits switched on, in its mode; images: uint8 [N, 32, 32, 3]; labels: int64 [N].
        accounting: unit of the cost.
    """
    found = []
    for exit in range(len(model.exits) + 1):
        reached, spent, _ = evaluate_exits(model, images, labels, accounting, lambda _, costs: torch.full((len(costs),), exit))
        found.append((reached, spent))
    return found


def exit_table(model, images: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """``accuracy`` and ``macs`` (as in ``Work``) of each exit; nothing for a network without exits. See ``exit_accuracies``."""
    if not getattr(model, "exits_on", False):
        return []
    accounting = Accounting(model, "macs")
    rows = exit_accuracies(model, images, labels, accounting)
    return [{"accuracy": reached, "macs": spent / accounting.full} for reached, spent in rows]
