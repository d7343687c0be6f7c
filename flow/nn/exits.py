"""Early exits of DDI (Wang et al., JSTSP 2020, section III-B, section IV-A, Fig. 5)."""

import math

from torch import Tensor, nn
from torch.nn import functional as F

from flow.nn.gates.unit import GateConv
from flow.nn.linear import SwitchableLinear
from flow.nn.spec import LayerSpec

EXIT_WIDTH = 64
EXIT_SIZE = 8


def exit_positions(blocks: int) -> list[int]:
    """Blocks of a stage after which exits branch off, counted from 1: at about 1/4 and 3/4 of its depth, the 2nd and 6th of 8.

    Few blocks have fewer distinct places.
    """
    return sorted({max(1, math.floor(blocks * part + 0.5)) for part in (0.25, 0.75)})


class ExitBranch(nn.Module):
    """Classifier of an intermediate map: [N, C, H, W] to logits [N, classes].

    Two 3x3 convolutions of up to 64 channels. A 2x2 maximum stands before each of them as long as the map is larger than 8x8,
    afterwards the convolution has stride 2 while the map is larger than 4x4. Then global average and linear layer.

    Args:
        channels, size: C and H = W.
    """

    def __init__(self, channels: int, size: int, num_classes: int):
        super().__init__()
        self.pool1 = size > EXIT_SIZE
        size1 = size // 2
        self.conv1 = GateConv.dense(channels, min(2 * channels, EXIT_WIDTH), 3, 1 if self.pool1 else 2)
        self.pool2 = size1 > EXIT_SIZE
        stride2 = 1 if self.pool2 or size1 <= EXIT_SIZE // 2 else 2
        self.conv2 = GateConv.dense(self.conv1.conv.out_channels, EXIT_WIDTH, 3, stride2)
        self.classifier = SwitchableLinear(EXIT_WIDTH, num_classes, switchable=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(F.max_pool2d(x, 2) if self.pool1 else x)
        x = self.conv2(F.max_pool2d(x, 2) if self.pool2 else x)
        return self.classifier(x.mean((2, 3)))

    def layers(self, in_size: int) -> list[LayerSpec]:
        """Its layers for maps of ``in_size`` pixels, named relative to the branch."""
        conv1 = self.conv1.spec("conv1", in_size // 2 if self.pool1 else in_size, "map")
        conv2 = self.conv2.spec("conv2", conv1.out_size // 2 if self.pool2 else conv1.out_size, "conv1")
        classifier = self.classifier
        linear = LayerSpec("classifier", "linear", classifier.in_features, classifier.out_features, 1, 1, 1, 1, (1,), "conv2")
        return [conv1, conv2, linear]
