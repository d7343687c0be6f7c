"""The networks, by name."""

from flow.errors import GatefoldError
from flow.models.densenet import SHAPES as DENSENETS
from flow.models.densenet import DenseNet, create_densenet
from flow.models.gated import GatedResNet
from flow.models.initialise import initialise
from flow.models.resnet import SwitchableResNet
from flow.models.slimmable import SlimmableResNet

_BLOCKS_PER_STAGE = {"resnet8": 1, "resnet20": 3, "resnet38": 6, "resnet74": 12}
NAMES = list(_BLOCKS_PER_STAGE)

__all__ = ["NAMES", "create", "initialise"]


def create(
    name: str, num_classes: int = 10, float: bool = False, gates: str | None = None, exits: bool = False
) -> SwitchableResNet | DenseNet:
    """Build an untrained network.

    Args:
        name: one of ``NAMES`` or ``flow.models.densenet.SHAPES``. Behind the name of a ResNet, ``-unshuffled``: without
            channel shuffle; ``-slim``: of variable width; ``-w32``: of widths 32/64/128 (the baseline of ACS).
        num_classes: number of classes.
        float: start without quantisers, for pre-training; ``set_quantised(True)`` switches them on.
        gates: kind of gates, one of ``flow.models.gated.GATES``, or ``DENSE_GATES`` for a DenseNet.
        exits: whether it has early exits.
    """
    if name in DENSENETS:
        if exits:
            raise GatefoldError(f"{name} has no exits; create it without them.")
        return create_densenet(name, num_classes, float, gates)
    base, _, variant = name.partition("-")
    if base not in _BLOCKS_PER_STAGE or variant not in ("", "unshuffled", "slim", "w32"):
        raise GatefoldError(f"There is no model '{name}'; choose one of {', '.join([*NAMES, *DENSENETS])}.")
    blocks = _BLOCKS_PER_STAGE[base]
    width = 32 if variant == "w32" else 16
    if variant in ("unshuffled", "slim") and (gates or exits):
        raise GatefoldError(f"{name} has no gates and exits; choose {base}.")
    if gates or exits:
        model = GatedResNet(name, blocks, num_classes, gates, exits, width)
    elif variant == "slim":
        model = SlimmableResNet(name, blocks, num_classes)
    else:
        model = SwitchableResNet(name, blocks, num_classes, variant != "unshuffled", width)
    model.set_quantised(not float)
    return model
