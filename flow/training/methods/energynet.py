"""Training of EnergyNet (Wang et al., 2018), section 3, "Architectures and Training Details".

L + alpha * E, eq. (1), in three steps: alpha 0.1, so that the network converges to the accuracy of its backbone first; alpha 0.9;
and, only if that has cost more than 0.1 % of accuracy, alpha 0.1 once more. E is the energy of eq. (2) as a share of the
backbone's. The accuracy is that of the training images in the last epoch of a step, which is known without another pass and
leaves the test images alone.

The paper gives no epochs, learning rate or batch; those of DDI (the same authors and gates) stand in.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from flow.costs import Accounting
from flow.models.calibrate import calibrate
from flow.training import distributed
from flow.training.methods.gated import GatedPhase, on_backbone
from flow.training.phase import Phase
from flow.training.skip_ratio import flipped_alpha, harden, skip_ratio

RATE = 0.5


def energynet_loss(logits: Tensor, labels: Tensor, energy: Tensor, full: float, alpha: float) -> tuple[Tensor, Tensor]:
    """Eq. (1).

    Args:
        logits: [N, classes]; labels: int64 [N].
        energy: of each image, [N]; full: of the backbone.

    Returns:
        The loss, and E: the mean share of the backbone's energy.
    """
    share = (energy / full).mean()
    return F.cross_entropy(logits, labels) + alpha * share.to(logits.dtype), share


class Step(GatedPhase):
    """One step. Losses: the loss, E, skip ratio of the hard decisions.

    Args:
        name, epochs, quantised: see ``Phase``.
        alpha: weight of the energy; target, unit: see ``EnergyNet``.
        soft: whether gates decide by their probabilities.
        trigger: (earlier step, later step, threshold): run only if the accuracy fell by more than that from one to the other.

    Attributes:
        accuracy: of the training images in its last epoch, 0..1; None before.
    """

    restart = True
    rate = RATE

    def __init__(
        self,
        name: str,
        epochs: int,
        quantised: bool,
        alpha: float,
        unit: str,
        soft: bool = False,
        target: float | None = None,
        trigger: "tuple[Step, Step, float] | None" = None,
    ):
        super().__init__(name, epochs, quantised)
        self.alpha = alpha
        self.unit = unit
        self.soft = soft
        self.target = target
        self.trigger = trigger
        self.accuracy: float | None = None
        self._correct = self._seen = 0
        self._accounting: Accounting | None = None

    def wanted(self) -> bool:
        if self.trigger is None:
            return True
        before, after, threshold = self.trigger
        if before.accuracy is None or after.accuracy is None:
            return True
        return before.accuracy - after.accuracy > threshold

    def enter(self, model: nn.Module) -> None:
        model.set_gates(True)
        model.soft_gates = self.soft
        self._accounting = Accounting(model, self.unit)
        self._correct = self._seen = 0

    def losses(self, model: nn.Module, x: Tensor, y: Tensor, rng: random.Random) -> list[float]:
        logits = model(x)
        skipped = distributed.average([float(skip_ratio(harden(model.trace, model.gates.threshold)))])[0]
        alpha = flipped_alpha(self.alpha, skipped, self.target)
        loss, share = energynet_loss(logits, y, self._accounting.of(model.trace), self._accounting.full, alpha)
        loss.backward()
        self._correct += int((logits.argmax(1) == y).sum())
        self._seen += len(y)
        return [float(loss.detach()), float(share.detach()), skipped]

    def leave(self, model: nn.Module) -> None:
        super().leave(model)
        correct, seen = distributed.average([float(self._correct), float(self._seen)])
        self.accuracy = correct / seen if seen else None

    def state_dict(self) -> dict:
        return {"accuracy": self.accuracy}

    def load_state_dict(self, state: dict) -> None:
        self.accuracy = state["accuracy"]


@dataclass(frozen=True)
class EnergyNet:
    """Options of a run.

    Attributes:
        backbone: trained weights to start from, the name of a shipped network or a file; None: start untrained.
        first_epochs, epochs, last_epochs: of the three steps.
        low, high: alpha of the first and third, and of the second step.
        threshold: loss of accuracy in the second step that the third is to make good.
        unit: of the cost, one of ``flow.costs.UNITS``.
        quantised: whether to train with 4-bit numbers.
        soft: whether gates decide by their probabilities in training; else hard, with the gradient of the probabilities.
        target: skip ratio that the sign of alpha holds, as in DDI; None, as in the paper: alpha is as it is.
    """

    backbone: str | None = None
    first_epochs: int = 40
    epochs: int = 60
    last_epochs: int = 28
    low: float = 0.1
    high: float = 0.9
    threshold: float = 0.001
    unit: str = "energy"
    quantised: bool = True
    soft: bool = False
    target: float | None = None
    name = "energynet"
    weight_decay = 1e-4

    def create(self, model: str, num_classes: int) -> nn.Module:
        """The backbone with untrained gates."""
        return on_backbone(model, num_classes, self.backbone, gates="energynet")

    def phases(self) -> list[Phase]:
        """The three steps."""

        def step(name, epochs, alpha, trigger=None):
            return Step(name, epochs, self.quantised, alpha, self.unit, self.soft, self.target, trigger)

        first, second = step("step 1", self.first_epochs, self.low), step("step 2", self.epochs, self.high)
        return [first, second, step("step 3", self.last_epochs, self.low, (first, second, self.threshold))]

    def monitored(self, phase: Phase) -> list[str]:
        """The full mode."""
        return ["full"]

    def finish(self, model: nn.Module, batches: Callable[..., list[Tensor]], done: list[Phase]) -> None:
        """Measure the statistics of the hard decisions."""
        calibrate(model, batches())
        done[-1].leave(model)
