"""The networks, by name."""

from flow.errors import GatefoldError
from flow.models.gated import GatedResNet
from flow.models.initialise import initialise
from flow.models.resnet import SwitchableResNet

_BLOCKS_PER_STAGE = {"resnet8": 1, "resnet20": 3, "resnet38": 6, "resnet74": 12}
NAMES = list(_BLOCKS_PER_STAGE)

__all__ = ["NAMES", "create", "initialise"]


def create(
    name: str, num_classes: int = 10, float: bool = False, gates: str | None = None, exits: bool = False
) -> SwitchableResNet:
    """Build an untrained network.

    Args:
        name: one of ``NAMES``.
        num_classes: number of classes.
        float: start without quantisers, for pre-training; ``set_quantised(True)`` switches them on.
        gates: kind of gates, one of ``flow.models.gated.GATES``.
        exits: whether it has early exits.
    """
    if name not in _BLOCKS_PER_STAGE:
        raise GatefoldError(f"There is no model '{name}'; choose one of {', '.join(NAMES)}.")
    if gates or exits:
        model = GatedResNet(name, _BLOCKS_PER_STAGE[name], num_classes, gates, exits)
    else:
        model = SwitchableResNet(name, _BLOCKS_PER_STAGE[name], num_classes=num_classes)
    model.set_quantised(not float)
    return model
