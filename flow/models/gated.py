"""ResNets whose layers and channels are skipped image by image, with early exits."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.models.adaptive import Adaptive
from flow.models.resnet import Block, SwitchableResNet
from flow.nn.exits import ExitBranch, exit_positions
from flow.nn.gates.acs import STATIC_GROUPS
from flow.nn.gates.acs_gating import AcsGates, FeedForwardGates
from flow.nn.gates.gating import MGL2S, BlockShape, Decision, Gates, rename
from flow.nn.gates.skipnet import FFGate1, FFGate2
from flow.nn.modes import MODES
from flow.nn.spec import LayerSpec
from flow.nn.trace import Trace, Use

GATES: dict[str, Callable[[list[BlockShape]], Gates]] = {
    "ddi": MGL2S,
    "layer": lambda blocks: MGL2S(blocks, channel=False),
    "channel": lambda blocks: MGL2S(blocks, layer=False),
    "energynet": lambda blocks: MGL2S(blocks, channel=False),
    "iadi": lambda blocks: MGL2S(blocks, layer=False),
    "acs": AcsGates,
    "acs-gn": lambda blocks: AcsGates(blocks, dynamic=False),
    **{f"acs-gn-{n}": partial(AcsGates, dynamic=False, groups=n) for n in STATIC_GROUPS},
    "ffgate-1": lambda blocks: FeedForwardGates(blocks, FFGate1),
    "ffgate-2": lambda blocks: FeedForwardGates(blocks, FFGate2),
}
"""Gates by name, made for the blocks of a network."""


class GatedResNet(Adaptive, SwitchableResNet):
    """A ``SwitchableResNet`` with gates and exits; every group mode works with every setting of them.

    DDI, eq. (1)-(3): a block's output is G^L G^C C(F) + (1 - G^L G^C) F, with the shortcut's output for F where a block has a
    shortcut. In training the gates decide softly, unless ``soft_gates`` is off; in eval they always decide hard, and a quantised
    network keeps to integers: the gates read the maps in real numbers and give 0 or 1.

    Args:
        gates: one of ``GATES``, or None.
        exits: whether there are exits; they start switched on.
        ungated: whether there are batch normalisations for gates switched off, see ``Adaptive.separate``.

    Attributes:
        trace: the ``Trace`` of the last batch.
        soft_gates: whether gates decide by probabilities in training.
        modes: the group modes that training is for: the full one, or if ``ungated`` all.
    """

    def __init__(
        self,
        name: str,
        blocks_per_stage: int,
        num_classes: int = 10,
        gates: str | None = None,
        exits: bool = False,
        width: int = 16,
        ungated: bool = False,
    ):
        super().__init__(name, blocks_per_stage, num_classes, width=width)
        if gates is not None and gates not in GATES:
            raise GatefoldError(f"There are no gates '{gates}'; choose one of {', '.join(GATES)}.")
        self.options = {"gates": gates, "exits": exits, "ungated": ungated}
        shapes = self.block_shapes()
        self.gates = GATES[gates](shapes) if gates else None
        places = {shape.key: shape for shape in self._exit_blocks(shapes)} if exits else {}
        self.exits = nn.ModuleDict({k: ExitBranch(shape.channels, shape.size, num_classes) for k, shape in places.items()})
        self._exit_specs = [
            spec
            for key, shape in places.items()
            for spec in rename(self.exits[key].layers(shape.size), f"exits.{key}", f"{shape.name}.conv2")
        ]
        self.gates_on = gates is not None
        self.exits_on = exits
        self.soft_gates = True
        self.modes = MODES if ungated or gates is None else MODES[:1]
        self.trace = Trace()
        self.exit_logits: list[Tensor] = []
        if ungated:
            self.separate()
        self.to(memory_format=torch.channels_last)

    # -- structure ----------------------------------------------------------------------------------------------------

    def block_shapes(self) -> list[BlockShape]:
        """The residual blocks in execution order."""
        specs = {spec.name: spec for spec in self.layers()}
        shapes = []
        for stage_name, stage in self.stages():
            for block_name, _ in stage.blocks():
                name = f"{stage_name}.{block_name}"
                conv1 = specs[f"{name}.conv1"]
                channels = (conv1.in_channels, conv1.out_channels, conv1.in_size, conv1.out_size)
                shapes.append(BlockShape(name, *channels, conv1.input))
        return shapes

    def _exit_blocks(self, shapes: list[BlockShape]) -> list[BlockShape]:
        """Blocks with an exit; after the last block there is none, since the network's own classifier follows."""
        blocks = {f"block{i}" for i in exit_positions(self.blocks_per_stage)}
        return [shape for shape in shapes[:-1] if shape.name.split(".")[1] in blocks]

    def gate_layers(self) -> list[LayerSpec]:
        """Layers of gates and exits, named as in the trace."""
        gates = [] if self.gates is None else rename(self.gates.layers(), "gates")
        return [*gates, *self._exit_specs]

    # -- one batch ----------------------------------------------------------------------------------------------------

    def _visit(self) -> "_Visit":
        return _Visit(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        return self.all_logits(super().forward(x))


@dataclass
class _Visit:
    """One batch on its way; writes the model's ``trace`` and ``exit_logits``."""

    model: GatedResNet

    def __post_init__(self):
        model = self.model
        self.soft = model.soft_gates and model.training
        self.names = {block: f"{stage}.{name}" for stage, module in model.stages() for name, block in module.blocks()}
        self.last = list(self.names)[-1]
        self.state: dict = {}
        self.decision = Decision()
        model.trace = Trace()
        model.exit_logits = []
        self._use("stem")

    def _use(self, name: str, **decisions) -> None:
        self.model.trace.append(Use(name, self.model._switch(name).n, **decisions))

    def _gate_uses(self, decision: Decision) -> None:
        self.model.trace += [Use(f"gates.{use.name}", use.n, use.executed, use.inputs, use.outputs) for use in decision.uses]

    def enter(self, block: Block, x: Tensor, scale: float = 1.0) -> None:
        if self.model.gates_on:
            self.decision = self.model.gates.before_block(self.names[block], _real(x, scale), self.soft, self.state)
            self._gate_uses(self.decision)

    def inside(self, block: Block, x: Tensor, scale: float = 1.0) -> Tensor:
        name = self.names[block]
        if block.shortcut is not None:
            self._use(f"{name}.shortcut")
        conv1 = self.decision.conv1
        self._use(f"{name}.conv1", executed=self.decision.executed, outputs=conv1)
        if conv1 is not None:
            x = x * conv1[:, :, None, None]
        if self.model.gates_on:
            self.decision = self.model.gates.before_conv2(name, _real(x, scale), self.soft, self.decision)
            self._gate_uses(self.decision)
        inputs = None if conv1 is None else block.shuffle(conv1[:, :, None, None])[:, :, 0, 0]
        self._use(f"{name}.conv2", executed=self.decision.executed, inputs=inputs, outputs=self.decision.conv2)
        return x

    def leave(self, block: Block, out: Tensor, residual: Tensor, scale: float = 1.0) -> Tensor:
        name = self.names[block]
        out = mix(out, residual, self.decision.executed, self.decision.conv2)
        key = name.replace(".", "_")
        if self.model.exits_on and key in self.model.exits:
            branch = self.model.exits[key]
            self.model.exit_logits.append(branch(_real(out, scale)))
            self.model.trace += [Use(f"exits.{key}.{spec.name}") for spec in branch.layers(out.shape[-1])]
        if block is self.last:
            self._use("classifier")
        return out


def _real(x: Tensor, scale: float) -> Tensor:
    """The map as gates and exits read it, in the precision of their weights where training has bfloat16 maps."""
    x = x.float() if x.dtype == torch.bfloat16 else x
    return x if scale == 1.0 else x * scale


def mix(out: Tensor, residual: Tensor, layer: Tensor | None, channel: Tensor | None) -> Tensor:
    """DDI, eq. (3): g * out + (1 - g) * residual with g = layer * channel; eq. (1) or (2) if one of them is None.

    Args:
        out, residual: [N, C, H, W]; layer: [N]; channel: [N, C].
    """
    if layer is None and channel is None:
        return out
    g = 1.0
    if layer is not None:
        g = layer[:, None, None, None]
    if channel is not None:
        g = g * channel[:, :, None, None]
    return residual + g * (out - residual)
