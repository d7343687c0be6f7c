"""Keeps requantisation multipliers inside what the hardware can hold.

The engine multiplies accumulators by a 25-bit signed number and shifts by 26, so |A| < 1/4. A channel that sees very few
inputs (1x1 convolution, 16 groups) can ask for more; its batch-normalisation gain is then lowered, during training already,
so that the network adapts to it.
"""

from itertools import product

import numpy as np
import torch
from torch import nn

from flow.nn.batchnorm import SwitchableBatchNorm2d

MULTIPLIER_LIMIT = 0.2499


@torch.no_grad()
def limit_multipliers(model: nn.Module, only: int | None = None) -> None:
    """Lower batch-normalisation gains in place until every |A| <= 0.2499.

    Args:
        model: network with ``layers()``; nothing is done to one that no engine is for: without an integer model, or US-Net's.
        only: look at this group count of the convolutions that have it (None: at all convolutions, gates among them, and group counts).
    """
    if not hasattr(model, "integer_layer"):
        return
    for spec in (*model.layers(), *model.exact_gate_layers().values()):
        if spec.kind != "conv":
            continue
        norm = model.get_submodule(spec.name).norm
        if not isinstance(norm, SwitchableBatchNorm2d):
            continue
        integers = model.integer_layer(spec.name)
        now = norm.ungated
        counts = norm.group_counts if only is None else {only} & set(norm.group_counts)
        for ungated, n in product((False, True) if norm.separated else (now,), counts):
            norm.ungated = ungated
            multiplier = np.abs(integers.affine(n)[0])
            if multiplier.max() > MULTIPLIER_LIMIT:
                gain = np.minimum(1, MULTIPLIER_LIMIT / np.maximum(multiplier, 1e-30))
                weight = norm.active(n).weight
                weight.mul_(torch.from_numpy(gain).to(weight))
        norm.ungated = now
