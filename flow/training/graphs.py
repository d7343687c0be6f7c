"""Training steps on a CUDA device without the host's work for every kernel, which for small networks takes longer than the kernels.

What recurs is recorded as a CUDA graph and replayed from then on. A recorded work computes with the same tensors every time, so
inputs, gradients and the learning rate stay where they are and change in place.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor, nn

from flow.nn.held import Held

T = TypeVar("T")
# Times that a work is done as it is: libraries choose their kernels meanwhile.
WARM_UP = 2


class Eager:
    """Does every work as it is."""

    def __call__(self, key: Hashable, work: Callable[[], T]) -> T:
        """What ``work`` gives; two works of one key are the same."""
        return work()

    def fixed(self, name: str, value: Tensor) -> Tensor:
        """``value``, where it was under this name before."""
        return value

    def held(self, model: nn.Module) -> Held:
        """For one step of the model."""
        return Held(model)

    def clear(self, parameters: list[nn.Parameter]) -> None:
        """Forget the gradients."""
        for parameter in parameters:
            parameter.grad = None


class Graphs(Eager):
    """Records every work the third time, and replays it from then on. For one model and one optimiser.

    The current stream of the device must be another one than its default.
    """

    def __init__(self):
        self._times: Counter = Counter()
        self._recorded: dict[Hashable, tuple[torch.cuda.CUDAGraph, object]] = {}
        self._fixed: dict[str, Tensor] = {}
        self._held: Held | None = None
        self._gradients: list[Tensor] = []

    def __call__(self, key: Hashable, work: Callable[[], T]) -> T:
        if key not in self._recorded:
            self._times[key] += 1
            if self._times[key] <= WARM_UP:
                return work()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
                result = work()
            self._recorded[key] = graph, result
        graph, result = self._recorded[key]
        graph.replay()
        return result

    def fixed(self, name: str, value: Tensor) -> Tensor:
        kept = self._fixed.setdefault(name, value)
        return kept if kept is value else kept.copy_(value)

    def held(self, model: nn.Module) -> Held:
        if self._held is None:
            self._held = Held(model)
        return self._held

    def clear(self, parameters: list[nn.Parameter]) -> None:
        if not self._gradients:
            self._gradients = [torch.zeros_like(parameter) for parameter in parameters]
        for parameter, gradient in zip(parameters, self._gradients):
            parameter.grad = gradient
        self("clear", lambda: torch._foreach_zero_(self._gradients))
