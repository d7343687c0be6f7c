"""Refining the full network without touching its group modes.

Half of the weights of a convolution connect different halves of its channels: only the full network (n = 1) uses them, and
only it uses the batch normalisation of n = 1. Training these alone leaves every other mode bit for bit as it was, as long as
the weight scale of a channel, which all modes share, stays too.
"""

import torch
from torch import Tensor

from flow.nn.groups import group_mask


def _convolutions(model):
    return [(spec.name, model.get_submodule(spec.name)) for spec in model.layers() if spec.kind == "conv"]


def _largest(weight: Tensor) -> Tensor:
    """True at the weights that set the scale of their output channel."""
    magnitude = weight.abs()
    return magnitude == magnitude.amax(dim=(1, 2, 3), keepdim=True)


def weight_bounds(model) -> dict[str, Tensor]:
    """Largest magnitude of the weights of each output channel, [Co, 1, 1, 1], by layer name."""
    return {
        name: unit.conv.weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True) for name, unit in _convolutions(model)
    }


def freeze_shared_statistics(model) -> None:
    """Put batch normalisations that every mode uses into eval."""
    for _, unit in _convolutions(model):
        if len(unit.conv.group_counts) == 1:
            unit.norm.eval()


@torch.no_grad()
def keep_own_gradients(model) -> None:
    """Drop all gradients but those of weights and batch normalisations that only the full network uses."""
    own = set()
    for _, unit in _convolutions(model):
        if len(unit.conv.group_counts) == 1:
            continue
        own.update(unit.norm.norms["1"].parameters())
        weight = unit.conv.weight
        shared = group_mask(unit.conv.out_channels, unit.conv.in_channels, 2).to(weight.device)[:, :, None, None]
        weight.grad.masked_fill_(shared | _largest(weight), 0)
        own.add(weight)
    for parameter in model.parameters():
        if parameter not in own:
            parameter.grad = None


@torch.no_grad()
def keep_weight_scales(model, bounds: dict[str, Tensor]) -> None:
    """Bring weights that grew beyond their channel's ``weight_bounds`` back to them."""
    for name, unit in _convolutions(model):
        unit.conv.weight.clamp_(-bounds[name], bounds[name])
