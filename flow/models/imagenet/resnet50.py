"""ResNet-50 (He et al., arXiv:1512.03385, table 1) with run-time group modes.

The stride of a block is in its 3x3 convolution, as in most implementations since (Goyal et al., arXiv:1706.02677).
"""

from torch import Tensor, nn
from torch.nn import functional as F

from flow.models.imagenet.base import Description, ImageNetModel, Unit
from flow.nn.quantisers import Activation, ResidualBranch
from flow.nn.shuffle import ChannelShuffle

BLOCKS = (3, 4, 6, 3)
WIDTHS = (64, 128, 256, 512)
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut; ``stream`` and ``branch`` are those of the stage."""

    def __init__(self, in_channels: int, width: int, stride: int, stream: Activation, branch: ResidualBranch, shuffle: bool):
        super().__init__()
        out_channels = EXPANSION * width
        self._stage = (stream, branch)
        self.conv1 = Unit(in_channels, width, 1)
        self.activation1 = Activation()
        self.shuffle = ChannelShuffle(width) if shuffle else nn.Identity()
        self.conv2 = Unit(width, width, 3, stride)
        self.activation2 = Activation()
        self.conv3 = Unit(width, out_channels, 1)
        self.shortcut = Unit(in_channels, out_channels, 1, stride) if in_channels != out_channels else None

    def describe(self, prefix: str, description: Description, shuffle: bool) -> None:
        """Append the block's layers."""
        residual = description.last
        if self.shortcut is not None:
            residual = f"{prefix}.shortcut"
            description.branch(residual, self.shortcut, description.last, description.size)
        description.conv(f"{prefix}.conv1", self.conv1, shuffle=shuffle)
        description.conv(f"{prefix}.conv2", self.conv2)
        description.conv(f"{prefix}.conv3", self.conv3, residual=residual)

    def forward(self, x: Tensor) -> Tensor:
        stream, branch = self._stage
        residual = x if self.shortcut is None else stream(self.shortcut(x))
        inside = self.shuffle(self.activation1(self.conv1(x)))
        return stream(branch(self.conv3(self.activation2(self.conv2(inside)))) + residual)


class ResNet50(ImageNetModel):
    """Stem 7x7, max-pooling, 16 bottlenecks."""

    name = "resnet50"

    def build(self, description: Description) -> int:
        """Stem and stages."""
        self.stem = Unit(3, WIDTHS[0], 7, 2, switchable=False)
        self.stem_activation = Activation()
        description.conv("stem", self.stem)
        description.size //= 2
        channels = WIDTHS[0]
        for i, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS)):
            stage = nn.Module()
            stage.stream = Activation()
            stage.branch = ResidualBranch(stage.stream)
            self.add_module(f"stage{i + 1}", stage)
            for j in range(blocks):
                stride = 2 if i > 0 and j == 0 else 1
                block = Bottleneck(channels, width, stride, stage.stream, stage.branch, self.shuffle)
                stage.add_module(f"block{j + 1}", block)
                block.describe(f"stage{i + 1}.block{j + 1}", description, self.shuffle)
                channels = EXPANSION * width
        return channels

    def features(self, x: Tensor) -> Tensor:
        """[N, 2048, H/32, W/32]."""
        x = F.max_pool2d(self.stem_activation(self.stem(x)), 3, 2, 1)
        for i, blocks in enumerate(BLOCKS):
            for j in range(blocks):
                x = self.get_submodule(f"stage{i + 1}.block{j + 1}")(x)
        return x
