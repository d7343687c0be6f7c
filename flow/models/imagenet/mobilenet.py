"""MobileNetV2 (Sandler et al., arXiv:1801.04381, table 2) with run-time group modes.

ReLU6 is the 4-bit activation, whose learned range takes the place of 6. The linear bottlenecks are signed: 8 bits, with one
scale per resolution and width, that the additions share.
"""

from torch import Tensor, nn

from flow.models.imagenet.base import Description, ImageNetModel, Unit
from flow.nn.quantisers import Activation, Stored
from flow.nn.shuffle import ChannelShuffle

# expansion t, channels c, repetitions n, stride s of the first
SETTINGS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM, HEAD = 32, 1280


class InvertedResidual(nn.Module):
    """1x1 expansion (not with t = 1), 3x3 depthwise, 1x1 linear projection; ``stream`` quantises what leaves the block."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int, stream: Stored, shuffle: bool):
        super().__init__()
        hidden = expansion * in_channels
        self._stream = (stream,)
        self.residual = stride == 1 and in_channels == out_channels
        self.expand = Unit(in_channels, hidden, 1) if expansion > 1 else None
        self.activation1 = Activation() if expansion > 1 else nn.Identity()
        self.shuffle = ChannelShuffle(hidden) if shuffle and expansion > 1 else nn.Identity()
        self.depthwise = Unit(hidden, hidden, 3, stride, depthwise=True)
        self.activation2 = Activation()
        self.project = Unit(hidden, out_channels, 1)

    def describe(self, prefix: str, description: Description, shuffle: bool) -> None:
        """Append the block's layers."""
        residual = description.last if self.residual else None
        if self.expand is not None:
            description.conv(f"{prefix}.expand", self.expand, shuffle=shuffle)
        description.conv(f"{prefix}.depthwise", self.depthwise)
        description.conv(f"{prefix}.project", self.project, residual=residual)

    def forward(self, x: Tensor) -> Tensor:
        (stream,) = self._stream
        y = x if self.expand is None else self.shuffle(self.activation1(self.expand(x)))
        y = stream(self.project(self.activation2(self.depthwise(y))))
        return stream(y + x) if self.residual else y


class MobileNetV2(ImageNetModel):
    """Stem 3x3, 17 inverted residuals, 1x1 head."""

    name = "mobilenet_v2"

    def build(self, description: Description) -> int:
        """Stem, stages, head."""
        self.stem = Unit(3, STEM, 3, 2, switchable=False)
        self.stem_activation = Activation()
        description.conv("stem", self.stem)
        channels = STEM
        self.blocks = nn.ModuleList()
        self.streams = nn.ModuleList()
        for expansion, out_channels, repetitions, first_stride in SETTINGS:
            self.streams.append(Stored())
            for j in range(repetitions):
                stride = 1 if j else first_stride
                block = InvertedResidual(channels, out_channels, stride, expansion, self.streams[-1], self.shuffle)
                self.blocks.append(block)
                block.describe(f"blocks.{len(self.blocks) - 1}", description, self.shuffle)
                channels = out_channels
        self.head = Unit(channels, HEAD, 1)
        self.head_activation = Activation()
        description.conv("head", self.head, pool=True)
        return HEAD

    def features(self, x: Tensor) -> Tensor:
        """[N, 1280, H/32, W/32]."""
        x = self.stem_activation(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head_activation(self.head(x))
