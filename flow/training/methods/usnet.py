"""US-Net (Yu and Huang, arXiv:1903.05134): sandwich rule and in-place distillation, in the phases of ``WeNet``.

Every step trains the full width on the labels, and the smallest and some random widths on the outputs of the full one. The
statistics of batch normalisation are measured for each width after training.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flow.errors import GatefoldError
from flow.models import create, name_of
from flow.models.slimmable import MODE_WIDTHS, calibrate_widths
from flow.nn.slimmable import FULL_WIDTH, SMALLEST_WIDTH, WIDTHS
from flow.training.methods.wenet import SMALL_CROP, WARM_UP
from flow.training.phase import Phase


def sandwich(samples: int, rng: random.Random) -> list[int]:
    """Widths of one step: the full one, the smallest, and samples - 2 random ones (section 3.2)."""
    return [FULL_WIDTH, SMALLEST_WIDTH, *(rng.choice(WIDTHS) for _ in range(samples - 2))][:samples]


def distil(model: nn.Module, x: Tensor, y: Tensor, widths: list[int]) -> list[float]:
    """Forward and backward through every width (section 3.3).

    Args:
        x: float images [N, 3, H, W]; y: labels int64 [N].
        widths: from ``sandwich``, the full one first.

    Returns:
        Mean cross-entropy of every width: the first with the labels, the others with the probabilities of the first, which get
        no gradient from them. The parameters' ``grad`` holds the sum of their gradients.
    """
    losses, target = [], y
    for width in widths:
        model.set_width(width)
        logits = model(x)
        loss = F.cross_entropy(logits, target)
        loss.backward()
        losses.append(float(loss.detach()))
        if target is y:
            target = torch.softmax(logits.detach(), 1)
    return losses


class Sandwich(Phase):
    """Some widths in every step; one alone is the full one."""

    warm_up = WARM_UP

    def __init__(self, name: str, epochs: int, quantised: bool, samples: int):
        super().__init__(name, epochs, quantised)
        self.samples = samples
        if samples == 1:
            self.crop = SMALL_CROP

    def losses(self, model: nn.Module, x: Tensor, y: Tensor, rng: random.Random) -> list[float]:
        return distil(model, x, y, sandwich(self.samples, rng))


@dataclass(frozen=True)
class USNet:
    """Options of a run; as in ``WeNet``, with ``samples`` widths in each step, 4 as in the paper."""

    full_epochs: int = 8
    float_epochs: int = 2
    epochs: int = 6
    samples: int = 4
    name = "usnet"
    weight_decay = 5e-4

    def create(self, model: str, num_classes: int) -> nn.Module:
        """The slimmable network in floating point."""
        if name_of(model) != model:
            raise GatefoldError(f"{model} has group modes and no variable width; train it with --method wenet.")
        return create(f"{model}-slim", num_classes, float=True)

    def phases(self) -> list[Phase]:
        """Full width, all widths in floating point, all widths in 4-bit numbers."""
        return [
            Sandwich("full", self.full_epochs, False, 1),
            Sandwich("float", self.float_epochs, False, self.samples),
            Sandwich("4-bit", self.epochs, True, self.samples),
        ]

    def monitored(self, phase: Phase) -> list[str]:
        """Some of the modes in training."""
        return ["full"] if phase.name == "full" else ["full", "1/4", "1/16"]

    def finish(self, model: nn.Module, batches: Callable[..., list[Tensor]], done: list[Phase]) -> None:
        """Measure the statistics of the widths that stand for the named modes."""
        calibrate_widths(model, batches(), list(MODE_WIDTHS.values()))
