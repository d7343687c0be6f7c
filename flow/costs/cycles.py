"""Clock cycles of the tile engine with channel masks: the formula of ``flow.engine.cost``, over the active channels of every
image. A tuple is up to PE active outputs of one group.
"""

from torch import Tensor

from flow.costs.activity import Activity
from flow.engine import cost
from flow.graph.layers import IMAGE
from flow.nn.spec import LayerSpec


def layer_cycles(spec: LayerSpec, active: Activity, config: cost.Engine) -> Tensor:
    """Cycles of one layer that runs, float64 [N] or [1].

    On hard decisions this is what the engine takes, but for the LSTM of layer gates, whose three layers are one step there and take 9
    cycles more, and for ACS' gates: squeeze-and-excitation takes 5 more and a convolution that multiplies by its factors, and groups
    of one channel are scheduled in pairs. Its gradient, and its value for decisions between 0 and 1, are those of
    the formula with a tuple that may hold a fraction of PE outputs.
    """
    if spec.kind != "conv":
        return active.inputs.new_tensor([cost.linear_cycles(spec.in_channels, spec.out_channels, config)])
    if config.pack and packs(spec):
        inputs = active.inputs.sum(1)
        return (
            cost.packed_cycles(inputs, spec.out_channels, config, _at_least) + cost.packed_overhead(config) + cost.overhead(config)
        )
    image = spec.input == IMAGE
    inputs = active.inputs * (cost.nibble_passes(config) if image else 1)
    total = inputs.clamp(min=cost.tuple_wait(config.pe, config)) * active.outputs / config.pe
    if active.hard:
        exact = cost.group_cycles(inputs.detach().round(), active.outputs.detach().round(), config, _at_least)
        total = exact + (total - total.detach())
    return cost.block_count(spec.out_size, config) * total.sum(1) + cost.overhead(config, image)


def packs(spec: LayerSpec) -> bool:
    """`flow.engine.cost.packs` of a network's, gate's or exit's layer."""
    return (
        spec.name.startswith(("gates.", "exits."))
        and (spec.kind, spec.pool, spec.stride) == ("conv", True, 2)
        and spec.in_size <= 8
        and spec.group_counts == (1,)
        and spec.out_channels % (cost.QUARTERS * 2) == 0
    )


def _at_least(inputs: Tensor, least: int) -> Tensor:
    return inputs.clamp(min=least)
