"""DenseNets (Huang et al., CVPR 2017, arXiv:1608.06993) in 4-bit numbers, with the gates of DDI and ACS.

A dense layer reads the concatenation of all maps made before it in its block: BN, ReLU, 1x1 convolution to four times the
growth rate, BN, ReLU, 3x3 convolution. Maps are stored in 8 bits before their batch normalisation, one scale per block.

``densenet41`` and ``densenet53`` are those of ACS (Zou et al., 2023, section 4.1.2): three blocks of 6 or 8 layers, growth 32,
a transition after each block. The paper does not give the stem. The one of the ImageNet networks, on 32x32 pixels, gives the
0.06965 GFLOPs of its tables (two per product); a 3x3 stem would give fifteen times as many.
``densenet100`` (growth 12) and ``densenet201`` (growth 32) are those of DDI (Wang et al., JSTSP 2020, section IV-A), which gives
the places of their exits too.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flow.errors import GatefoldError
from flow.models.adaptive import Adaptive
from flow.models.dense_block import DenseBlock, DenseExit, Features
from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.conv import SwitchableConv2d
from flow.nn.exits import exit_positions
from flow.nn.gates.dense_gating import DENSE_GATES, DenseShape
from flow.nn.gates.gating import Decision, rename
from flow.nn.linear import SwitchableLinear
from flow.nn.modes import MODES, group_vector
from flow.nn.quantisers import Activation
from flow.nn.spec import LayerSpec
from flow.nn.trace import Trace, Use


@dataclass(frozen=True)
class Shape:
    """Numbers of a DenseNet.

    Attributes:
        blocks: dense layers per block.
        growth: maps that a dense layer adds.
        stem: output channels of the stem.
        large_stem: 7x7 convolution of stride 2 and 3x3 maximum of stride 2, or a 3x3 convolution.
        last_transition: whether a transition follows the last block too.
        image_size: height and width of the images.
        classes: of the data set the paper trains on.
        exits: for each block, the shares of its depth at which exits branch off.
    """

    blocks: tuple[int, ...]
    growth: int
    stem: int
    large_stem: bool
    last_transition: bool
    image_size: int
    classes: int
    exits: tuple[tuple[float, ...], ...] = ((0.25, 0.75),) * 3


SHAPES = {
    "densenet41": Shape((6, 6, 6), 32, 64, True, True, 32, 10),
    "densenet53": Shape((8, 8, 8), 32, 64, True, True, 32, 10),
    "densenet100": Shape((16, 16, 16), 12, 24, False, False, 32, 10),
    "densenet201": Shape((6, 12, 48, 32), 32, 64, True, False, 224, 1000, ((0.5,), (0.25,), (0.75,))),
}

BOTTLENECK = 4


class Stem(nn.Module):
    """Images [N, 3, H, W] to the first map."""

    def __init__(self, channels: int, large: bool):
        super().__init__()
        self.large = large
        self.conv = SwitchableConv2d(3, channels, 7 if large else 3, 2 if large else 1, switchable=False)
        if large:
            self.norm = SwitchableBatchNorm2d(channels, (1,))
            self.activation = Activation()

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return F.max_pool2d(self.activation(self.norm(x, 1)), 3, 2, 1) if self.large else x


class Transition(nn.Module):
    """BN, ReLU, 1x1 convolution to half the channels, 2x2 average."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = SwitchableBatchNorm2d(channels, (1,))
        self.activation = Activation()
        self.conv = SwitchableConv2d(channels, channels // 2, 1, switchable=False)

    def forward(self, features: Features) -> Tensor:
        x = features.masked(self.activation(self.norm(features.maps, 1)))
        return F.avg_pool2d(self.conv(x), 2)


class DenseNet(Adaptive):
    """A DenseNet for square images, with or without gates and exits.

    ``forward`` takes float images [N, 3, H, W] in 0..1 and gives float logits [N, classes]. It leaves in ``trace`` what it
    executed (``Trace``).

    Args:
        gates: one of ``DENSE_GATES``, or None.
        exits: whether there are exits; they start switched on.
        ungated: whether there are batch normalisations for gates switched off, see ``Adaptive.separate``.

    Attributes:
        trace: the ``Trace`` of the last batch.
        soft_gates: whether gates decide by probabilities in training.
        modes: the full one: every layer has one group.
    """

    def __init__(
        self, name: str, shape: Shape, num_classes: int, gates: str | None = None, exits: bool = False, ungated: bool = False
    ):
        super().__init__()
        self.name = name
        self.num_classes = num_classes
        self.shape = shape
        self.image_size = shape.image_size
        self.quantised = True
        self.options = {"gates": gates, "exits": exits, "ungated": ungated}
        self.soft_gates = True
        self.modes = MODES[:1]
        self.gates_on = gates is not None
        self.exits_on = exits
        self.exit_logits = []
        self.trace = Trace()
        self.stem = Stem(shape.stem, shape.large_stem)
        channels = shape.stem
        for i, layers in enumerate(shape.blocks):
            block = DenseBlock(channels, shape.growth, layers, BOTTLENECK * shape.growth)
            self.add_module(f"block{i + 1}", block)
            channels = block.out_channels
            if i + 1 < len(shape.blocks) or shape.last_transition:
                self.add_module(f"transition{i + 1}", Transition(channels))
                channels //= 2
        self.norm = SwitchableBatchNorm2d(channels, (1,))
        self.activation = Activation()
        self.classifier = SwitchableLinear(channels, num_classes, switchable=False)
        self._layers = self._describe()
        shapes = self._dense_shapes()
        self.gates = DENSE_GATES[gates](shapes) if gates else None
        self.exits = nn.ModuleDict()
        self._exit_specs: list[LayerSpec] = []
        for before, after in self._exit_places(shapes) if exits else []:
            self.exits[before.key] = branch = DenseExit(after.channels, before.size, num_classes)
            self._exit_specs += rename(branch.layers(before.size), f"exits.{before.key}", f"{before.name}.conv2")
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        if ungated:
            self.separate()
        self.to(memory_format=torch.channels_last)

    # -- structure ----------------------------------------------------------------------------------------------------

    def blocks(self) -> list[tuple[str, DenseBlock]]:
        """(name, dense block) in order."""
        return [(f"block{i + 1}", getattr(self, f"block{i + 1}")) for i in range(len(self.shape.blocks))]

    def layers(self) -> list[LayerSpec]:
        """All layers in execution order, without those of the gates."""
        return list(self._layers)

    def gate_layers(self) -> list[LayerSpec]:
        """The layers of all gates and exits, named as in the trace."""
        gates = [] if self.gates is None else rename(self.gates.layers(), "gates")
        return [*gates, *self._exit_specs]

    def _exit_places(self, shapes: list[DenseShape]) -> list[tuple[DenseShape, DenseShape]]:
        """(dense layer that an exit follows, the next one, which reads the same maps); none after the last of a block."""
        places = []
        for i, depths in enumerate(self.shape.exits[: len(self.shape.blocks)]):
            block = [shape for shape in shapes if shape.name.startswith(f"block{i + 1}.")]
            places += [(block[at - 1], block[at]) for at in exit_positions(len(block), depths) if at < len(block)]
        return places

    def _dense_shapes(self) -> list[DenseShape]:
        specs = {spec.name: spec for spec in self._layers}
        shapes = []
        for block_name, block in self.blocks():
            for layer_name, layer in block.layers():
                spec = specs[f"{block_name}.{layer_name}.conv1"]
                first = isinstance(spec.input, str)
                source = spec.input if first else spec.input[-1]
                channels = (spec.in_channels, spec.out_channels, layer.growth)
                shapes.append(DenseShape(f"{block_name}.{layer_name}", *channels, spec.in_size, first, source))
        return shapes

    def _describe(self) -> list[LayerSpec]:
        specs = []

        def conv(name: str, module: SwitchableConv2d, in_size: int, sources: tuple[str, ...]) -> int:
            stride = module.stride[0]
            source = sources[0] if len(sources) == 1 else sources
            shape = (module.in_channels, module.out_channels, module.kernel_size[0], stride, in_size, in_size // stride)
            specs.append(LayerSpec(name, "conv", *shape, module.group_counts, source))
            return in_size // stride

        size = conv("stem", self.stem.conv, self.shape.image_size, ("image",))
        size = size // 2 if self.shape.large_stem else size
        sources = ("stem",)
        for i, (block_name, block) in enumerate(self.blocks()):
            for layer_name, layer in block.layers():
                name = f"{block_name}.{layer_name}"
                conv(f"{name}.conv1", layer.conv1, size, sources)
                conv(f"{name}.conv2", layer.conv2, size, (f"{name}.conv1",))
                sources = (*sources, f"{name}.conv2")
            transition = getattr(self, f"transition{i + 1}", None)
            if transition is not None:
                conv(f"transition{i + 1}", transition.conv, size, sources)
                size, sources = size // 2, (f"transition{i + 1}",)
        linear = self.classifier
        source = sources[0] if len(sources) == 1 else sources
        specs.append(LayerSpec("classifier", "linear", linear.in_features, linear.out_features, 1, 1, 1, 1, (1,), source))
        return specs

    # -- settings -----------------------------------------------------------------------------------------------------

    def set_mode(self, mode: str | dict[str, int]) -> None:
        """Select a group mode; every layer of a DenseNet has one group, so all named modes are the full one."""
        for name, n in (group_vector(self, mode) if isinstance(mode, str) else mode).items():
            if name not in {spec.name for spec in self._layers}:
                raise GatefoldError(f"Model {self.name} has no layer '{name}'; take the names from its layers().")
            module = self.get_submodule(name)
            getattr(module, "conv", module).set_groups(n)

    # -- computation --------------------------------------------------------------------------------------------------

    def _ask(self, name: str, state: dict, x: Tensor, active: Tensor | None) -> Decision:
        decision = Decision()
        if self.gates_on:
            decision = self.gates.decide(name, x, active, self.soft_gates and self.training, state)
            self.trace += [Use(f"gates.{use.name}", use.n, use.executed, use.inputs, use.outputs) for use in decision.uses]
        self.trace.append(Use(f"{name}.conv1", executed=decision.executed, inputs=active))
        self.trace.append(Use(f"{name}.conv2", executed=decision.executed, outputs=decision.conv2))
        return decision

    def _leave(self, block: str, layer: str, features: Features) -> None:
        key = f"{block}_{layer}"
        if not self.exits_on or key not in self.exits:
            return
        self.exit_logits.append(self.exits[key](features))
        for spec in self.exits[key].layers(features.maps.shape[-1]):
            self.trace.append(Use(f"exits.{key}.{spec.name}", inputs=features.active if spec.name == "conv1" else None))

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        self.trace = Trace([Use("stem")])
        self.exit_logits = []
        state: dict = {}
        features = Features(self.stem(x.contiguous(memory_format=torch.channels_last)))
        for i, (block_name, block) in enumerate(self.blocks()):
            asks = {name: partial(self._ask, f"{block_name}.{name}", state) for name, _ in block.layers()}
            features = block(features.maps, asks, partial(self._leave, block_name))
            transition = getattr(self, f"transition{i + 1}", None)
            if transition is not None:
                self.trace.append(Use(f"transition{i + 1}", inputs=features.active))
                features = Features(transition(features))
        self.trace.append(Use("classifier", inputs=features.active))
        return self.all_logits(self.classifier(features.masked(self.activation(self.norm(features.maps, 1))).mean((2, 3))))


def create_densenet(
    name: str,
    num_classes: int | None = None,
    float: bool = False,
    gates: str | None = None,
    exits: bool = False,
    ungated: bool = False,
) -> DenseNet:
    """Build an untrained DenseNet.

    Args:
        name: one of ``SHAPES``.
        num_classes: number of classes; by default that of the paper's data set.
        float: start without quantisers.
        gates: None or one of ``DENSE_GATES``.
        exits: whether it has early exits.
        ungated: whether it also works with the gates switched off.
    """
    if name not in SHAPES:
        raise GatefoldError(f"There is no DenseNet '{name}'; choose one of {', '.join(SHAPES)}.")
    if gates is not None and gates not in DENSE_GATES:
        raise GatefoldError(f"A DenseNet cannot have the gates '{gates}'; choose one of {', '.join(DENSE_GATES)}.")
    model = DenseNet(name, SHAPES[name], num_classes or SHAPES[name].classes, gates, exits, ungated)
    model.set_quantised(not float)
    return model
