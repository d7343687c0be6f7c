"""Clock cycles of the tile engine with channel masks (the formula of ``flow.engine.cost``, with active lists).

    blocks * sum_groups sum_tuples max(active inputs of the group, ceil(P * outputs of the tuple / R), 1)  +  overhead

A tuple is up to PE active outputs of one group.
"""

import torch
from torch import Tensor

from flow.costs.activity import Activity
from flow.engine.config import EngineConfig
from flow.engine.cost import CONV_DRAIN, FRAME_OVERHEAD, LINEAR_OVERHEAD
from flow.graph.layers import IMAGE
from flow.nn.spec import LayerSpec


def layer_cycles(spec: LayerSpec, active: Activity, config: EngineConfig) -> Tensor:
    """Cycles of one layer that runs, float64 [N] or [1].

    On hard decisions this is what the engine takes. Its gradient, and its value for decisions between 0 and 1, are those of
    the formula with a tuple that may hold a fraction of PE outputs.
    """
    if spec.kind != "conv":
        return active.inputs.new_tensor([spec.out_channels * -(-spec.in_channels // config.v) + LINEAR_OVERHEAD])
    image = spec.input == IMAGE
    overhead = CONV_DRAIN + config.pe * config.p // config.r + (FRAME_OVERHEAD if image else 0)
    blocks = -(-(spec.out_size**2) // config.p)
    inputs = active.inputs * (2 if image else 1)  # two nibbles per colour
    total = _smooth(inputs, active.outputs, config)
    if active.hard:
        exact = _exact(inputs.detach(), active.outputs.detach(), config)
        total = exact + (total - total.detach())
    return blocks * total.sum(1) + overhead


def _smooth(inputs: Tensor, outputs: Tensor, config: EngineConfig) -> Tensor:
    per_tuple = torch.clamp(inputs, min=max(-(-config.p * config.pe // config.r), 1))
    return per_tuple * outputs / config.pe


def _exact(inputs: Tensor, outputs: Tensor, config: EngineConfig) -> Tensor:
    inputs, outputs = inputs.round(), outputs.round()
    full = torch.div(outputs, config.pe, rounding_mode="floor")
    rest = outputs - full * config.pe
    whole = torch.clamp(inputs, min=max(-(-config.p * config.pe // config.r), 1))
    last = torch.maximum(inputs, torch.ceil(config.p * rest / config.r).clamp(min=1))
    return full * whole + (rest > 0) * last
