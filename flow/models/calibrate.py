"""Batch-normalisation statistics measured on images, with the decisions of inference."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from flow.models.adaptive import Adaptive
from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.modes import mode_names


@torch.no_grad()
def calibrate(model: nn.Module, batches: list[torch.Tensor]) -> None:
    """Replace the statistics of the model's modes by those of the given images.

    Gates decide hard meanwhile: soft decisions train a network on other maps than it sees later. A network that is ``ungated``
    too is measured with its gates on and off.

    Args:
        model: network; left in eval and in the full mode, with its gates as they were.
        batches: float images [N, 3, H, W] in 0..1.
    """
    model.train()
    with _cumulative_statistics(model):
        for _ in _gate_settings(model):
            for mode in mode_names(model):
                model.set_mode(mode)
                for images in batches:
                    model(images)
    model.set_mode("full")
    model.eval()


@contextmanager
def _cumulative_statistics(model: nn.Module) -> Iterator[None]:
    """Meanwhile every batch normalisation forgets its statistics at the first use, and averages those of all uses."""
    momenta: dict[nn.Module, float] = {}

    def first_use(module, args):
        norm = module.active(args[1])
        if norm not in momenta:
            momenta[norm] = norm.momentum
            norm.reset_running_stats()
            norm.momentum = None

    hooks = [m.register_forward_pre_hook(first_use) for m in model.modules() if isinstance(m, SwitchableBatchNorm2d)]
    yield
    for hook in hooks:
        hook.remove()
    for norm, momentum in momenta.items():
        norm.momentum = momentum


def _gate_settings(model: nn.Module) -> Iterator[None]:
    """Sets the gates to what they can be, one after the other, then to what they were; they decide hard meanwhile."""
    if not isinstance(model, Adaptive) or model.gates is None:
        yield
        return
    on, soft, model.soft_gates = model.gates_on, model.soft_gates, False
    for setting in (on, not on) if model.ungated else (on,):
        model.set_gates(setting)
        yield
    model.set_gates(on)
    model.soft_gates = soft
