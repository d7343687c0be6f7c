"""Clock cycles of the tile engine with channel masks: the formula of ``flow.engine.cost``, over the active channels of every
image. A tuple is up to PE active outputs of one group.
"""

from torch import Tensor

from flow.costs.activity import Activity
from flow.engine import cost
from flow.graph.layers import IMAGE, MAP_SIZES
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
    quarters = cost.QUARTERS if config.pack and packs(spec) else 1
    image = spec.input == IMAGE
    inputs = active.inputs * (cost.nibble_passes(config) if image else 1)
    total = inputs.clamp(min=quarters * cost.tuple_wait(config.pe, config)) * active.outputs / (quarters * config.pe)
    if active.hard:
        exact = cost.group_cycles(inputs.detach().round(), active.outputs.detach().round(), config, _at_least, quarters)
        total = exact + (total - total.detach())
    return cost.block_count(spec.out_size, config) * total.sum(1) + cost.overhead(config, image, quarters)


def packs(spec: LayerSpec) -> bool:
    """`flow.engine.cost.packs` of a network's, gate's or exit's layer."""
    own = spec.name.startswith(("gates.", "exits.")) and spec.kind == "conv" and spec.pool
    return own and cost.packs_shape(max(spec.in_size, MAP_SIZES[0]), spec.stride, spec.out_channels, spec.group_counts)


def _at_least(inputs: Tensor, least: int) -> Tensor:
    return inputs.clamp(min=least)
