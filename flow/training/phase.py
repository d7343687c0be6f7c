"""Training runs are lists of phases; one ``Trainer`` runs them all."""

import random
from collections.abc import Iterable

from torch import Tensor, nn

from flow.training.graphs import Eager


class Phase:
    """Some epochs of one kind. Methods make their own by overriding what differs.

    Attributes:
        name: for the log and the record.
        epochs: passes over the training set.
        quantised: whether the network computes with 4-bit numbers.
        restart: start a new optimiser and a new cosine of the learning rate, which spans this phase and those after it up to
            the next restart (the first phase always restarts).
        rate: peak of that cosine, as a share of the run's learning rate.
        warm_up: share of that cosine's steps in which the rate rises linearly.
        decay: whether that optimiser decays weights.
        crop: height and width of the training images, as a share of those that the network is for.
        move: whether crops are taken at random places, or in the centre.
        largest_norm: to which the norm of the gradient is cut down, or None.
        recordable: whether all work of ``losses`` goes through ``record`` and nothing there looks at numbers on the device.
        record: does the work of a step, see ``flow.training.graphs``.
    """

    restart = False
    rate = 1.0
    warm_up = 0.0
    decay = True
    crop = 1.0
    move = True
    largest_norm: float | None = None
    recordable = False
    record = Eager()

    def __init__(self, name: str, epochs: int, quantised: bool = False):
        self.name = name
        self.epochs = epochs
        self.quantised = quantised

    def wanted(self) -> bool:
        """Whether the phase is due after those before it; asked once, when they are over. The first phase always is."""
        return True

    def parameters(self, model: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
        """(name, parameter) of what the optimiser of this phase trains, if the phase restarts it."""
        return model.named_parameters()

    def begin(self, model: nn.Module) -> None:
        """Prepare the network once, before the first epoch."""

    def enter(self, model: nn.Module) -> None:
        """Prepare the network before every epoch, after it was set to training."""

    def losses(self, model: nn.Module, x: Tensor, y: Tensor, rng: random.Random) -> list[float] | list[Tensor]:
        """Forward and backward of one step.

        Args:
            x: float images [N, 3, H, W] in 0..1; y: labels int64 [N].
            rng: random numbers of this epoch.

        Returns:
            Losses for the log, the same number in every step; the parameters' ``grad`` holds the gradient of the step.
        """
        raise NotImplementedError

    def after_step(self, model: nn.Module, step: int) -> None:
        """Mend the network after every step of the optimiser; steps count from 0 in every epoch."""

    def leave(self, model: nn.Module) -> None:
        """Mend the network at the end of every epoch."""

    def state_dict(self) -> dict:
        """What the phase itself must remember over an interruption."""
        return {}

    def load_state_dict(self, state: dict) -> None:
        """Take back what ``state_dict`` gave."""
