"""Batch normalisation, residual addition and activation of a convolution as one function, for training.

One after the other these pass over the map about fifteen times, forwards and backwards, which costs more than the convolutions
of a small network. Here it is four passes (fused.c; on a CUDA device those of ``fused_cuda``) over maps of bfloat16, half of
float32's bytes; sums are in float32 and float64. With v the output of the convolution [M, C], mean and variance those of its columns, and s the activation's scale:

    z = (weight * (v - mean) / std + bias + residual) / s,    y = s * level(z),    level(z) = clamp(round(z), 0, 15)

without the rounding where the network is not quantised. The gradient goes through the activation where it does not saturate;
that of s is LSQ's (arXiv:1902.08153).
"""

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from flow.errors import GatefoldError

SOURCE = Path(__file__).with_suffix(".c")
LANES = 16
_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")


@cache
def _library() -> ctypes.CDLL:
    """The passes, compiled for this machine; GatefoldError without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise GatefoldError(
            "Training with --precision bfloat16 needs the C compiler gcc; install it (Debian and Ubuntu: `apt install gcc`) or "
            "train with --precision float32."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fused.so"
        result = subprocess.run([compiler, *_FLAGS, "-o", path, SOURCE], capture_output=True, text=True)
        if result.returncode:
            raise GatefoldError(f"{compiler} could not compile {SOURCE}: {result.stderr.strip().splitlines()[:1]}.")
        return ctypes.CDLL(str(path))


def _pointer(x: Tensor | None) -> ctypes.c_void_p:
    return ctypes.c_void_p(None if x is None else x.data_ptr())


def _run(name: str, *arguments) -> None:
    """Call a pass with its tensors, integers (long) and floats in order; bools are its C ints."""
    kinds = {bool: ctypes.c_int, int: ctypes.c_long, float: ctypes.c_float}
    getattr(_library(), name)(*(kinds[type(a)](a) if type(a) in kinds else _pointer(a) for a in arguments))


def as_rows(x: Tensor) -> Tensor:
    """bfloat16 [N, C, H, W] as [N*H*W, C]; a copy unless it is channels last."""
    return x.to(torch.bfloat16).permute(0, 2, 3, 1).contiguous().view(-1, x.shape[1])


def as_map(rows: Tensor, shape: torch.Size) -> Tensor:
    """The inverse: [N*H*W, C] as the map [N, C, H, W] of this shape."""
    n, c, h, w = shape
    return rows.view(n, h, w, c).permute(0, 3, 1, 2)


class _NormaliseAndActivate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, residual: Tensor | None, eps: float, quantised: bool):
        rows, shape = as_rows(v), v.shape
        others = None if residual is None else as_rows(residual)
        m, c = rows.shape
        sums = torch.empty(2, c, dtype=torch.float64)
        _run("statistics", rows, m, c, sums[0], sums[1])
        mean = sums[0] / m
        inv_std = torch.rsqrt((sums[1] / m - mean * mean).clamp_(min=0) + eps)
        s = float(scale)
        a = (weight * inv_std).double()
        gain, offset = (a / s).float(), ((bias - mean * a) / s).float()
        y = torch.empty_like(rows)
        _run("activate", rows, others, m, c, gain, offset, s, quantised, y)
        ctx.save_for_backward(rows, others, mean, inv_std, weight, gain, offset)
        ctx.s, ctx.quantised, ctx.shape, ctx.scale_shape = s, quantised, shape, scale.shape
        mean, inv_std = mean.float(), inv_std.float()
        ctx.mark_non_differentiable(mean, inv_std)
        return as_map(y, shape), mean, inv_std

    @staticmethod
    def backward(ctx, grad: Tensor, _mean, _inv_std):
        rows, others, mean, inv_std, weight, gain, offset = ctx.saved_tensors
        m, c = rows.shape
        g, sums = torch.empty_like(rows), torch.empty(3, c, dtype=torch.float64)
        activation = (gain, offset, ctx.s, ctx.quantised)
        _run("gradient_sums", as_rows(grad), rows, others, m, c, *activation, g, sums[0], sums[1], sums[2])
        grad_bias = sums[0]
        grad_weight = (sums[1] - mean * grad_bias) * inv_std
        a = weight * inv_std
        p = -a * inv_std * grad_weight / m
        q = -a * grad_bias / m - p * mean
        out = g if others is None else torch.empty_like(rows)
        _run("input_gradient", g, rows, m, c, a.float(), p.float(), q.float(), out)
        grad_scale = sums[2].sum().float().reshape(ctx.scale_shape) if ctx.quantised else None
        grad_residual = None if others is None else as_map(g, ctx.shape)
        return as_map(out, ctx.shape), grad_weight.float(), grad_bias.float(), grad_scale, grad_residual, None, None


def normalise_and_activate(
    v: Tensor, norm: nn.BatchNorm2d, scale: Tensor, residual: Tensor | None, quantised: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """``activation(norm(v) + residual)`` with the statistics of the batch.

    Args:
        v: output of a convolution, bfloat16 [N, C, H, W], channels last; C is a multiple of 16.
        norm: its batch normalisation, whose running statistics are left as they are.
        scale: s, a scalar tensor; it gets a gradient if ``quantised``.
        residual: as v, or None.
        quantised: whether to round.

    Returns:
        y, as v, and mean and 1/std of each channel of v, float32 [C].
    """
    if v.shape[1] % LANES:
        raise GatefoldError(f"A map of {v.shape[1]} channels cannot be trained in bfloat16; train with --precision float32.")
    function = _NormaliseAndActivate
    if v.is_cuda:
        from flow.nn.fused_cuda import NormaliseAndActivate as function  # Triton is there where CUDA is
    return function.apply(v, norm.weight, norm.bias, scale, residual, norm.eps, quantised)
