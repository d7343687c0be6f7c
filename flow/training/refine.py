"""Refining one group mode without touching those with more groups.

Half of the weights of a convolution in mode n connect channels that mode 2n separates: no mode with more groups uses them, nor
the batch normalisation of n. Training these alone leaves every such mode bit for bit as it was, as long as the weight scale of
a channel, which all modes share, stays too. From the mode with the most groups down to the full network, each mode adds its
own to what is there.
"""

import torch
from torch import Tensor, nn


def _convolutions(model):
    return [(spec.name, model.get_submodule(spec.name)) for spec in model.layers() if spec.kind == "conv"]


def _largest(weight: Tensor) -> Tensor:
    """True at the weights that set the scale of their output channel."""
    magnitude = weight.abs()
    return magnitude == magnitude.amax(dim=(1, 2, 3), keepdim=True)


def weight_bounds(model: nn.Module) -> dict[str, Tensor]:
    """Largest magnitude of the weights of each output channel, [Co, 1, 1, 1], by layer name."""
    return {name: unit.conv.weight.detach().abs().amax(dim=(1, 2, 3), keepdim=True) for name, unit in _convolutions(model)}


def freeze_shared_statistics(model: nn.Module) -> None:
    """Put batch normalisations that every mode uses into eval."""
    for _, unit in _convolutions(model):
        if len(unit.conv.group_counts) == 1:
            unit.norm.eval()


@torch.no_grad()
def keep_own_gradients(model: nn.Module, n: int) -> None:
    """Drop all gradients but those of weights and batch normalisations that no mode with more than n groups uses."""
    own = set()
    for _, unit in _convolutions(model):
        counts = unit.conv.group_counts
        if n not in counts or len(counts) == 1:
            continue
        own.update(unit.norm.active(n).parameters())
        weight = unit.conv.weight
        frozen = _largest(weight)
        if 2 * n in counts:
            frozen = frozen | (getattr(unit.conv, f"mask{2 * n}") > 0)
        weight.grad.masked_fill_(frozen, 0)
        own.add(weight)
    for parameter in model.parameters():
        if parameter not in own:
            parameter.grad = None


@torch.no_grad()
def keep_weight_scales(model: nn.Module, bounds: dict[str, Tensor]) -> None:
    """Bring weights that grew beyond their channel's ``weight_bounds`` back to them."""
    for name, unit in _convolutions(model):
        unit.conv.weight.clamp_(-bounds[name], bounds[name])
