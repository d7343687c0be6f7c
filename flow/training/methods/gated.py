"""What the training methods of gated networks share."""

from torch import nn

from flow.models import create
from flow.models.requantisation import limit_multipliers
from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.training.checkpoint import load_model
from flow.training.phase import Phase

# Steps between two checks of the requantisation multipliers, which drift slowly.
LIMIT_STEPS = 20


def on_backbone(model: str, num_classes: int, backbone: str | None, **options: str | bool | list[int]) -> nn.Module:
    """A gated network, on trained weights if ``backbone`` names some (see ``load_model``); else in floating point."""
    network = create(model, num_classes, float=backbone is None, **options)
    if backbone is not None:
        trained = load_model(backbone, model)
        network.load_backbone(trained)
        network.set_quantised(trained.quantised)
    return network


def is_backbone(name: str) -> bool:
    """Whether a parameter, a module or a layer of the trace belongs neither to a gate nor to an exit."""
    return not name.startswith(("gates.", "exits."))


def freeze_backbone(model: nn.Module, frozen: bool) -> None:
    """Stop or start the gradients of the backbone; if frozen, its batch normalisations keep their statistics."""
    for name, parameter in model.named_parameters():
        if is_backbone(name):
            parameter.requires_grad_(not frozen)
    if frozen:
        for name, module in model.named_modules():
            if is_backbone(name) and isinstance(module, SwitchableBatchNorm2d):
                module.eval()


class GatedPhase(Phase):
    """Keeps the requantisation multipliers of a 4-bit network in what the hardware can hold."""

    def after_step(self, model: nn.Module, step: int) -> None:
        if step % LIMIT_STEPS == 0:
            self._limit(model)

    def leave(self, model: nn.Module) -> None:
        self._limit(model)

    def _limit(self, model):
        if self.quantised:
            limit_multipliers(model)
