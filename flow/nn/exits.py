"""Early exits of DDI (Wang et al., JSTSP 2020, section III-B, section IV-A, Fig. 5)."""

import math
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from flow.nn.gates.unit import GateConv
from flow.nn.linear import SwitchableLinear
from flow.nn.spec import LayerSpec

EXIT_WIDTH = 64
EXIT_SIZE = 8


def exit_positions(blocks: int, depths: tuple[float, ...] = (0.25, 0.75)) -> list[int]:
    """Blocks of a stage after which exits branch off, counted from 1: at about 1/4 and 3/4 of its depth, the 2nd and 6th of 8.

    Few blocks have fewer distinct places.

    Args:
        blocks: their number; depths: shares of it.
    """
    return sorted({max(1, math.floor(blocks * part + 0.5)) for part in depths})


class ExitBranch(nn.Module):
    """Classifier of an intermediate map: [N, C, H, W] to logits [N, classes].

    2x2 maxima down to 8x8, two 3x3 convolutions of up to 64 channels, one of them with stride 2, global average, linear layer.

    Args:
        channels, size: C and H = W.
    """

    def __init__(self, channels: int, size: int, num_classes: int):
        super().__init__()
        self.pools = max(0, math.ceil(math.log2(size / EXIT_SIZE)))
        width = min(2 * channels, EXIT_WIDTH)
        # Wide maps are made small first, where the first convolution costs most.
        strides = (1, 2) if width > channels else (2, 1)
        self.conv1 = GateConv.dense(channels, width, 3, strides[0])
        self.conv2 = GateConv.dense(width, EXIT_WIDTH, 3, strides[1])
        self.classifier = SwitchableLinear(EXIT_WIDTH, num_classes, switchable=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.conv2(self.conv1(self.prepare(x))).mean((2, 3)))

    def prepare(self, x: Tensor) -> Tensor:
        """What the first convolution reads of a map, in real numbers or integers."""
        for _ in range(self.pools):
            x = F.max_pool2d(x, 2)
        return x

    def layers(self, in_size: int) -> list[LayerSpec]:
        """Its layers for maps of ``in_size`` pixels, named relative to the branch."""
        conv1 = self.conv1.spec("conv1", in_size >> self.pools, "map")
        conv2 = replace(self.conv2.spec("conv2", conv1.out_size, "conv1"), pool=True)
        classifier = self.classifier
        linear = LayerSpec("classifier", "linear", classifier.in_features, classifier.out_features, 1, 1, 1, 1, (1,), "conv2")
        return [conv1, conv2, linear]
