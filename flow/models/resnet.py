"""CIFAR ResNets (He et al., arXiv:1512.03385, section 4.2) with run-time group modes and 4-bit integers.

Stem 3x3, then three stages of widths 16/32/64 (or another first width, doubled twice) on 32/16/8 pixels, then a global sum
and a linear classifier. A block is two 3x3 convolutions; the first block of stages 2 and 3 has stride 2 and a 1x1 shortcut.
One block per stage gives the network of MLPerf Tiny. Channels are shuffled between the two convolutions of a block. All
residual additions of a stage share one activation scale.
"""

from collections import OrderedDict
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.models.integer import IntegerConv, IntegerLinear, convolve_exactly
from flow.models.searched import activate_statistics, add_searched
from flow.nn.batchnorm import SwitchableBatchNorm2d, track
from flow.nn.conv import SwitchableConv2d
from flow.nn.fused import normalise_and_activate
from flow.nn.linear import SwitchableLinear
from flow.nn.modes import group_vector
from flow.nn.quantisers import ACTIVATION_MAX, Activation, ResidualBranch
from flow.nn.shuffle import ChannelShuffle
from flow.nn.spec import LayerSpec

IMAGE_SIZE = 32
IMAGE_SCALE = 1 / 255
STAGES = 3


class ConvUnit(nn.Module):
    """Switchable convolution and its switchable batch normalisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, switchable: bool = True):
        super().__init__()
        self.conv = SwitchableConv2d(in_channels, out_channels, kernel, stride, switchable)
        self.norm = SwitchableBatchNorm2d(out_channels, self.conv.group_counts)

        self.fused: torch.dtype | None = None

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x), self.conv.n)

    def activate(self, x: Tensor, activation: Activation, residual: Tensor | None = None) -> Tensor:
        """``activation(self(x) + residual)``; with ``fused``, training computes it with maps of that type (see ``fused``)."""
        norm = self.norm.active(self.conv.n) if self.fused else None
        if norm is None or not norm.training:
            y = self(x)
            return activation(y if residual is None else y + residual)
        v = self.conv.convolve(x.to(self.fused), self.conv.present_weight().to(self.fused))
        scale = activation.scale_tensor()
        scale = scale if activation.quantised else scale.detach()
        y, mean, inv_std = normalise_and_activate(v, norm, scale, residual, activation.quantised)
        track(norm, mean, inv_std, v.numel() // v.shape[1])
        return y


class Block(nn.Module):
    """Residual block; ``shortcut`` is None where the identity serves."""

    def __init__(self, in_channels: int, channels: int, stride: int, shuffle: bool = True):
        super().__init__()
        self.conv1 = ConvUnit(in_channels, channels, 3, stride)
        self.activation = Activation()
        self.shuffle = ChannelShuffle(channels) if shuffle else nn.Identity()
        self.conv2 = ConvUnit(channels, channels, 3, 1)
        self.shortcut = ConvUnit(in_channels, channels, 1, stride) if stride != 1 else None


class Visit(Protocol):
    """What gates and exits do while one batch passes through the blocks, in real numbers or in integers.

    ``scale`` is one unit of the map: 1 for real numbers. All maps are [N, C, H, W].
    """

    def enter(self, block: Block, x: Tensor, scale: float = 1.0) -> None:
        """x: what the block reads."""

    def inside(self, block: Block, x: Tensor, scale: float = 1.0) -> Tensor:
        """x: output of the first convolution, before the shuffle; gives what of it goes on."""

    def leave(self, block: Block, out: Tensor, residual: Tensor, scale: float = 1.0) -> Tensor:
        """out: output of the whole block; residual: what is left without the block; gives what goes on."""


class Stage(nn.Module):
    """Blocks on maps of one size; ``stream`` quantises the residual stream, ``branch`` what is added to it."""

    def __init__(self, in_channels: int, channels: int, blocks: int, stride: int, shuffle: bool = True):
        super().__init__()
        self.stream = Activation()
        self.branch = ResidualBranch(self.stream)
        for i in range(blocks):
            self.add_module(f"block{i + 1}", Block(channels if i else in_channels, channels, 1 if i else stride, shuffle))

    def blocks(self):
        """(name, block) in order."""
        return [(name, module) for name, module in self.named_children() if name.startswith("block")]

    def forward(self, x: Tensor, visit: "Visit | None" = None) -> Tensor:
        for _, block in self.blocks():
            if visit:
                visit.enter(block, x)
            residual = x if block.shortcut is None else block.shortcut.activate(x, self.stream)
            inside = block.conv1.activate(x, block.activation)
            if visit:
                inside = visit.inside(block, inside)
            if self.training:
                # The residual lies on the grid of the stream: rounding the sum rounds the branch, so training saves one pass.
                x = block.conv2.activate(block.shuffle(inside), self.stream, residual)
            else:
                x = self.stream(self.branch(block.conv2(block.shuffle(inside))) + residual)
            if visit:
                x = visit.leave(block, x, residual)
        return x


class SwitchableResNet(nn.Module):
    """A ResNet for images of 32x32x3 pixels.

    ``forward`` takes float images [N, 3, 32, 32] in 0..1 and gives float logits [N, classes]. While training it computes
    with fake quantisation (or in floating point, see ``set_quantised``). In eval a quantised network computes with the
    integers of the hardware; ``exact = False`` keeps fake quantisation there too. With ``shuffle`` off no channels are
    shuffled.
    """

    image_size = IMAGE_SIZE

    def __init__(self, name: str, blocks_per_stage: int, num_classes: int = 10, shuffle: bool = True, width: int = 16):
        super().__init__()
        self.name = name
        self.num_classes = num_classes
        self.blocks_per_stage = blocks_per_stage
        self.exact = True
        self.quantised = True
        self.searched: dict[str, dict[str, int]] = {}
        self.shuffle = shuffle
        self.widths = tuple(width << i for i in range(STAGES))
        self.stem = ConvUnit(3, width, 3, 1, switchable=False)
        in_channels = width
        for i, channels in enumerate(self.widths):
            self.add_module(f"stage{i + 1}", Stage(in_channels, channels, blocks_per_stage, 2 if i else 1, shuffle))
            in_channels = channels
        self.classifier = SwitchableLinear(in_channels, num_classes, switchable=False)
        self._layers = self._describe()
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # A residual stream of 16 levels saturates in deep stages unless each block adds less.
        for _, stage in self.stages():
            for _, block in stage.blocks():
                for norm in block.conv2.norm.norms.values():
                    nn.init.constant_(norm.weight, blocks_per_stage**-0.5)
        self.to(memory_format=torch.channels_last)

    # -- structure ----------------------------------------------------------------------------------------------------

    def stages(self) -> list[tuple[str, Stage]]:
        """(name, stage) in order."""
        return [(f"stage{i + 1}", getattr(self, f"stage{i + 1}")) for i in range(STAGES)]

    def layers(self) -> list[LayerSpec]:
        """All layers in execution order."""
        return list(self._layers)

    def _describe(self) -> list[LayerSpec]:
        specs = []

        def conv(name, in_size, **keys):
            unit = self.get_submodule(name).conv
            stride = unit.stride[0]
            specs.append(
                LayerSpec(
                    name, "conv", unit.in_channels, unit.out_channels, unit.kernel_size[0], stride, in_size,
                    in_size // stride, unit.group_counts, **keys,
                )
            )  # fmt: skip
            return in_size // stride

        size = conv("stem", IMAGE_SIZE, input="image")
        last = "stem"
        final = f"stage{STAGES}.block{self.blocks_per_stage}.conv2"
        for stage_name, stage in self.stages():
            for block_name, block in stage.blocks():
                prefix = f"{stage_name}.{block_name}"
                residual = last
                if block.shortcut is not None:
                    residual = f"{prefix}.shortcut"
                    conv(residual, size, input=last)
                size = conv(f"{prefix}.conv1", size, input=last, shuffle=self.shuffle)
                last = f"{prefix}.conv2"
                conv(last, size, input=f"{prefix}.conv1", residual=residual, pool=last == final)
        classifier = self.classifier
        specs.append(
            LayerSpec(
                "classifier", "linear", classifier.in_features, classifier.out_features, 1, 1, 1, 1,
                classifier.group_counts, input=last,
            )
        )  # fmt: skip
        return specs

    def _switch(self, name: str) -> SwitchableConv2d | SwitchableLinear:
        module = self.get_submodule(name)
        return module.conv if isinstance(module, ConvUnit) else module

    # -- modes --------------------------------------------------------------------------------------------------------

    def add_mode(self, name: str, groups: dict[str, int]) -> None:
        """Add a named mode with a group count per layer and batch normalisations of its own, at first those of the counts."""
        add_searched(self, name, groups)

    def set_mode(self, mode: str | dict[str, int]) -> None:
        """Select a named mode, or a group count per layer name (layers not named keep theirs)."""
        vector = group_vector(self, mode) if isinstance(mode, str) else mode
        activate_statistics(self, mode if isinstance(mode, str) and mode in self.searched else None)
        names = {spec.name for spec in self._layers}
        for name, n in vector.items():
            if name not in names:
                raise GatefoldError(f"Model {self.name} has no layer '{name}'; take the names from its layers().")
            self._switch(name).set_groups(n)

    def set_grouped(self, grouped: bool | None) -> None:
        """Choose real grouped convolution (True), masked dense weights (False) or the faster one (None)."""
        for spec in self._layers:
            self._switch(spec.name).grouped = grouped

    def set_quantised(self, quantised: bool) -> None:
        """Switch all quantisers on or off (off: floating-point pre-training)."""
        self.quantised = quantised
        for module in self.modules():
            if isinstance(module, (Activation, ResidualBranch, SwitchableConv2d, SwitchableLinear)):
                module.quantised = quantised

    def set_fused(self, maps: torch.dtype | None) -> None:
        """Train with what follows a convolution as one function, on maps of the given type (see ``flow.nn.fused``); None: not."""
        for module in self.modules():
            if isinstance(module, ConvUnit):
                module.fused = maps

    # -- floating point and fake quantisation -------------------------------------------------------------------------

    def _visit(self) -> Visit | None:
        """What accompanies the next batch."""
        return None

    def forward(self, x: Tensor) -> Tensor:
        if self.quantised and self.exact and not self.training:
            pixels = torch.round(x.detach() * 255)
            sums = self._integer_features(pixels)
            logits = self._integer_classifier(sums)
            return (logits * self.integer_layer("classifier").logit_scale).float()
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.stem.activate(x, self.stage1.stream)
        visit = self._visit()
        for _, stage in self.stages():
            x = stage(x, visit)
        return self.classifier(x.mean((2, 3), dtype=self.classifier.weight.dtype))

    # -- integers -----------------------------------------------------------------------------------------------------

    def _scales(self, name: str) -> tuple[float, float]:
        """Input and output scale of a convolution."""
        parts = name.split(".")
        if name == "stem":
            return IMAGE_SCALE, self.stage1.stream.scale
        stage_index = int(parts[0][len("stage") :])
        block_index = int(parts[1][len("block") :])
        stage = getattr(self, parts[0])
        block = getattr(stage, parts[1])
        if parts[2] == "conv2":
            return block.activation.scale, stage.stream.scale
        before = stage if block_index > 1 else getattr(self, f"stage{max(stage_index - 1, 1)}")
        return before.stream.scale, (block.activation if parts[2] == "conv1" else stage.stream).scale

    def integer_layer(self, name: str) -> IntegerConv | IntegerLinear:
        """The integers of one layer, all group counts (see ``IntegerConv`` and ``IntegerLinear``)."""
        if name not in {spec.name for spec in self._layers}:
            raise GatefoldError(f"Model {self.name} has no layer '{name}'; take the names from its layers().")
        if name == "classifier":
            pixels = self._layers[-2].out_size ** 2
            input_scale = getattr(self, f"stage{STAGES}").stream.scale / pixels
            return IntegerLinear(self.classifier, input_scale)
        unit = self.get_submodule(name)
        return IntegerConv(unit.conv, unit.norm, *self._scales(name))

    def _integer_features(self, pixels: Tensor, stations: dict | None = None) -> Tensor:
        """Pool sums [N, C] of integer-valued float pixels [N, 3, 32, 32]; fills ``stations`` with every layer's output."""

        def layer(name: str, x: Tensor, residual: Tensor | None = None) -> Tensor:
            integers = self.integer_layer(name)
            conv = self._switch(name)
            scale, bias = integers.affine(conv.n)
            acc = convolve_exactly(conv, x, integers.weight)
            y = acc * torch.from_numpy(scale).to(acc)[None, :, None, None]
            y = torch.round(y + torch.from_numpy(bias).to(acc)[None, :, None, None])
            y = torch.clamp(y if residual is None else y + residual, 0, ACTIVATION_MAX)
            return keep(name, y)

        def keep(name: str, y: Tensor) -> Tensor:
            if stations is not None:
                stations[name] = y.cpu().numpy().astype(np.int64)
            return y

        visit = self._visit()
        with torch.no_grad():
            x = layer("stem", pixels.float().contiguous(memory_format=torch.channels_last))
            for stage_name, stage in self.stages():
                for block_name, block in stage.blocks():
                    prefix = f"{stage_name}.{block_name}"
                    if visit:
                        visit.enter(block, x, self._scales(f"{prefix}.conv1")[0])
                    residual = x if block.shortcut is None else layer(f"{prefix}.shortcut", x)
                    inside = layer(f"{prefix}.conv1", x)
                    if visit:
                        inside = keep(f"{prefix}.conv1", visit.inside(block, inside, block.activation.scale))
                    x = layer(f"{prefix}.conv2", block.shuffle(inside), residual)
                    if visit:
                        x = keep(f"{prefix}.conv2", visit.leave(block, x, residual, stage.stream.scale))
            return x.sum((2, 3))

    def _integer_classifier(self, sums: Tensor) -> Tensor:
        """float64 tensor of integer logits [N, classes] from pool sums [N, C]."""
        integers = self.integer_layer("classifier")
        weight = torch.from_numpy(integers.weight).to(sums.device).double()
        bias = torch.from_numpy(integers.bias).to(sums.device).double()
        return sums.double() @ weight.t() + bias

    def _pixels(self, images: np.ndarray) -> Tensor:
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (IMAGE_SIZE, IMAGE_SIZE, 3):
            raise GatefoldError(
                f"Images must be uint8 of shape [N, {IMAGE_SIZE}, {IMAGE_SIZE}, 3], not {images.dtype} of shape "
                f"{list(images.shape)}; resize them first."
            )
        device = self.classifier.weight.device
        return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()

    def integer_logits(self, images: np.ndarray) -> np.ndarray:
        """Integer logits in the active mode, as the hardware computes them.

        Args:
            images: uint8 [N, 32, 32, 3].

        Returns:
            int64 [N, classes]; the predicted class is the first largest.
        """
        with torch.no_grad():
            logits = self._integer_classifier(self._integer_features(self._pixels(images)))
        return logits.cpu().numpy().astype(np.int64)

    def integer_stations(self, images: np.ndarray) -> "OrderedDict[str, np.ndarray]":
        """Output of every layer in the active mode, int64, in execution order.

        Convolutions: [N, Co, H, W] in 0..15 in natural channel order (before the shuffle); ``pool``: sums [N, C];
        ``classifier``: logits [N, classes].
        """
        stations: OrderedDict[str, np.ndarray] = OrderedDict()
        sums = self._integer_features(self._pixels(images), stations)
        stations["pool"] = sums.cpu().numpy().astype(np.int64)
        stations["classifier"] = self._integer_classifier(sums).cpu().numpy().astype(np.int64)
        return stations
