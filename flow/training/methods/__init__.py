"""The papers' training methods. Each is a frozen dataclass of its options with what ``Method`` names."""

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from flow.training.phase import Phase


class Method(Protocol):
    """One way to train a network.

    Attributes:
        name: ``"wenet"``, for example.
        weight_decay: of the paper, or what does where it names none.
    """

    name: str
    weight_decay: float

    def create(self, model: str, num_classes: int) -> nn.Module:
        """Untrained floating-point network for the model name of the command line."""

    def phases(self) -> list[Phase]:
        """The phases of a run; those of no epochs are left out by the trainer."""

    def monitored(self, phase: Phase) -> list[str]:
        """Modes whose accuracy is worth watching in a phase."""

    def finish(self, model: nn.Module, batches: Callable[..., list[Tensor]], done: list[Phase]) -> None:
        """Last changes before evaluation.

        Args:
            batches: gives some float training images [N, 3, 32, 32] in 0..1, in batches; unmoved, or with ``move=True`` as in
                training.
            done: the phases that were run, the last perhaps in part.
        """
