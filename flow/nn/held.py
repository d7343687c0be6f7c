"""Weights and scales that all networks of a training step share.

The networks of a step have the same quantised weights, and the gradient is linear: quantising once, and sending the sum of their
gradients back once, is the same as doing it for each.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Held:
    """The quantised weights and the scales of a network.

    Args:
        model: modules with ``held`` take part: ``present()`` gives what they compute with, ``held`` if that is there.
    """

    def __init__(self, model: nn.Module):
        self._modules = [module for module in model.modules() if hasattr(module, "held")]
        self._values: list[Tensor] = []
        self._leaves: list[Tensor] = []

    def _take(self) -> None:
        """Compute them anew, into the tensors of the last step if there are some; their gradients are zero."""
        self._values = [module.present() for module in self._modules]
        now = [value.detach() for value in self._values]
        if not self._leaves:
            self._leaves = [value.clone().requires_grad_(old.requires_grad) for value, old in zip(now, self._values)]
            for leaf in self._leaves:
                leaf.grad = torch.zeros_like(leaf)
            return
        with torch.no_grad():
            torch._foreach_copy_(self._leaves, now)
        torch._foreach_zero_([leaf.grad for leaf in self._leaves])

    def _give(self) -> None:
        """Send the gradients on to the parameters."""
        used = [(value, leaf.grad) for value, leaf in zip(self._values, self._leaves) if value.requires_grad]
        torch.autograd.backward([value for value, _ in used], [grad for _, grad in used])

    @contextmanager
    def used(self, record: Callable[[str, Callable[[], None]], None] = lambda _, work: work()) -> Iterator[None]:
        """Meanwhile all modules compute with them; at the end their gradients go on to the parameters.

        Args:
            record: does some work of this name, see ``flow.training.graphs``.
        """
        record("take", self._take)
        for module, leaf in zip(self._modules, self._leaves):
            module.held = leaf
        try:
            yield
        finally:
            for module in self._modules:
                module.held = None
        record("give", self._give)
