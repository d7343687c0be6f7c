"""Channel gate for DenseNet (DDI: Wang et al., JSTSP 2020, section III-A3, Fig. 4b)."""

from flow.nn.gates.unit import ConvGate, GateConv


class DenseGate(ConvGate):
    """A dense layer made small: 1x1 convolution with stride 2 and half the channels, 3x3, global average, linear, sigmoid.

    Map [N, C, H, W] to the probabilities [N, K] of a dense layer's K new channels; about 1/8 of the layer's products.

    Args:
        in_channels, out_channels: C and K.
        bottleneck: output channels of the dense layer's own 1x1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, bottleneck: int):
        super().__init__(
            out_channels,
            conv1=GateConv.dense(in_channels, bottleneck // 2, 1, 2),
            conv2=GateConv.dense(bottleneck // 2, out_channels, 3),
        )
