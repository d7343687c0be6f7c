"""Gates of a whole DenseNet: per dense layer, whether it runs, and which of its new channels."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from flow.nn.gates.acs import STATIC_GROUPS, AcsGate
from flow.nn.gates.decision import decide
from flow.nn.gates.dense import DenseGate
from flow.nn.gates.gating import Decision, rename
from flow.nn.gates.recurrent import LayerGate
from flow.nn.gates.skipnet import FFGate1, FFGate2
from flow.nn.gates.uses import gate_uses
from flow.nn.spec import LayerSpec
from flow.nn.trace import Use


@dataclass(frozen=True)
class DenseShape:
    """A dense layer.

    Attributes:
        name: path in the network, for example ``block1.layer2``.
        channels: of the concatenated map it reads; bottleneck: of its 1x1 convolution; growth: that it adds.
        size: height and width of its maps.
        first: whether it is the first of its block, which cannot be skipped as a whole.
        source: last of the layers that make the map it reads.
    """

    name: str
    channels: int
    bottleneck: int
    growth: int
    size: int
    first: bool
    source: str

    @property
    def key(self) -> str:
        """The name, as a key of a ``ModuleDict``."""
        return self.name.replace(".", "_")


Factory = Callable[[DenseShape], nn.Module]


class DenseGates(nn.Module):
    """Gates of the dense layers; ``Decision.conv2`` holds the decisions for a layer's new channels.

    Args:
        shapes: the dense layers in execution order.
        channel: makes the channel gate of a layer; None: no such gates.
        layer: makes the layer gate of a layer; None: no such gates.
        recurrent: whether one LSTM gate, shared by all layers, decides on layers.

    Attributes:
        threshold: a unit runs from this probability on.
    """

    def __init__(
        self, shapes: list[DenseShape], channel: Factory | None = None, layer: Factory | None = None, recurrent: bool = False
    ):
        super().__init__()
        self.shapes = {shape.name: shape for shape in shapes}
        self.threshold = 0.5
        skippable = [shape for shape in shapes if not shape.first]
        self.channel = nn.ModuleDict({shape.key: channel(shape) for shape in shapes} if channel else {})
        self.layer = nn.ModuleDict({shape.key: layer(shape) for shape in skippable} if layer else {})
        self.recurrent = LayerGate([shape.channels for shape in skippable]) if recurrent else None

    def layers(self) -> list[LayerSpec]:
        """All gates' layers, named relative to this module."""
        specs = []
        if self.recurrent is not None:
            specs += rename(self.recurrent.layers(), "recurrent", next(iter(self.shapes.values())).source)
        for shape in self.shapes.values():
            for kind in ("layer", "channel"):
                gates = getattr(self, kind)
                if shape.key in gates:
                    specs += rename(gates[shape.key].layers(shape.size), f"{kind}.{shape.key}", shape.source)
        return specs

    def decide(self, name: str, x: Tensor, active: Tensor | None, soft: bool, state: dict) -> Decision:
        """Decide for a dense layer; its channel gate runs only where the layer does (DDI, section III-A1).

        Args:
            name: of the layer; x: the 4-bit map that it reads; active: [N, C], its active channels.
            soft: decide by probabilities, or by their thresholds.
            state: empty at the start of a batch.
        """
        shape = self.shapes[name]
        decision = Decision()
        if self.recurrent is not None and not shape.first:
            p, state["lstm"] = self.recurrent(x, state.get("lstm"))
            decision.executed = decide(p, soft, self.threshold)
            decision.uses += [Use(f"recurrent.{step}") for step in self.recurrent.steps(shape.channels)]
        if shape.key in self.layer:
            gate = self.layer[shape.key]
            decision.executed = decide(gate(x)[:, 0], soft, self.threshold)
            decision.uses += gate_uses(gate, f"layer.{shape.key}", x, inputs=active)
        if shape.key in self.channel:
            gate = self.channel[shape.key]
            decision.conv2 = decide(gate(x), soft, self.threshold)
            decision.uses += gate_uses(gate, f"channel.{shape.key}", x, decision.executed, active)
        return decision


def _acs(dynamic: bool, groups: int | None = None) -> Factory:
    # As wide as the growth rate, or the power of two below: the paper's gates have 32 channels at growth 32.
    return lambda shape: AcsGate(shape.channels, shape.growth, 1 << (shape.growth.bit_length() - 1), dynamic, groups)


def _dense(shape: DenseShape) -> DenseGate:
    return DenseGate(shape.channels, shape.growth, shape.bottleneck)


DENSE_GATES: dict[str, Callable[[list[DenseShape]], DenseGates]] = {
    "acs-gn": lambda shapes: DenseGates(shapes, channel=_acs(False)),
    "acs": lambda shapes: DenseGates(shapes, channel=_acs(True)),
    **{f"acs-gn-{n}": partial(DenseGates, channel=_acs(False, n)) for n in STATIC_GROUPS},
    "iadi": lambda shapes: DenseGates(shapes, channel=_dense),
    "channel": lambda shapes: DenseGates(shapes, channel=_dense),
    "layer": lambda shapes: DenseGates(shapes, recurrent=True),
    "energynet": lambda shapes: DenseGates(shapes, recurrent=True),
    "ddi": lambda shapes: DenseGates(shapes, channel=_dense, recurrent=True),
    "ffgate-1": lambda shapes: DenseGates(shapes, layer=lambda shape: FFGate1(shape.channels)),
    "ffgate-2": lambda shapes: DenseGates(shapes, layer=lambda shape: FFGate2(shape.channels)),
}
"""Gates by name, made for the dense layers of a network."""
