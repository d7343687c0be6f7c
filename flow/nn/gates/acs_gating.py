"""Gates of residual networks in ACS (Zou et al., 2023): its own before each convolution, and the layer gates of SkipNet."""

from dataclasses import replace

from torch import Tensor, nn

from flow.nn.gates.acs import AcsGate
from flow.nn.gates.decision import Judge
from flow.nn.gates.gating import BlockGates, BlockShape, Decision, Gates, rename
from flow.nn.gates.skipnet import FFGate1, FFGate2
from flow.nn.gates.uses import gate_uses
from flow.nn.spec import LayerSpec


class AcsGates(Gates):
    """A gate per 3x3 convolution, for its output channels, deciding from the map that it reads (eq. 1).

    Args:
        blocks: see ``Gates``.
        dynamic, groups, share: see ``AcsGate``.
    """

    def __init__(self, blocks: list[BlockShape], dynamic: bool = True, groups: int | None = None, share: int = 2):
        super().__init__(blocks)
        kind = {"dynamic": dynamic, "groups": groups, "share": share}
        self.conv1 = nn.ModuleDict({b.key: AcsGate(b.in_channels, b.channels, **kind) for b in blocks})
        self.conv2 = nn.ModuleDict({b.key: AcsGate(b.channels, b.channels, **kind) for b in blocks})

    def layers(self) -> list[LayerSpec]:
        specs = []
        for block in self.blocks.values():
            specs += rename(self.conv1[block.key].layers(block.in_size), f"conv1.{block.key}", block.source)
            specs += rename(self.conv2[block.key].layers(block.size), f"conv2.{block.key}", f"{block.name}.conv1")
        return specs

    def of_block(self, name: str) -> BlockGates:
        key = self.blocks[name].key
        return BlockGates(conv1=f"conv1.{key}", conv2=f"conv2.{key}")

    def before_block(self, name: str, x: Tensor, judge: Judge, state: dict) -> Decision:
        key = self.blocks[name].key
        gate = self.conv1[key]
        return Decision(conv1=judge(f"conv1.{key}", x), uses=gate_uses(gate, f"conv1.{key}", x))

    def before_conv2(self, name: str, x: Tensor, judge: Judge, decision: Decision) -> Decision:
        key = self.blocks[name].key
        gate = self.conv2[key]
        uses = gate_uses(gate, f"conv2.{key}", x, inputs=decision.conv1)
        return replace(decision, conv2=judge(f"conv2.{key}", x), uses=uses)


class FeedForwardGates(Gates):
    """A layer gate per block: FFGate-I or FFGate-II.

    Args:
        blocks: see ``Gates``.
        kind: class of the gates.
    """

    def __init__(self, blocks: list[BlockShape], kind: type[FFGate1] | type[FFGate2]):
        super().__init__(blocks)
        self.layer = nn.ModuleDict({block.key: kind(block.in_channels) for block in blocks})

    def layers(self) -> list[LayerSpec]:
        specs = []
        for block in self.blocks.values():
            specs += rename(self.layer[block.key].layers(block.in_size), f"layer.{block.key}", block.source)
        return specs

    def of_block(self, name: str) -> BlockGates:
        return BlockGates(layer=f"layer.{self.blocks[name].key}")

    def before_block(self, name: str, x: Tensor, judge: Judge, state: dict) -> Decision:
        key = self.blocks[name].key
        gate = self.layer[key]
        return Decision(judge(f"layer.{key}", x)[:, 0], uses=gate_uses(gate, f"layer.{key}", x))
