"""Two-step training of ACS (Zou et al., 2023), sections 3.3 and 4.1.4.

First backbone and gates learn together while nothing is skipped: the gates' threshold is 0, their gradient is that of their
probabilities. Then the loss becomes eq. (5), L = L_ce + alpha * L_reg, with the cost of what was executed, gates included, for
L_reg. Decisions are hard in both steps, with the gradient of the probabilities (docs/decisions/005).

The paper's settings: batch 128, learning rate 0.1, weight decay 1e-4, 120 epochs on CIFAR-10 (50 on SVHN), of which the second
step takes about a third.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn
from torch.nn import functional as F

from flow.costs import Accounting
from flow.models.calibrate import calibrate
from flow.nn.trace import Trace
from flow.training import distributed
from flow.training.methods.gated import GatedPhase, on_backbone
from flow.training.phase import Phase
from flow.training.sampling import sample_settings
from flow.training.skip_ratio import signed_alpha, skip_ratio

RUN_ALL = 0.0
DECIDE = 0.5


def acs_loss(logits: Tensor, labels: Tensor, cost: Tensor, full: float, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Eq. (5): L = L_ce + alpha * L_reg.

    Args:
        logits: [N, classes]; labels: int64 [N].
        cost: of each image, [N]; full: of the whole network without gates. L_reg is the mean of cost/full.
        alpha: weight; negative to reward work.

    Returns:
        L, L_ce, L_reg.
    """
    entropy = F.cross_entropy(logits, labels)
    regularisation = (cost / full).mean().to(entropy.dtype)
    return entropy + alpha * regularisation, entropy, regularisation


def per_channel(trace: Trace) -> Trace:
    """The trace with all input channels active: "determined by the number of channels involved" (section 3.3).

    Every output channel then has its fixed price. With the price of what really ran, a convolution whose inputs are all
    skipped costs nothing, and the gate of its outputs learns nothing any more.
    """
    return Trace(replace(use, inputs=None) for use in trace)


class Gated(GatedPhase):
    """Some epochs of a network with gates. Losses: L, L_ce, L_reg, skip ratio, of the full network.

    Args:
        name, epochs, quantised: see ``Phase``.
        threshold: of the gates.
        alpha, target, unit, samples: see ``Acs``.
    """

    # With a large alpha the maps inside a gate can become constant; their batch normalisations then multiply gradients by tens,
    # one after the other, on the way to the backbone.
    largest_norm = 5.0

    def __init__(
        self,
        name: str,
        epochs: int,
        quantised: bool,
        threshold: float,
        alpha: float,
        target: float | None,
        unit: str,
        samples: int,
    ):
        super().__init__(name, epochs, quantised)
        self.threshold = threshold
        self.alpha = alpha
        self.target = target
        self.unit = unit
        self.samples = samples
        self._accounting: Accounting | None = None

    def enter(self, model: nn.Module) -> None:
        model.set_gates(True)
        model.soft_gates = False
        model.gates.threshold = self.threshold
        self._accounting = Accounting(model, self.unit)

    def losses(self, model: nn.Module, x: Tensor, y: Tensor, rng: random.Random) -> list[float]:
        record = []
        for vector, gates in sample_settings(model, self.samples, rng):
            model.set_mode(vector)
            model.set_gates(gates)
            logits = model(x)
            if not gates:
                F.cross_entropy(logits, y).backward()
                continue
            skipped = skip_ratio(model.trace).detach().item()
            alpha = signed_alpha(self.alpha, distributed.average([skipped])[0], self.target)
            cost = self._accounting.of(per_channel(model.trace))
            loss, entropy, regularisation = acs_loss(logits, y, cost, self._accounting.full, alpha)
            loss.backward()
            record.append([part.detach().item() for part in (loss, entropy, regularisation)] + [skipped])
        model.set_gates(True)
        return record[0]


@dataclass(frozen=True)
class Acs:
    """Options of a run.

    Attributes:
        backbone: trained weights to start from, the name of a shipped network or a file; None: start untrained.
        gates: kind of gates, one of ``flow.models.gated.GATES``, for a DenseNet of ``DENSE_GATES``.
        float_epochs, first_epochs: of the first step, in floating point and with 4-bit numbers.
        epochs: of the second step.
        alpha: weight of the cost.
        target: skip ratio that the sign of alpha holds; None: alpha is as it is.
        unit: of the cost, one of ``flow.costs.UNITS``.
        samples: networks of different group modes in every step, as in Algorithm 1 of WeNet, and one of them once more with the
            gates off; the paper has the full one only, with gates.
        rate: peak of a cosine of its own for the second step, as a share of the learning rate; None: one cosine for both.
    """

    backbone: str | None = None
    gates: str = "acs"
    float_epochs: int = 60
    first_epochs: int = 20
    epochs: int = 40
    alpha: float = 0.5
    target: float | None = 0.5
    unit: str = "macs"
    samples: int = 1
    rate: float | None = None
    name = "acs"
    weight_decay = 1e-4

    def create(self, model: str, num_classes: int) -> nn.Module:
        """The backbone with untrained gates."""
        return on_backbone(model, num_classes, self.backbone, gates=self.gates, ungated=self.samples > 1)

    def phases(self) -> list[Phase]:
        """Both steps, the first in floating point and in 4-bit numbers."""
        first = (RUN_ALL, 0.0, None, self.unit, self.samples)
        second = Gated("skipping", self.epochs, True, DECIDE, self.alpha, self.target, self.unit, self.samples)
        if self.rate is not None:
            second.restart, second.rate = True, self.rate
        return [
            Gated("all run, float", self.float_epochs, False, *first),
            Gated("all run, 4-bit", self.first_epochs, True, *first),
            second,
        ]

    def monitored(self, phase: Phase) -> list[str]:
        """The modes in training."""
        return ["full", "1/4", "1/16"] if self.samples > 1 else ["full"]

    def finish(self, model: nn.Module, batches: Callable[..., list[Tensor]], done: list[Phase]) -> None:
        """Measure the statistics of all settings, if several were trained; of one, training has just done so."""
        model.gates.threshold = DECIDE
        if self.samples > 1:
            calibrate(model, batches())
            done[-1].leave(model)
