"""CIFAR ResNets (He et al., arXiv:1512.03385, section 4.2) with run-time group modes and 4-bit integers.

Stem 3x3, then three stages of widths 16/32/64 (or another first width, doubled twice) on 32/16/8 pixels, then a global sum
and a linear classifier. A block is two 3x3 convolutions; the first block of stages 2 and 3 has stride 2 and a 1x1 shortcut.
One block per stage gives the network of MLPerf Tiny. Channels are shuffled between the two convolutions of a block. All
residual additions of a stage share one activation scale.
"""

from torch import nn

from flow.models.network import Network
from flow.nn.layers import Classifier, ConvUnit, Residual
from flow.nn.maps import Map
from flow.nn.quantisers import Activation

STAGES = 3


class Stage(nn.Module):
    """Blocks on maps of one size; ``stream`` quantises the residual stream."""

    def __init__(self, in_channels: int, channels: int, blocks: int, stride: int, shuffle: bool = True):
        super().__init__()
        self.stream = Activation()
        for i in range(blocks):
            block = Residual(channels if i else in_channels, channels, 1 if i else stride, shuffle, self.stream)
            self.add_module(f"block{i + 1}", block)

    def forward(self, x: Map) -> Map:
        for name, block in self.named_children():
            if name.startswith("block"):
                x = block(x)
        return x


class SwitchableResNet(Network):
    """A ResNet for images of 32x32x3 pixels; with ``shuffle`` off no channels are shuffled."""

    def __init__(self, name: str, blocks_per_stage: int, num_classes: int = 10, shuffle: bool = True, width: int = 16):
        super().__init__(num_classes, name)
        self.stem = ConvUnit(3, width, 3, 1, switchable=False)
        channels = width
        for i in range(STAGES):
            stage = Stage(channels, width << i, blocks_per_stage, 2 if i else 1, shuffle)
            self.add_module(f"stage{i + 1}", stage)
            channels = width << i
        self.classifier = Classifier(channels, num_classes)
        self.start()

    def stages(self) -> list[tuple[str, Stage]]:
        """(name, stage) in order."""
        return [(f"stage{i + 1}", getattr(self, f"stage{i + 1}")) for i in range(STAGES)]

    def topology(self, x: Map) -> Map:
        x = x.through(self.stem, self.stage1.stream)
        for _, stage in self.stages():
            x = stage(x)
        return x
