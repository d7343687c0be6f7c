"""What the ImageNet networks share."""

import torch
from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.models.searched import activate_statistics, add_searched
from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.conv import SwitchableConv2d
from flow.nn.depthwise import DepthwiseConv2d
from flow.nn.linear import SwitchableLinear
from flow.nn.modes import group_vector
from flow.nn.spec import LayerSpec

IMAGE_SIZE = 224


class Unit(nn.Module):
    """Convolution, switchable or depthwise, and its switchable batch normalisation."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, depthwise: bool = False, switchable: bool = True
    ):
        super().__init__()
        if depthwise:
            self.conv = DepthwiseConv2d(in_channels, kernel, stride)
        else:
            self.conv = SwitchableConv2d(in_channels, out_channels, kernel, stride, switchable)
        self.norm = SwitchableBatchNorm2d(out_channels, self.conv.group_counts)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x), self.conv.n)


class Description:
    """The ``LayerSpec`` list of a network, grown layer by layer.

    Attributes:
        specs: the layers so far.
        size: height and width of the current map; last: the layer that makes it.
    """

    def __init__(self):
        self.specs: list[LayerSpec] = []
        self.size = IMAGE_SIZE
        self.last = "image"

    def conv(self, name: str, unit: Unit, **keys: str | bool | None) -> None:
        """A convolution that reads the current map and makes the next one."""
        self.branch(name, unit, self.last, self.size, **keys)
        self.last, self.size = name, self.specs[-1].out_size

    def branch(self, name: str, unit: Unit, source: str, size: int, **keys: str | bool | None) -> None:
        """A convolution beside the current map."""
        conv = unit.conv
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        spec = LayerSpec(
            name, "conv", conv.in_channels, conv.out_channels, kernel, stride, size, -(-size // stride),
            conv.group_counts, source, **keys,
        )  # fmt: skip
        self.specs.append(spec)

    def linear(self, name: str, linear: SwitchableLinear, source: str) -> None:
        """A linear layer on a pooled map or behind another linear layer."""
        self.specs.append(
            LayerSpec(name, "linear", linear.in_features, linear.out_features, 1, 1, 1, 1, linear.group_counts, source)
        )


class ImageNetModel(nn.Module):
    """A network for float images [N, 3, 224, 224] in 0..1 that gives logits [N, classes]; other sizes of images work too.

    Subclasses build themselves in ``build`` and compute their last map [N, C, H, W] in ``features``.

    Args:
        num_classes: number of classes.
        shuffle: whether channels are shuffled in the blocks.
    """

    name = ""
    image_size = None  # any

    def __init__(self, num_classes: int = 1000, shuffle: bool = True):
        super().__init__()
        self.num_classes = num_classes
        self.shuffle = shuffle
        self.quantised = True
        self.searched: dict[str, dict[str, int]] = {}
        description = Description()
        channels = self.build(description)
        self.classifier = SwitchableLinear(channels, num_classes, switchable=False)
        description.linear("classifier", self.classifier, description.last)
        self._layers = description.specs
        for module in self.modules():
            if isinstance(module, (SwitchableConv2d, DepthwiseConv2d)):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def build(self, description: Description) -> int:
        """Make the modules and describe their layers; returns the channels of the last map."""
        raise NotImplementedError

    def features(self, x: Tensor) -> Tensor:
        """The last map [N, C, H, W]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x.contiguous(memory_format=torch.channels_last))
        return self.classifier(x.mean((2, 3)))

    def layers(self) -> list[LayerSpec]:
        """All layers in execution order."""
        return list(self._layers)

    def _switches(self) -> dict[str, nn.Module]:
        modules = ((spec.name, self.get_submodule(spec.name)) for spec in self._layers)
        return {name: getattr(module, "conv", module) for name, module in modules}

    def add_mode(self, name: str, groups: dict[str, int]) -> None:
        """See ``Network.add_mode``."""
        add_searched(self, name, groups)

    def set_mode(self, mode: str | dict[str, int]) -> None:
        """Select a named mode, or a group count per layer name (layers not named keep theirs)."""
        vector = group_vector(self, mode) if isinstance(mode, str) else mode
        switches = self._switches()
        for name, n in vector.items():
            if name not in switches:
                raise GatefoldError(f"Model {self.name} has no layer '{name}'; take the names from its layers().")
            switches[name].set_groups(n)
        activate_statistics(self, mode if isinstance(mode, str) and mode in self.searched else None)

    def set_grouped(self, grouped: bool | None) -> None:
        """Choose real grouped convolution (True), masked dense weights (False) or the faster one (None)."""
        for switch in self._switches().values():
            switch.grouped = grouped

    def set_quantised(self, quantised: bool) -> None:
        """Switch all quantisers on or off (off: floating-point pre-training)."""
        for module in self.modules():
            if hasattr(module, "quantised"):
                module.quantised = quantised
