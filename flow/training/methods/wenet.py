"""WeNet (Ma and Reda, ISLPED 2023), section III-C: the full network alone in floating point, on small crops, because that is
cheap; then Algorithm 1 in floating point; then Algorithm 1 with 4-bit weights and activations. One cosine schedule spans
them. At last every mode may be refined in what no smaller mode uses (see ``refine``).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.models import create
from flow.models.calibrate import calibrate
from flow.models.requantisation import limit_multipliers
from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.modes import mode_of_groups
from flow.nn.quantisers import Activation
from flow.training.checkpoint import load_named
from flow.training.phase import Phase
from flow.training.refine import freeze_shared_statistics, keep_own_gradients, keep_weight_scales, weight_bounds
from flow.training.sampling import accumulate_gradients, sample_networks
from flow.training.views import Targets

# Crops of the first phase: 24x24 pixels cost 0.56 of 32x32 ones.
SMALL_CROP = 0.75
WARM_UP = 0.08
# To which the norm of the gradient is cut down, for each sampled network. A channel that is constant in one mode multiplies gradients
# by hundreds in its batch normalisation, and a few of them one behind the other by more than a step survives; of what trains well
# the norm is 0.4 to 1.5.
LARGEST_NORM = 1.5
# Steps between two checks of the requantisation multipliers, which drift slowly.
LIMIT_STEPS = 100


class Full(Phase):
    """The full network alone."""

    recordable = True
    warm_up = WARM_UP
    crop = SMALL_CROP
    largest_norm = LARGEST_NORM

    def __init__(self, epochs: int):
        super().__init__("full", epochs)

    def losses(self, model: nn.Module, x: Tensor, y: Tensor | Targets, rng: random.Random) -> list[Tensor]:
        return accumulate_gradients(model, x, y, sample_networks(model, 1, rng), self.record)


class Algorithm1(Phase):
    """Full network, smallest, samples - 2 others; one step for the sum of their gradients. Arguments as in ``WeNet``.

    Attributes:
        after_full: whether the full network alone was trained just before.
    """

    recordable = True
    warm_up = WARM_UP

    def __init__(self, name: str, epochs: int, quantised: bool, samples: int, uniform: float, hold: bool = False):
        super().__init__(name, epochs, quantised)
        self.samples = samples
        self.largest_norm = LARGEST_NORM * samples
        self.uniform = uniform
        self.hold = hold
        self.after_full = False

    def begin(self, model: nn.Module) -> None:
        if self.after_full:
            for module in model.modules():
                if isinstance(module, SwitchableBatchNorm2d):
                    module.copy_full()

    def losses(self, model: nn.Module, x: Tensor, y: Tensor | Targets, rng: random.Random) -> list[Tensor]:
        losses = accumulate_gradients(model, x, y, sample_networks(model, self.samples, rng, self.uniform), self.record)
        if self.hold:
            for module in model.modules():
                if isinstance(module, Activation):
                    for parameter in module.threshold.parameters():
                        parameter.grad = None
        return losses

    def after_step(self, model: nn.Module, step: int) -> None:
        if self.quantised and step % LIMIT_STEPS == 0:
            limit_multipliers(model)

    def leave(self, model: nn.Module) -> None:
        if self.quantised:
            limit_multipliers(model)


class Refine(Phase):
    """One mode alone, in what no mode with more groups uses.

    Not recordable: which gradients are dropped, and the bounds of the weights, are the host's and change from epoch to epoch.
    """

    restart = True
    rate = 0.4
    decay = False
    largest_norm = LARGEST_NORM
    move = False

    def __init__(self, n: int, epochs: int):
        super().__init__(f"refine {mode_of_groups(n)}", epochs, quantised=True)
        self.n = n
        self._bounds = {}

    def enter(self, model: nn.Module) -> None:
        freeze_shared_statistics(model)
        self._bounds = weight_bounds(model)

    def losses(self, model: nn.Module, x: Tensor, y: Tensor | Targets, rng: random.Random) -> list[Tensor]:
        losses = accumulate_gradients(model, x, y, [mode_of_groups(self.n)], self.record)
        keep_own_gradients(model, self.n)
        return losses

    def after_step(self, model: nn.Module, step: int) -> None:
        keep_weight_scales(model, self._bounds)

    def leave(self, model: nn.Module) -> None:
        limit_multipliers(model, self.n)


@dataclass(frozen=True)
class WeNet:
    """Options of a run.

    Attributes:
        backbone: trained weights of the same network to go on from, the name of a shipped one or a file; None: start untrained.
        full_epochs, float_epochs, epochs: passes over the training set with the full network alone, with Algorithm 1 in
            floating point, and with Algorithm 1 on 4-bit numbers.
        refine_epochs: then so many epochs for each mode, from 1/16 to full.
        samples: s of Algorithm 1, sampled networks per step; 20 in the paper, and every one takes its time.
        uniform: share of the sampled networks that are one of the modes 1/2, 1/4 and 1/8; none in the paper, where all layers
            draw their group counts.
        hold_epochs: the last of ``epochs``, in which the scales of activations stay. They are powers of two whose learned
            exponents come to rest where they round up as often as down, and every such step changes all that follows.
    """

    backbone: str | None = None
    full_epochs: int = 8
    float_epochs: int = 2
    epochs: int = 6
    refine_epochs: int = 0
    samples: int = 20
    uniform: float = 0.0
    hold_epochs: int = 0
    name = "wenet"
    weight_decay = 5e-4

    def create(self, model: str, num_classes: int) -> nn.Module:
        """The network in floating point, or as it was trained."""
        network = create(model, num_classes, float=True) if self.backbone is None else load_named(model, self.backbone)
        if all(len(spec.group_counts) == 1 for spec in network.layers()):
            raise GatefoldError(f"{model} has no group modes to train; train its gates with --method acs or ddi.")
        if network.num_classes != num_classes:
            raise GatefoldError(
                f"{self.backbone} tells {network.num_classes} classes apart and the data set has {num_classes}; choose another."
            )
        return network

    def phases(self) -> list[Phase]:
        """Full, float, 4-bit, and a refinement for every mode."""
        held = min(self.hold_epochs, self.epochs)
        algorithm = [
            Algorithm1("float", self.float_epochs, False, self.samples, self.uniform),
            Algorithm1("4-bit", self.epochs - held, True, self.samples, self.uniform),
            Algorithm1("4-bit, scales held", held, True, self.samples, self.uniform, hold=True),
        ]
        first = next((phase for phase in algorithm if phase.epochs), algorithm[0])
        first.after_full = self.full_epochs > 0
        refinement = [Refine(n, self.refine_epochs) for n in (16, 8, 4, 2, 1)]
        return [Full(self.full_epochs), *algorithm, *refinement]

    def monitored(self, phase: Phase) -> list[str]:
        """Some of the modes in training."""
        if isinstance(phase, Full):
            return ["full"]
        return [mode_of_groups(phase.n)] if isinstance(phase, Refine) else ["full", "1/4", "1/16"]

    def finish(self, model: nn.Module, batches: Callable[..., list[Tensor]], done: list[Phase]) -> None:
        """Measure the statistics of the named modes; a refined network has them already."""
        if any(isinstance(phase, Refine) for phase in done):
            return
        calibrate(model, batches(move=True))
        if model.quantised:
            limit_multipliers(model)
