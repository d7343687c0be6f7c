"""Networks whose layers and channels are skipped image by image, with early exits.

DDI, eq. (1)-(3): a block's output is G^L G^C C(F) + (1 - G^L G^C) F, with the shortcut's output for F where a block has a
shortcut.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.nn.exits import ExitBranch, exit_positions
from flow.nn.gates.acs import STATIC_GROUPS
from flow.nn.gates.acs_gating import AcsGates, FeedForwardGates
from flow.nn.gates.decision import ByProbability, Judge
from flow.nn.gates.gating import MGL2S, BlockShape, Decision, Gates, rename
from flow.nn.gates.pooled import PooledGate
from flow.nn.gates.skipnet import FFGate1, FFGate2
from flow.nn.layers import Residual
from flow.nn.modes import MODES
from flow.nn.trace import Trace, Use

GATES: dict[str, Callable[[list[BlockShape]], Gates]] = {
    "ddi": MGL2S,
    "layer": lambda blocks: MGL2S(blocks, channel=False),
    "channel": lambda blocks: MGL2S(blocks, layer=False),
    "pooled": lambda blocks: MGL2S(blocks, layer=False, kind=PooledGate),
    "energynet": lambda blocks: MGL2S(blocks, channel=False),
    "iadi": lambda blocks: MGL2S(blocks, layer=False),
    "acs": AcsGates,
    "acs-quarter": partial(AcsGates, share=4),
    "acs-gn": lambda blocks: AcsGates(blocks, dynamic=False),
    **{f"acs-gn-{n}": partial(AcsGates, dynamic=False, groups=n) for n in STATIC_GROUPS},
    "ffgate-1": lambda blocks: FeedForwardGates(blocks, FFGate1),
    "ffgate-2": lambda blocks: FeedForwardGates(blocks, FFGate2),
}
"""Gates by name, made for the blocks of a network."""


def equip(model: nn.Module, gates: str | None = None, exits: bool | Sequence[int] = False, ungated: bool = False) -> None:
    """Give a network gates and exits, which start switched on.

    Args:
        model: a ``Network``.
        gates: one of ``GATES``, or None.
        exits: whether there are exits: at 1/4 and 3/4 of each row of residual blocks that make maps of one shape; or the numbers of
            those that there are, from 0 on.
        ungated: whether there are batch normalisations for gates switched off, see ``Adaptive.separate``.
    """
    if gates is not None and gates not in GATES:
        raise GatefoldError(f"There are no gates '{gates}'; choose one of {', '.join(GATES)}.")
    shapes = model.block_shapes()
    places = {shape.key: shape for shape in _exit_blocks(shapes)} if exits else {}
    if gates and not shapes or exits and not places:
        raise GatefoldError(
            f"{model.name} has too few residual blocks for gates or exits, which stand at blocks; give it more, or train it without."
        )
    if not isinstance(exits, bool):
        if sorted(set(exits)) != list(exits) or not set(exits) <= set(range(len(places))):
            raise GatefoldError(
                f"{model.name} has places for {len(places)} exits and none like {','.join(map(str, exits))}; give numbers from 0 to "
                f"{len(places) - 1}, each once and in order."
            )
        places = {key: places[key] for key in [list(places)[number] for number in exits]}
    model.options = {"gates": gates, "exits": exits, "ungated": ungated}
    if gates:
        model.gates = GATES[gates](shapes)
    model.exits = nn.ModuleDict({k: ExitBranch(shape.channels, shape.size, model.num_classes) for k, shape in places.items()})
    model.exit_specs = [
        spec
        for key, shape in places.items()
        for spec in rename(model.exits[key].layers(shape.size), f"exits.{key}", f"{shape.name}.conv2")
    ]
    model.gates_on, model.exits_on = gates is not None, bool(exits)
    model.modes = MODES if ungated or gates is None else MODES[:1]
    if ungated:
        model.separate()
    model.to(memory_format=torch.channels_last)


def _exit_blocks(shapes: list[BlockShape]) -> list[BlockShape]:
    """Blocks with an exit; after the last block there is none, since the network's own classifier follows."""
    rows = [list(row) for _, row in groupby(shapes, lambda shape: (shape.channels, shape.size))]
    return [row[at - 1] for row in rows for at in exit_positions(len(row)) if row[at - 1] is not shapes[-1]]


class Gating:
    """One batch on its way: the ``Visit`` of a network with gates or exits; writes its ``trace`` and ``exit_logits``.

    Args:
        model: the network.
        judge: how its gates decide and its exits compute; None: by probabilities, in real numbers.
    """

    def __init__(self, model: nn.Module, judge: Judge | None = None):
        self.model = model
        self.judge = judge or ByProbability(model.gates, model.soft_gates and model.training, model.exits)
        self.names = {model.get_submodule(shape.name): shape.name for shape in model.block_shapes()}
        self.state: dict = {}
        self.decision = Decision()
        model.trace = Trace()
        model.exit_logits = []

    def _use(self, name: str, **decisions) -> None:
        self.model.trace.append(Use(name, self.model.switch(name).n, **decisions))

    def layer(self, name: str) -> None:
        if name.rpartition(".")[0] not in self.names.values():  # those of blocks are noted with what is decided of them
            self._use(name)

    def _gate_uses(self, decision: Decision) -> None:
        self.model.trace += [Use(f"gates.{use.name}", use.n, use.executed, use.inputs, use.outputs) for use in decision.uses]

    def enter(self, block: Residual, x: Tensor, scale: float) -> None:
        if self.model.gates_on:
            self.decision = self.model.gates.before_block(self.names[block], _real(x, scale), self.judge, self.state)
            self._gate_uses(self.decision)

    def inside(self, block: Residual, x: Tensor, scale: float) -> Tensor:
        name = self.names[block]
        if block.shortcut is not None:
            self._use(f"{name}.shortcut")
        conv1 = self.decision.conv1
        self._use(f"{name}.conv1", executed=self.decision.executed, outputs=conv1)
        if conv1 is not None:
            x = x * conv1[:, :, None, None]
        elif self.decision.executed is not None and not self.model.training:
            x = x * self.decision.executed[:, None, None, None]  # not computed, though nothing that counts reads it
        if self.model.gates_on:
            self.decision = self.model.gates.before_conv2(name, _real(x, scale), self.judge, self.decision)
            self._gate_uses(self.decision)
        inputs = None if conv1 is None else block.shuffle(conv1[:, :, None, None])[:, :, 0, 0]
        self._use(f"{name}.conv2", executed=self.decision.executed, inputs=inputs, outputs=self.decision.conv2)
        return x

    def leave(self, block: Residual, out: Tensor, residual: Tensor, scale: float) -> Tensor:
        name = self.names[block]
        out = mix(out, residual, self.decision.executed, self.decision.conv2)
        key = name.replace(".", "_")
        if self.model.exits_on and key in self.model.exits:
            branch = self.model.exits[key]
            self.model.exit_logits.append(self.judge.exit(key, _real(out, scale)))
            self.model.trace += [Use(f"exits.{key}.{spec.name}") for spec in branch.layers(out.shape[-1])]
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
