"""Training of DDI (Wang et al., JSTSP 2020), section III-C and section IV-A.

Two steps of IADI on trained weights: the gates alone, beside a frozen backbone, until nothing is skipped; then all together to
the target skip ratio, eq. (5), L + alpha * E, where the sign of alpha follows the skip ratio of the batch's hard decisions. Then
the exits (RADI), trained with all the rest, eq. (4).

The paper's settings for CIFAR-10: batch 128, learning rate 0.05, weight decay 1e-4, alpha 2e-4, 50,000 iterations (128 epochs)
for IADI and as many with the exits. Here each of the four phases has a cosine of its own that falls from that rate to zero.
E is in millions of multiply-accumulates (docs/decisions/004).

The paper trains with soft decisions to the end. With those a network learns on maps that it never sees in inference, unless all
probabilities end near 0 or 1, so the last third of the second step and the exits are trained with hard decisions and the
gradient of the probabilities (docs/decisions/004).
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from flow.costs import Accounting
from flow.errors import GatefoldError
from flow.models.calibrate import calibrate
from flow.nn.trace import Trace
from flow.training import distributed
from flow.training.exits import joint_loss
from flow.training.methods.gated import GatedPhase, freeze_backbone, on_backbone
from flow.training.phase import Phase
from flow.training.sampling import sample_settings
from flow.training.skip_ratio import flipped_alpha, harden, skip_ratio

# Share of the run's learning rate, by default 0.1, that makes the paper's 0.05.
RATE = 0.5


class ResourceLoss:
    """E of eq. (5): mean cost of the images of a batch, gates included, as millions of multiply-accumulates.

    A cost in another unit counts as the multiply-accumulates that are the same share of the network.
    """

    def __init__(self, model: nn.Module, unit: str):
        self._costs = Accounting(model, unit)
        self._macs = Accounting(model, "macs")

    def __call__(self, trace: Trace) -> Tensor:
        return self._costs.of(trace).mean() * (self._macs.full * 1e-6 / self._costs.full)


class Skip(GatedPhase):
    """Training to a skip ratio. Losses: prediction loss, E, skip ratio of the hard decisions, of the full network.

    Args:
        name, epochs, quantised: see ``Phase``.
        alpha, target, unit, samples: see ``Ddi``.
        frozen: train the gates alone.
        soft: whether gates decide by their probabilities.
        exits: with the exits.
    """

    restart = True
    rate = RATE

    def __init__(
        self,
        name: str,
        epochs: int,
        quantised: bool,
        alpha: float,
        target: float,
        unit: str,
        samples: int = 1,
        frozen: bool = False,
        soft: bool = True,
        exits: bool = False,
    ):
        super().__init__(name, epochs, quantised)
        self.alpha = alpha
        self.target = target
        self.unit = unit
        self.samples = samples
        self.frozen = frozen
        self.soft = soft
        self.exits = exits
        self._resources: ResourceLoss | None = None

    def parameters(self, model: nn.Module) -> Iterable[tuple[str, nn.Parameter]]:
        named = model.named_parameters()
        return ((name, p) for name, p in named if name.startswith("gates.")) if self.frozen else named

    def enter(self, model: nn.Module) -> None:
        model.set_gates(True)
        model.soft_gates = self.soft
        if model.exits:
            model.set_exits(self.exits)
        freeze_backbone(model, self.frozen)
        self._resources = ResourceLoss(model, self.unit)

    def after_step(self, model: nn.Module, step: int) -> None:
        if not self.frozen:
            super().after_step(model, step)

    def leave(self, model: nn.Module) -> None:
        if not self.frozen:
            super().leave(model)

    def losses(self, model: nn.Module, x: Tensor, y: Tensor, rng: random.Random) -> list[float]:
        record = []
        for vector, gates in sample_settings(model, self.samples, rng):
            model.set_mode(vector)
            model.set_gates(gates)
            output = model(x)
            loss = joint_loss(output, y) if self.exits else F.cross_entropy(output, y)
            total = loss
            if gates:
                skipped = distributed.average([float(skip_ratio(harden(model.trace, model.gates.threshold)))])[0]
                cost = self._resources(model.trace)
                total = loss + flipped_alpha(self.alpha, skipped, self.target) * cost.to(loss.dtype)
                record.append([float(loss.detach()), float(cost.detach()), skipped])
            total.backward()
        model.set_gates(True)
        return record[0]


@dataclass(frozen=True)
class Ddi:
    """Options of a run.

    Attributes:
        backbone: trained weights to start from, the name of a shipped network or a file; None: start untrained, without the
            first step, which trains gates beside a network that is frozen.
        gates: kind of gates, one of ``flow.models.gated.GATES``.
        gate_epochs, epochs: of the two steps of IADI.
        hard_epochs: more of the second step, with the hard decisions of inference.
        exit_epochs: with exits; 0: a network without exits.
        exits: "all", or the numbers of the exits that there are, from 0 on, separated by commas.
        alpha: weight of the cost per million multiply-accumulates.
        target: skip ratio, 0..1.
        unit: of the cost, one of ``flow.costs.UNITS``.
        quantised: whether to train with 4-bit numbers.
        samples: networks of different group modes in every step, as in Algorithm 1 of WeNet, and one of them once more with the
            gates off; the paper has the full one only, with gates.
    """

    backbone: str | None = None
    gates: str = "ddi"
    gate_epochs: int = 8
    epochs: int = 80
    hard_epochs: int = 40
    exit_epochs: int = 128
    exits: str = "all"
    alpha: float = 2e-4
    target: float = 0.5
    unit: str = "macs"
    quantised: bool = True
    samples: int = 1
    name = "ddi"
    weight_decay = 1e-4

    def create(self, model: str, num_classes: int) -> nn.Module:
        """The backbone with untrained gates and exits; GatefoldError for a first step without a trained backbone."""
        if self.backbone is None and self.gate_epochs:
            raise GatefoldError(
                f"DDI first trains the gates of a trained network; name its weights with --set backbone={model}, or start "
                "untrained with --set gate_epochs=0."
            )
        exits = self.exit_epochs > 0 and self._exits()
        return on_backbone(model, num_classes, self.backbone, gates=self.gates, exits=exits, ungated=self.samples > 1)

    def _exits(self):
        """Whether there are exits, or their numbers."""
        if self.exits == "all":
            return True
        try:
            return [int(number) for number in self.exits.split(",")]
        except ValueError:
            raise GatefoldError(f"exits is {self.exits!r:.40}; give all, or numbers separated by commas.") from None

    def phases(self) -> list[Phase]:
        """Gates alone, all together, exits."""
        common, target = (self.quantised, self.alpha), (self.target, self.unit, self.samples)
        return [
            Skip("gates", self.gate_epochs, *common, 0.0, self.unit, frozen=True),
            Skip("skipping", self.epochs, *common, *target),
            Skip("hard", self.hard_epochs, *common, *target, soft=False),
            Skip("exits", self.exit_epochs, *common, *target, soft=False, exits=True),
        ]

    def monitored(self, phase: Phase) -> list[str]:
        """The modes in training."""
        return ["full", "1/4", "1/16"] if phase.samples > 1 else ["full"]

    def finish(self, model: nn.Module, batches: Callable[..., list[Tensor]], done: list[Phase]) -> None:
        """Measure the statistics of the hard decisions in the modes that were trained, unless training has just done so."""
        model.set_gates(True)
        if model.exits:
            model.set_exits(done[-1].exits)
        if done[-1].soft or self.samples > 1:
            calibrate(model, batches())
        done[-1].leave(model)
