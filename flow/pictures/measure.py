"""The figures behind the pictures, measured on images with the integers of the hardware."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from flow.costs import Accounting
from flow.nn.modes import mode_names
from flow.training.evaluate import batches, predict
from flow.training.exits import exit_accuracies
from flow.training.skip_ratio import decisions

UNITS = ("macs", "cycles", "energy")
BATCH = 100


@dataclass(frozen=True)
class Setting:
    """What a network gives in one setting, and what it costs.

    Attributes:
        name: its mode; for gates and exits, what of them is on.
        accuracy: 0..1.
        costs: unit (``UNITS``) to the mean cost of an image, gates and exits included. Energy is modelled.
    """

    name: str
    accuracy: float
    costs: dict[str, float]


def gate_settings(model: nn.Module) -> tuple[bool, ...]:
    """What the gates of a network can be: off if it has none or was trained for that (``ungated``), on if it has some."""
    if not getattr(model, "gates_on", False):
        return (False,)
    return (False, True) if model.ungated else (True,)


def settings(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, on_batch: Callable[[int], None] = lambda _: None
) -> list[Setting]:
    """Every mode of a network, with gates and without as it was trained, and every exit of the full mode.

    Args:
        model: quantised network; left in eval, in the full mode, with its gates and exits as they were.
        images: uint8 [N, 32, 32, 3]; labels: int64 [N].
        on_batch: called with the number of images of each batch.
    """
    accounting = {unit: Accounting(model, unit) for unit in UNITS}
    gates, exits = getattr(model, "gates_on", False), getattr(model, "exits_on", False)
    found = []
    if exits:
        model.set_exits(False)
    for mode in mode_names(model):
        for gated in gate_settings(model):
            if gates:
                model.set_gates(gated)
            spent = {unit: 0.0 if gated else costs.of_mode(mode) for unit, costs in accounting.items()}

            def count(n):
                for unit, costs in accounting.items() if gated else ():
                    spent[unit] += float(costs.of(model.trace).sum()) / len(images)
                on_batch(n)

            right = float((predict(model, images, mode, BATCH, count) == labels).mean())
            found.append(Setting(f"{mode}, gates" if gated else mode, right, spent))
    model.set_mode("full")
    if exits:
        model.set_exits(True)
        for i, (right, spent) in enumerate(exit_accuracies(model, images, labels, list(accounting.values()))):
            found.append(Setting(f"exit {i}", right, dict(zip(accounting, spent))))
    return found


@dataclass(frozen=True)
class Skips:
    """What the gates of a network skip.

    Attributes:
        layers: layer name to the share of its decisions that are to skip, 0..1; layers without gates are left out.
        images: skip ratio of every image, float64 [N].
        channels: layer name to the share of the images in which each of its decisions is to skip, float64 [D].
        classes: layer name to the share of its decisions that are to skip in the images of each class, float64 [classes], in the
            order of the labels that occur; empty without labels.
    """

    layers: dict[str, float]
    images: np.ndarray
    channels: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]


@torch.no_grad()
def skips(model: nn.Module, images: np.ndarray, labels: np.ndarray | None = None) -> Skips:
    """Run a network with gates in its mode over images uint8 [N, 32, 32, 3], with labels int64 [N] if they are known."""
    kept: dict[str, list[np.ndarray]] = {}
    for _, part in batches(images, BATCH):
        model.integer_logits(part)
        for use in model.trace:
            ran = decisions(use)
            if ran is not None:
                kept.setdefault(use.name, []).append(ran.cpu().double().numpy())
    whole = {name: np.concatenate(parts) for name, parts in kept.items()}
    if not whole:
        return Skips({}, np.zeros(len(images)), {}, {})
    found = () if labels is None else np.unique(labels)
    return Skips(
        {name: 1 - float(k.mean()) for name, k in whole.items()},
        1 - np.concatenate(list(whole.values()), 1).mean(1),
        {name: 1 - k.mean(0) for name, k in whole.items()},
        {name: np.array([1 - k[labels == label].mean() for label in found]) for name, k in whole.items() if len(found)},
    )


def features(model: nn.Module, image: np.ndarray, layer: str) -> tuple[np.ndarray, np.ndarray]:
    """Output of a layer for one image uint8 [32, 32, 3], gates on and off: int64 [C, H, W] each."""
    with_gates = model.integer_stations(image[None])[layer][0]
    model.set_gates(False)
    try:
        return with_gates, model.integer_stations(image[None])[layer][0]
    finally:
        model.set_gates(True)
