"""The layers of a gate in the trace of a network."""

from torch import Tensor, nn

from flow.nn.dynamic_group import DynamicGroupConv2d
from flow.nn.trace import Use


def gate_uses(gate: nn.Module, prefix: str, x: Tensor, executed: Tensor | None = None, inputs: Tensor | None = None) -> list[Use]:
    """One ``Use`` per layer of a gate that decides from the map x.

    While a dynamic group convolution learns its group count, its ``Use`` is that of the dense layer, executed to the share of
    connections left: the same number of products, with a gradient for the gate vector.

    Args:
        gate: module with ``layers(in_size)``.
        prefix: path of the gate in the network.
        x: the map [N, C, H, W].
        executed: [N], whether the gate ran; None: always.
        inputs: [N, C], which channels of x are active; None: all.
    """
    modules = dict(gate.named_modules())
    uses = []
    for i, spec in enumerate(gate.layers(x.shape[-1])):
        conv = getattr(modules[spec.name], "conv", modules[spec.name])
        n, ran = conv.n, executed
        if isinstance(conv, DynamicGroupConv2d) and conv.gate.requires_grad and gate.training:
            n, share = 1, conv.density().expand(x.shape[0])
            ran = share if executed is None else share * executed
        uses.append(Use(f"{prefix}.{spec.name}", n, ran, inputs if i == 0 else None))
    return uses
