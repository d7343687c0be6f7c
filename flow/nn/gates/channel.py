"""Channel gate of DDI (Wang et al., JSTSP 2020, section III-A2, Fig. 2b)."""

from flow.nn.gates.unit import ConvGate, GateConv


class ChannelGate(ConvGate):
    """Map [N, C, H, W] to one probability per output channel of a block, [N, K].

    3x3 convolution with stride 2, global average, linear layer with 8-bit weights, sigmoid.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(out_channels, conv=GateConv.dense(in_channels, in_channels, 3, 2))
