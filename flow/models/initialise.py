"""Sane untrained networks, for building hardware before training has ended."""

import torch
from torch import nn

from flow.models.calibrate import calibrate
from flow.models.requantisation import limit_multipliers


def initialise(model: nn.Module, seed: int = 0, batch: int = 16) -> nn.Module:
    """Random weights, and batch-normalisation statistics measured on random images in every named mode.

    Args:
        model: network from ``flow.models.create``.
        seed: the same seed gives the same network.
        batch: number of random images to measure on.

    Returns:
        The model, in eval and in the full mode.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            fan_in = module.weight[0].numel()
            with torch.no_grad():
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5)
                if module.bias is not None:
                    module.bias.zero_()
    images = torch.rand(batch, 3, 32, 32, generator=generator)
    calibrate(model, [images])
    limit_multipliers(model)
    return model
