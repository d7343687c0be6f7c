"""A channel gate that the tile engine has almost for nothing: it reads sums which the write-back makes anyway.

One linear layer on the pooled map, as the saliency predictor of Gao et al., *Dynamic Channel Pruning: Feature Boosting and
Suppression* (ICLR 2019, arXiv:1810.05331), eq. (7); but it decides by a threshold, and amplifies nothing.
"""

from flow.nn.gates.unit import ConvGate


class PooledGate(ConvGate):
    """Map [N, C, H, W] to one probability per output channel of a block, [N, K]: global average, linear layer, sigmoid."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(out_channels, in_channels)
