"""Group modes and channel shuffle of WeNet.

Ma and Reda, "WeNet: Configurable Neural Network with Dynamic Weight-Enabling for Efficient Inference":
with n groups, output o and input i are connected iff o*n//Co == i*n//Ci.
"""

import torch

MAX_GROUPS = 16


def group_counts(in_channels: int, out_channels: int) -> tuple[int, ...]:
    """Powers of two up to 16 that divide both channel counts evenly."""
    counts = (1, 2, 4, 8, 16)
    return tuple(n for n in counts if n <= MAX_GROUPS and in_channels % n == 0 and out_channels % n == 0)


def group_mask(out_channels: int, in_channels: int, n: int) -> torch.Tensor:
    """Connections of group mode n as a bool tensor [out_channels, in_channels]."""
    out_group = torch.arange(out_channels) * n // out_channels
    in_group = torch.arange(in_channels) * n // in_channels
    return out_group[:, None] == in_group[None, :]


def block_diagonal(weight: torch.Tensor, n: int) -> torch.Tensor:
    """Weights of a grouped convolution cut out of the dense ones.

    Args:
        weight: dense weights [Co, Ci, ...].
        n: group count; divides Co and Ci.

    Returns:
        Tensor [Co, Ci/n, ...], what ``conv2d(groups=n)`` takes.
    """
    if n == 1:
        return weight
    co, ci = weight.shape[:2]
    blocks = weight.reshape(n, co // n, n, ci // n, *weight.shape[2:])
    index = torch.arange(n, device=weight.device)
    return blocks[index, :, index].reshape(co, ci // n, *weight.shape[2:])
