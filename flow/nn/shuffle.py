"""Channel shuffle with the fixed g = 16 permutation (WeNet, section III-B; ShuffleNet, arXiv:1707.01083)."""

import torch
from torch import nn

from flow.graph.layers import SHUFFLE_GROUPS


def shuffle_permutation(channels: int, groups: int = SHUFFLE_GROUPS) -> torch.Tensor:
    """Where each channel goes: channel a*m + b, with m = channels/g, is stored at b*g + a.

    g is 16, or the channel count where that is smaller.

    Returns:
        int64 tensor [channels]: ``new_index[old_index]``.
    """
    g = min(groups, channels)
    m = channels // g
    c = torch.arange(channels)
    return (c % m) * g + c // m


class ChannelShuffle(nn.Module):
    """Permutes the channels of a map [N, C, H, W] or the features of a dense layer [N, C]; the identity for C <= 16."""

    def __init__(self, channels: int, groups: int = SHUFFLE_GROUPS):
        super().__init__()
        self.groups = min(groups, channels)
        self.width = channels // self.groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.width == 1:
            return x
        if x.dim() == 2:
            return x.reshape(-1, self.groups, self.width).transpose(1, 2).reshape(x.shape)
        n, c, h, w = x.shape
        x = x.permute(0, 2, 3, 1).reshape(n, h, w, self.groups, self.width)
        return x.transpose(3, 4).reshape(n, h, w, c).permute(0, 3, 1, 2)
