"""EfficientNet-B0 (Tan and Le, arXiv:1905.11946, table 1) with run-time group modes.

Swish is followed by a 4-bit signed quantiser, the linear bottlenecks by an 8-bit signed one, which the blocks of a stage
share. Squeeze-and-excitation reduces to a quarter of the block's input channels.
"""

from torch import Tensor, nn

from flow.models.imagenet.base import Description, ImageNetModel, Unit
from flow.nn.quantisers import Stored
from flow.nn.shuffle import ChannelShuffle
from flow.nn.squeeze_excite import SqueezeExcite
from flow.nn.swish import Signed, Swish

# expansion, channels, repetitions, stride of the first, kernel
SETTINGS = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, HEAD = 32, 1280
SQUEEZE = 4


class Excite(SqueezeExcite):
    """Squeeze-and-excitation of a signed map, with swish inside."""

    def __init__(self, channels: int, reduction: int):
        super().__init__(channels, reduction)
        self.hidden = Swish()
        self.output = Signed()


class MBConv(nn.Module):
    """1x1 expansion (not with expansion 1), k x k depthwise, squeeze-and-excitation, 1x1 linear projection."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, expansion: int, kernel: int, stream: Stored, shuffle: bool
    ):
        super().__init__()
        hidden = expansion * in_channels
        self._stream = (stream,)
        self.residual = stride == 1 and in_channels == out_channels
        self.expand = Unit(in_channels, hidden, 1) if expansion > 1 else None
        self.activation1 = Swish() if expansion > 1 else nn.Identity()
        self.shuffle = ChannelShuffle(hidden) if shuffle and expansion > 1 else nn.Identity()
        self.depthwise = Unit(hidden, hidden, kernel, stride, depthwise=True)
        self.activation2 = Swish()
        self.excite = Excite(hidden, SQUEEZE * expansion)
        self.project = Unit(hidden, out_channels, 1)

    def describe(self, prefix: str, description: Description, shuffle: bool) -> None:
        """Append the block's layers."""
        residual = description.last if self.residual else None
        if self.expand is not None:
            description.conv(f"{prefix}.expand", self.expand, shuffle=shuffle)
        description.conv(f"{prefix}.depthwise", self.depthwise)
        description.linear(f"{prefix}.excite.reduce", self.excite.reduce, description.last)
        description.linear(f"{prefix}.excite.expand", self.excite.expand, f"{prefix}.excite.reduce")
        description.conv(f"{prefix}.project", self.project, residual=residual)

    def forward(self, x: Tensor) -> Tensor:
        (stream,) = self._stream
        y = x if self.expand is None else self.shuffle(self.activation1(self.expand(x)))
        y = self.excite(self.activation2(self.depthwise(y)))
        y = stream(self.project(y))
        return stream(y + x) if self.residual else y


class EfficientNetB0(ImageNetModel):
    """Stem 3x3, 16 MBConv blocks, 1x1 head."""

    name = "efficientnet_b0"

    def build(self, description: Description) -> int:
        """Stem, stages, head."""
        self.stem = Unit(3, STEM, 3, 2, switchable=False)
        self.stem_activation = Swish()
        description.conv("stem", self.stem)
        channels = STEM
        self.blocks = nn.ModuleList()
        self.streams = nn.ModuleList()
        for expansion, out_channels, repetitions, first_stride, kernel in SETTINGS:
            self.streams.append(Stored())
            for j in range(repetitions):
                stride = 1 if j else first_stride
                block = MBConv(channels, out_channels, stride, expansion, kernel, self.streams[-1], self.shuffle)
                self.blocks.append(block)
                block.describe(f"blocks.{len(self.blocks) - 1}", description, self.shuffle)
                channels = out_channels
        self.head = Unit(channels, HEAD, 1)
        self.head_activation = Swish()
        description.conv("head", self.head, pool=True)
        return HEAD

    def features(self, x: Tensor) -> Tensor:
        """[N, 1280, H/32, W/32]."""
        x = self.stem_activation(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head_activation(self.head(x))
