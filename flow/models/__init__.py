"""The networks, by name."""

from collections.abc import Sequence

from flow.errors import GatefoldError
from flow.models import user
from flow.models.densenet import SHAPES as DENSENETS
from flow.models.densenet import DenseNet, create_densenet
from flow.models.gated import equip
from flow.models.imagenet import MODELS as IMAGENET
from flow.models.imagenet import ImageNetModel
from flow.models.initialise import initialise
from flow.models.network import Network
from flow.models.resnet import SwitchableResNet
from flow.models.slimmable import SlimmableResNet

_BLOCKS_PER_STAGE = {"resnet8": 1, "resnet20": 3, "resnet38": 6, "resnet74": 12}
NAMES = list(_BLOCKS_PER_STAGE)
EQUIPPED = {"ddi": {"gates": "ddi", "exits": True}, "acs": {"gates": "acs"}}
"""Ending of the name of a CIFAR ResNet -> the gates and exits that it brings, those of the papers' methods."""
_KNOWN = {
    *DENSENETS,
    *(name + variant for name in IMAGENET for variant in ("", "-unshuffled")),
    *(name + variant for name in NAMES for variant in ("", "-unshuffled", "-slim", "-w32", *(f"-{kind}" for kind in EQUIPPED))),
}

__all__ = ["EQUIPPED", "NAMES", "check_name", "create", "equipment", "initialise", "name_of"]


def check_name(name: str) -> None:
    """Raise GatefoldError where ``create`` knows no network of that name, or cannot read the class that it names."""
    if user.is_users(name):
        if user.load_class(name).__name__ in _KNOWN:
            raise GatefoldError(f"{name} has the name of another network; call the class otherwise.")
    elif name not in _KNOWN:
        raise GatefoldError(
            f"There is no model '{name}'; choose one of {', '.join([*NAMES, *DENSENETS, *IMAGENET])} (a resnet8 to resnet74 may end "
            "in -w32, -unshuffled, -slim, or in -ddi or -acs with the gates of these methods, an ImageNet network in -unshuffled), or name a class of your own, mynet.py:Net."
        )


def name_of(name: str) -> str:
    """What a network is called in records and folders: of FILE.py:CLASS the class, else the name itself."""
    return user.class_name(name) if user.is_users(name) else name


def equipment(name: str) -> tuple[str, dict[str, str | bool]]:
    """(network, options of ``create``) that a name with the ending of a gated method stands for; of another name itself and none."""
    base, _, kind = name.rpartition("-")
    return (base, EQUIPPED[kind]) if name in _KNOWN and kind in EQUIPPED else (name, {})


def create(
    name: str,
    num_classes: int = 10,
    float: bool = False,
    gates: str | None = None,
    exits: bool | Sequence[int] = False,
    ungated: bool = False,
) -> Network | DenseNet | ImageNetModel:
    """Build an untrained network.

    Args:
        name: one of ``NAMES``, ``flow.models.densenet.SHAPES`` or ``flow.models.imagenet.MODELS``. Behind the name of a
            network with group modes, ``-unshuffled``: without channel shuffle; of a CIFAR ResNet, ``-slim``: of variable
            width; ``-w32``: of widths 32/64/128 (the baseline of ACS); ``-ddi`` and ``-acs``: with their gates. Or FILE.py:CLASS, see ``flow.models.user``.
        num_classes: number of classes.
        float: start without quantisers, for pre-training; ``set_quantised(True)`` switches them on.
        gates: kind of gates, one of ``flow.models.gated.GATES``, or ``DENSE_GATES`` for a DenseNet.
        exits: whether it has early exits; of a network of residual blocks also the numbers of those that it has, from 0 on.
        ungated: whether it also works with the gates switched off, through batch normalisations of its own for that.
    """
    check_name(name)
    if name in DENSENETS:
        if not isinstance(exits, bool):
            raise GatefoldError(f"{name} has all of its exits or none; leave their numbers out.")
        return create_densenet(name, num_classes, float, gates, exits, ungated)
    network, brings = equipment(name)
    if brings:
        gates, exits = gates or brings["gates"], exits or brings.get("exits", False)
    base, _, variant = network.partition("-")
    if user.is_users(name):
        model = user.make(name, num_classes)
    elif base in IMAGENET:
        if gates or exits or ungated:
            raise GatefoldError(f"{name} has no gates and exits; choose one of {', '.join(NAMES)}.")
        model = IMAGENET[base](num_classes, shuffle=not variant)
        model.name = name
    elif variant in ("unshuffled", "slim") and (gates or exits or ungated):
        raise GatefoldError(f"{name} has no gates and exits; choose {base}.")
    elif variant == "slim":
        model = SlimmableResNet(name, _BLOCKS_PER_STAGE[base], num_classes)
    else:
        width = 32 if variant == "w32" else 16
        model = SwitchableResNet(network, _BLOCKS_PER_STAGE[base], num_classes, variant != "unshuffled", width)
    if gates or exits or ungated:
        equip(model, gates, exits, ungated)
    model.name = model.name if network == name else name
    model.set_quantised(not float)
    return model
