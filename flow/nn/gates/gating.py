"""Gates of a whole network: what the network asks them, and MGL2S of DDI as one answer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from flow.nn.gates.channel import ChannelGate
from flow.nn.gates.decision import Judge
from flow.nn.gates.recurrent import LayerGate
from flow.nn.gates.unit import ConvGate
from flow.nn.gates.uses import gate_uses
from flow.nn.spec import LayerSpec
from flow.nn.trace import Use


@dataclass(frozen=True)
class BlockShape:
    """A residual block of two convolutions.

    Attributes:
        name: path in the network, for example ``stage2.block1``.
        in_channels, channels: of the map it reads and of both convolutions' outputs.
        in_size, size: height and width of these maps.
        source: layer that makes the map it reads.
    """

    name: str
    in_channels: int
    channels: int
    in_size: int
    size: int
    source: str

    @property
    def key(self) -> str:
        """The name, as a key of a ``ModuleDict``."""
        return self.name.replace(".", "_")


@dataclass
class Decision:
    """Decisions for one block and N images, 0..1 each, exactly 0 or 1 unless soft.

    Attributes:
        executed: [N], whether the block runs; None: always.
        conv1, conv2: [N, K], output channels of the convolutions that run; None: all. Of a block that does not run they mean
            nothing.
        uses: the gates' layers that ran since the last question.
    """

    executed: Tensor | None = None
    conv1: Tensor | None = None
    conv2: Tensor | None = None
    uses: list[Use] = field(default_factory=list)


@dataclass(frozen=True)
class BlockGates:
    """Which gates decide for a block, by their names among the network's gates; None: none does.

    Attributes:
        layer: on the whole block; of one that all blocks share, "layer" and the block's key. conv1, conv2: on the output channels of its convolutions.
    """

    layer: str | None = None
    conv1: str | None = None
    conv2: str | None = None


class Gates(nn.Module):
    """Gates of all blocks. The network asks once before a block, and once more between its convolutions.

    Args:
        blocks: the blocks in execution order.

    Attributes:
        threshold: a unit runs from this probability on.
    """

    def __init__(self, blocks: list[BlockShape]):
        super().__init__()
        self.blocks = {block.name: block for block in blocks}
        self.threshold = 0.5

    def layers(self) -> list[LayerSpec]:
        """All gates' layers, named relative to this module."""
        raise NotImplementedError

    def of_block(self, name: str) -> BlockGates:
        """The gates of a block."""
        raise NotImplementedError

    def before_block(self, name: str, x: Tensor, judge: Judge, state: dict) -> Decision:
        """Decide for a block.

        Args:
            name: of the block; x: the map it reads.
            judge: how.
            state: empty at the start of a batch; kept between its blocks for the gates to remember in.
        """
        raise NotImplementedError

    def before_conv2(self, name: str, x: Tensor, judge: Judge, decision: Decision) -> Decision:
        """Decide once more when the first convolution has made the map x (before the shuffle)."""
        return replace(decision, uses=[])


def rename(specs: list[LayerSpec], prefix: str, source: str | None = None) -> list[LayerSpec]:
    """Layers of a module under their path in the network; what they read from outside comes from layer ``source``, if given."""
    own = {spec.name for spec in specs}

    def origin(name: str) -> str:
        return f"{prefix}.{name}" if name in own else source or name

    return [replace(spec, name=f"{prefix}.{spec.name}", input=origin(spec.input)) for spec in specs]


class MGL2S(Gates):
    """Multi-grained learning to skip (DDI, section III-A1): one recurrent gate for layers, one gate per block for channels.

    The k-vector of a block's channel gate masks the outputs of both its convolutions (docs/decisions/004). Coarse to fine: in
    inference the channels of a skipped block are not decided, they are 0.

    Args:
        blocks: see ``Gates``.
        layer, channel: which gates there are. The layer gate alone is EnergyNet's.
        kind: class of the channel gates.
    """

    def __init__(
        self, blocks: list[BlockShape], layer: bool = True, channel: bool = True, kind: Callable[[int, int], ConvGate] = ChannelGate
    ):
        super().__init__(blocks)
        self.layer = LayerGate([block.in_channels for block in blocks]) if layer else None
        gates = {block.key: kind(block.in_channels, block.channels) for block in blocks} if channel else {}
        self.channel = nn.ModuleDict(gates)

    def layers(self) -> list[LayerSpec]:
        first = next(iter(self.blocks.values()))
        specs = [] if self.layer is None else rename(self.layer.layers(), "layer", first.source)
        for block in self.blocks.values():
            if block.key in self.channel:
                specs += rename(self.channel[block.key].layers(block.in_size), f"channel.{block.key}", block.source)
        return specs

    def of_block(self, name: str) -> BlockGates:
        key = self.blocks[name].key
        channel = f"channel.{key}" if key in self.channel else None
        return BlockGates(None if self.layer is None else f"layer.{key}", channel, channel)

    def before_block(self, name: str, x: Tensor, judge: Judge, state: dict) -> Decision:
        decision = Decision()
        if self.layer is not None:
            decision.executed, state["lstm"] = judge.recurrent("layer", self.blocks[name].key, x, state.get("lstm"))
            decision.uses += [Use(f"layer.{step}") for step in self.layer.steps(x.shape[1])]
        key = self.blocks[name].key
        if key in self.channel:
            decision.conv1 = decision.conv2 = judge(f"channel.{key}", x, decision.executed)
            decision.uses += gate_uses(self.channel[key], f"channel.{key}", x, decision.executed)
        return decision
