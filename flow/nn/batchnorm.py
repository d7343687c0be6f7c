"""Switchable batch normalisation: one per group count (Yu et al., arXiv:1812.08928; WeNet, section III-C)."""

import copy

import torch
from torch import Tensor, distributed, nn


def _shared() -> bool:
    return distributed.is_initialized() and distributed.get_world_size() > 1


def _normalise_together(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """y, mean and 1/std with the statistics of the batches of all processes, which are of one size."""
    moments = torch.stack([x.mean((0, 2, 3), dtype=torch.float64), x.double().square().mean((0, 2, 3))])
    distributed.all_reduce(moments)
    mean, square = moments / distributed.get_world_size()
    inv_std = torch.rsqrt((square - mean * mean).clamp_(min=0) + eps).to(x.dtype)
    mean = mean.to(x.dtype)
    a = (weight * inv_std)[None, :, None, None]
    return (x - mean[None, :, None, None]) * a + bias[None, :, None, None], mean, inv_std


class _BatchNorm(torch.autograd.Function):
    """Batch normalisation of channels-last maps with batch statistics, over all processes of a distributed run.

    PyTorch's own backward pass for this layout is about four times slower on a processor, and its distributed batch
    normalisation does not run there.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, eps: float):
        if _shared():
            y, mean, inv_std = _normalise_together(x, weight, bias, eps)
        else:
            y, mean, inv_std = torch.native_batch_norm(x, weight, bias, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, weight, mean, inv_std)
        ctx.mark_non_differentiable(mean, inv_std)
        return y, mean, inv_std

    @staticmethod
    def backward(ctx, grad: Tensor, _mean, _inv_std):
        x, weight, mean, inv_std = ctx.saved_tensors
        n, c, h, w = x.shape
        g = grad.permute(0, 2, 3, 1).reshape(-1, c)
        v = x.permute(0, 2, 3, 1).reshape(-1, c)
        m = g.shape[0]
        grad_bias = torch.mv(g.t(), g.new_ones(m))
        grad_weight = (torch.mm(g.t(), v).diagonal() - mean * grad_bias) * inv_std
        sums = torch.stack([grad_weight, grad_bias]) / m
        if _shared():
            distributed.all_reduce(sums)
            sums /= distributed.get_world_size()
        a = weight * inv_std
        p = -a * inv_std * sums[0]
        q = -a * sums[1] - p * mean
        grad_x = torch.addcmul(q, g, a).addcmul_(v, p)
        return grad_x.view(n, h, w, c).permute(0, 3, 1, 2), grad_weight, grad_bias, None


def affine_of(state: dict[str, Tensor], eps: float) -> tuple[Tensor, Tensor]:
    """Batch normalisation in eval as y = a*v + b: float64 tensors a, b [C] from the state of an ``nn.BatchNorm2d``."""
    a = state["weight"].detach().double() / torch.sqrt(state["running_var"].double() + eps)
    return a, state["bias"].detach().double() - state["running_mean"].double() * a


def normalise(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """``norm(x)``; in a distributed run with the statistics of the batches of all processes."""
    together = _shared()
    if not norm.training or not together and (x.is_cuda or not x.is_contiguous(memory_format=torch.channels_last)):
        return norm(x)
    if together:
        x = x.contiguous(memory_format=torch.channels_last)
    channels = x.shape[1]
    weight, bias = (norm.weight, norm.bias) if norm.affine else (x.new_ones(channels), x.new_zeros(channels))
    y, mean, inv_std = _BatchNorm.apply(x, weight, bias, norm.eps)
    track(norm, mean, inv_std, x.numel() // channels * (distributed.get_world_size() if together else 1))
    return y


@torch.no_grad()
def track(norm: nn.BatchNorm2d, mean: Tensor, inv_std: Tensor, count: int) -> None:
    """Bring a batch of ``count`` values per channel into the running statistics; its mean and 1/std are [C]."""
    momentum = norm.momentum
    if mean.is_cuda and momentum is not None:
        from flow.nn.fused_cuda import track as track_there

        track_there(norm, mean, inv_std, count)
        return
    variance = (inv_std**-2 - norm.eps) * (count / (count - 1))
    norm.num_batches_tracked += 1
    if momentum is None:
        momentum = 1.0 / float(norm.num_batches_tracked)
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)


UNGATED = "-ungated"


class SwitchableBatchNorm2d(nn.Module):
    """Batch normalisation [N, C, H, W] with its own parameters and statistics per group count.

    Args:
        channels: C.
        group_counts: the group counts n that may be selected.

    Attributes:
        mode: a mode with statistics of its own (see ``add``) that is active, or None.
        ungated: whether those of the network without its gates are active, where there are some (see ``separate``).
    """

    def __init__(self, channels: int, group_counts: tuple[int, ...], eps: float = 1e-5, momentum: float = 0.1):
        super().__init__()
        self.norms = nn.ModuleDict({str(n): nn.BatchNorm2d(channels, eps, momentum) for n in group_counts})
        self.mode: str | None = None
        self.ungated = False

    def separate(self) -> None:
        """Give the network without its gates its own parameters and statistics, at first (or anew) those of the one with them."""
        for key in [key for key in self.norms if not key.endswith(UNGATED)]:
            self.norms[key + UNGATED] = copy.deepcopy(self.norms[key])

    @property
    def separated(self) -> bool:
        """Whether ``separate`` was called."""
        return any(key.endswith(UNGATED) for key in self.norms)

    @property
    def group_counts(self) -> list[int]:
        """The group counts that may be selected."""
        return [int(key) for key in self.norms if key.isdigit()]

    def add(self, mode: str, n: int) -> nn.BatchNorm2d:
        """Give a mode its own parameters and statistics, at first those of group count n."""
        self.norms[mode] = copy.deepcopy(self.norms[str(n)])
        return self.norms[mode]

    def active(self, n: int, mode: str | None = None) -> nn.BatchNorm2d:
        """The batch normalisation of group count n, or of a mode (the active one if omitted) that has its own."""
        mode = mode or self.mode
        key = mode if mode in self.norms else str(n)
        return self.norms[key + UNGATED if self.ungated and key + UNGATED in self.norms else key]

    def forward(self, x: Tensor, n: int) -> Tensor:
        return normalise(x, self.active(n))

    @torch.no_grad()
    def copy_full(self) -> None:
        """Start every group count from the parameters and statistics of the full network, which has the fewest groups."""
        full, *others = self.norms.values()
        for norm in others:
            norm.load_state_dict(full.state_dict())

    def affine(self, n: int, mode: str | None = None) -> tuple[Tensor, Tensor]:
        """Eval as y = a*v + b: float64 tensors a, b [C] of group count n, or of a mode (the active one if omitted)."""
        norm = self.active(n, mode)
        return affine_of(norm.state_dict(keep_vars=True), norm.eps)
