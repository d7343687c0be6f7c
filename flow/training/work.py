"""What a network with gates and exits leaves out in inference."""

import numpy as np
from torch import nn

from flow.costs import Accounting
from flow.training.exits import exit_accuracies
from flow.training.methods.gated import is_backbone
from flow.training.skip_ratio import skip_ratio


class Work:
    """Skip ratio and multiply-accumulates over the batches of one mode.

    Args:
        model: network with gates; without gates there is nothing to measure and ``record`` is empty.
    """

    def __init__(self, model: nn.Module):
        self._model = model if getattr(model, "gates_on", False) else None
        self._accounting = Accounting(model, "macs") if self._model else None
        self._skipped = self._spent = self._overhead = 0.0
        self._images = 0

    def add(self, images: int) -> None:
        """Take in the model's last batch, of so many images."""
        if self._model:
            costs = self._accounting.per_layer(self._model.trace)
            self._skipped += images * float(skip_ratio(self._model.trace))
            self._spent += images * float(sum(costs.values()).mean())
            self._overhead += images * sum(float(costs[name].mean()) for name in costs if not is_backbone(name))
            self._images += images

    def record(self) -> dict[str, float]:
        """``skip_ratio``; ``macs``: multiply-accumulates, gates and exits included, as a share of the mode without them; and
        ``overhead``: those of the gates and exits alone.

        The model must still be in the mode of the batches.
        """
        if not self._images:
            return {}
        whole = self._images * self._accounting.full
        return {"skip_ratio": self._skipped / self._images, "macs": self._spent / whole, "overhead": self._overhead / whole}


def exit_table(model: nn.Module, images: np.ndarray, labels: np.ndarray) -> list[dict[str, float]]:
    """``accuracy`` and ``macs`` (as in ``Work``) of each exit; nothing for a network without exits. See ``exit_accuracies``."""
    if not getattr(model, "exits_on", False):
        return []
    accounting = Accounting(model, "macs")
    rows = exit_accuracies(model, images, labels, [accounting])
    return [{"accuracy": reached, "macs": spent / accounting.full} for reached, (spent,) in rows]
