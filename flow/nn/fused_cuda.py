"""The passes of ``fused`` for a CUDA device, in Triton, which comes with PyTorch for such devices; see there for the formulas.

Every pass gives each of its programs some rows of the map [M, C]; sums over rows are those of the programs' sums, in an order
that does not change, in double precision.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor, nn

from flow.nn.fused import as_map, as_rows

TILE = 4096
# Programs of a pass over a map: two for each multiprocessor of an H100.
PROGRAMS = 264
WIDEST = 64
# Sums of programs that are added at a time.
SUMS = 64

TOP = tl.constexpr(15.0)
MAGIC = tl.constexpr(12582912.0)  # adding and taking off 1.5 * 2^23 rounds to the nearest integer, ties to even


@triton.jit
def _clamp(z):
    return tl.minimum(tl.maximum(z, 0.0), TOP)


@triton.jit
def _nearest(z):
    return (z + MAGIC) - MAGIC


@triton.jit
def _statistics(v, partial, rows, chunk, C: tl.constexpr, R: tl.constexpr, B: tl.constexpr):
    program, c = tl.program_id(0), tl.program_id(1) * B + tl.arange(0, B)
    sums, squares = tl.zeros([R, B], tl.float32), tl.zeros([R, B], tl.float32)
    for start in range(0, chunk, R):
        row = program * chunk + start + tl.arange(0, R)
        x = tl.load(v + row[:, None] * C + c[None, :], mask=row[:, None] < rows, other=0.0).to(tl.float32)
        sums += x
        squares += x * x
    to = partial + program * C + c
    tl.store(to, tl.sum(sums, 0))
    tl.store(to + tl.num_programs(0) * C, tl.sum(squares, 0))


@triton.jit
def _total(partial, programs, c, C: tl.constexpr, S: tl.constexpr, B: tl.constexpr):
    total = tl.zeros([S, B], tl.float64)
    for start in range(0, programs, S):
        p = start + tl.arange(0, S)
        total += tl.load(partial + p[:, None] * C + c[None, :], mask=p[:, None] < programs, other=0.0).to(tl.float64)
    return tl.sum(total, 0)


@triton.jit
def _normalisation(
    partial, programs, rows, weight, bias, scale, mean_to, inv_std_to, gain_to, offset_to, eps: tl.constexpr, C: tl.constexpr,
    S: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(0) * B + tl.arange(0, B)
    mean = _total(partial, programs, c, C, S, B) / rows
    square = _total(partial + programs * C, programs, c, C, S, B) / rows
    inv_std = 1.0 / tl.sqrt(tl.maximum(square - mean * mean, 0.0) + eps)
    s = tl.load(scale).to(tl.float64)
    a = tl.load(weight + c).to(tl.float64) * inv_std
    tl.store(mean_to + c, mean.to(tl.float32))
    tl.store(inv_std_to + c, inv_std.to(tl.float32))
    tl.store(gain_to + c, (a / s).to(tl.float32))
    tl.store(offset_to + c, ((tl.load(bias + c).to(tl.float64) - mean * a) / s).to(tl.float32))


@triton.jit
def _activate(
    v, residual, gain, offset, scale, y, rows, chunk, ADDED: tl.constexpr, QUANTISED: tl.constexpr, C: tl.constexpr,
    R: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    program, c = tl.program_id(0), tl.program_id(1) * B + tl.arange(0, B)
    a, b, s = tl.load(gain + c)[None, :], tl.load(offset + c)[None, :], tl.load(scale)
    for start in range(0, chunk, R):
        row = program * chunk + start + tl.arange(0, R)
        at, inside = row[:, None] * C + c[None, :], row[:, None] < rows
        z = tl.load(v + at, mask=inside, other=0.0).to(tl.float32) * a + b
        if ADDED:
            z += tl.load(residual + at, mask=inside, other=0.0).to(tl.float32) * (1.0 / s)
        z = _clamp(z)
        if QUANTISED:
            z = _nearest(z)
        tl.store(y + at, (z * s).to(tl.bfloat16), mask=inside)


@triton.jit
def _gradient_sums(
    gradient, v, residual, gain, offset, scale, g, partial, rows, chunk, ADDED: tl.constexpr, QUANTISED: tl.constexpr,
    C: tl.constexpr, R: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    program, c = tl.program_id(0), tl.program_id(1) * B + tl.arange(0, B)
    a, b, s = tl.load(gain + c)[None, :], tl.load(offset + c)[None, :], tl.load(scale)
    margin: tl.constexpr = 0.5 if QUANTISED else 0.0
    sums, products, scales = tl.zeros([R, B], tl.float32), tl.zeros([R, B], tl.float32), tl.zeros([R, B], tl.float32)
    for start in range(0, chunk, R):
        row = program * chunk + start + tl.arange(0, R)
        at, inside = row[:, None] * C + c[None, :], row[:, None] < rows
        x = tl.load(v + at, mask=inside, other=0.0).to(tl.float32)
        incoming = tl.load(gradient + at, mask=inside, other=0.0).to(tl.float32)
        z = x * a + b
        if ADDED:
            z += tl.load(residual + at, mask=inside, other=0.0).to(tl.float32) * (1.0 / s)
        passing = tl.where((z > -margin) & (z < TOP + margin), incoming, 0.0)
        tl.store(g + at, passing.to(tl.bfloat16), mask=inside)
        sums += passing
        products += passing * x
        if QUANTISED:
            scales += incoming * _nearest(_clamp(z)) - passing * z
    to = partial + program * C + c
    tl.store(to, tl.sum(sums, 0))
    tl.store(to + tl.num_programs(0) * C, tl.sum(products, 0))
    if QUANTISED:
        tl.store(to + 2 * tl.num_programs(0) * C, tl.sum(scales, 0))


@triton.jit
def _input_factors(
    partial, programs, rows, mean, inv_std, weight, grad_weight_to, grad_bias_to, scales_to, factors, QUANTISED: tl.constexpr,
    C: tl.constexpr, S: tl.constexpr, B: tl.constexpr,
):  # fmt: skip
    c = tl.program_id(0) * B + tl.arange(0, B)
    m, i = tl.load(mean + c).to(tl.float64), tl.load(inv_std + c).to(tl.float64)
    grad_bias = _total(partial, programs, c, C, S, B)
    grad_weight = (_total(partial + programs * C, programs, c, C, S, B) - m * grad_bias) * i
    a = tl.load(weight + c).to(tl.float64) * i
    p = -a * i * grad_weight / rows
    tl.store(grad_weight_to + c, grad_weight.to(tl.float32))
    tl.store(grad_bias_to + c, grad_bias.to(tl.float32))
    tl.store(factors + c, a.to(tl.float32))
    tl.store(factors + C + c, p.to(tl.float32))
    tl.store(factors + 2 * C + c, (-a * grad_bias / rows - p * m).to(tl.float32))
    if QUANTISED:
        tl.store(scales_to + c, _total(partial + 2 * programs * C, programs, c, C, S, B).to(tl.float32))


@triton.jit
def _input_gradient(g, v, factors, to, rows, chunk, C: tl.constexpr, R: tl.constexpr, B: tl.constexpr):
    program, c = tl.program_id(0), tl.program_id(1) * B + tl.arange(0, B)
    by_g, by_v, constant = tl.load(factors + c)[None, :], tl.load(factors + C + c)[None, :], tl.load(factors + 2 * C + c)[None, :]
    for start in range(0, chunk, R):
        row = program * chunk + start + tl.arange(0, R)
        at, inside = row[:, None] * C + c[None, :], row[:, None] < rows
        out = tl.load(g + at, mask=inside, other=0.0).to(tl.float32) * by_g
        out += tl.load(v + at, mask=inside, other=0.0).to(tl.float32) * by_v + constant
        tl.store(to + at, out.to(tl.bfloat16), mask=inside)


@triton.jit
def _track(
    mean, inv_std, running_mean, running_var, batches, correction, momentum, eps: tl.constexpr, C: tl.constexpr, B: tl.constexpr
):
    c = tl.arange(0, B)
    inside = c < C
    i = tl.load(inv_std + c, mask=inside, other=1.0)
    variance = (1.0 / (i * i) - eps) * correction
    old_mean, old_var = tl.load(running_mean + c, mask=inside, other=0.0), tl.load(running_var + c, mask=inside, other=0.0)
    tl.store(running_mean + c, old_mean + momentum * (tl.load(mean + c, mask=inside, other=0.0) - old_mean), mask=inside)
    tl.store(running_var + c, old_var + momentum * (variance - old_var), mask=inside)
    tl.store(batches, tl.load(batches) + 1)


def track(norm: nn.BatchNorm2d, mean: Tensor, inv_std: Tensor, count: int) -> None:
    """``flow.nn.batchnorm.track`` of a norm with a momentum, as one kernel."""
    c = len(mean)
    _track[(1,)](
        mean, inv_std, norm.running_mean, norm.running_var, norm.num_batches_tracked, count / (count - 1), norm.momentum, norm.eps, c,
        triton.next_power_of_2(c),
    )  # fmt: skip


class _Passes:
    """How the passes over a map [M, C] are divided."""

    def __init__(self, rows: int, channels: int):
        width = min(WIDEST, channels & -channels)
        block, parts = TILE // width, channels // width
        tiles = triton.cdiv(rows, block)
        each = triton.cdiv(tiles, max(1, PROGRAMS // parts))
        self.programs = triton.cdiv(tiles, each)
        self.grid = (self.programs, parts)
        self.sums_grid = (parts,)
        self.size = {"rows": rows, "chunk": each * block, "C": channels, "R": block, "B": width}
        self.sums = {"programs": self.programs, "rows": float(rows), "C": channels, "S": SUMS, "B": width}


class NormaliseAndActivate(torch.autograd.Function):
    """As that of ``fused``; the scale stays on the device."""

    @staticmethod
    def forward(
        ctx: Any, v: Tensor, weight: Tensor, bias: Tensor, scale: Tensor, residual: Tensor | None, eps: float, quantised: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows, shape = as_rows(v), v.shape
        others = None if residual is None else as_rows(residual)
        passes = _Passes(*rows.shape)
        partial = rows.new_empty(2, passes.programs, rows.shape[1], dtype=torch.float32)
        mean, inv_std, gain, offset = rows.new_empty(4, rows.shape[1], dtype=torch.float32)
        s = scale.detach().float()
        y = torch.empty_like(rows)
        _statistics[passes.grid](rows, partial, **passes.size)
        _normalisation[passes.sums_grid](
            partial, weight=weight, bias=bias, scale=s, mean_to=mean, inv_std_to=inv_std, gain_to=gain, offset_to=offset, eps=eps,
            **passes.sums,
        )  # fmt: skip
        _activate[passes.grid](
            rows,
            rows if others is None else others,
            gain,
            offset,
            s,
            y,
            ADDED=others is not None,
            QUANTISED=quantised,
            **passes.size,
        )
        ctx.save_for_backward(rows, others, mean, inv_std, weight, gain, offset, s)
        ctx.quantised, ctx.shape, ctx.scale_shape, ctx.passes = quantised, shape, scale.shape, passes
        ctx.mark_non_differentiable(mean, inv_std)
        return as_map(y, shape), mean, inv_std

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _mean: Tensor, _inv_std: Tensor) -> tuple[Tensor | None, ...]:
        rows, others, mean, inv_std, weight, gain, offset, s = ctx.saved_tensors
        passes, c = ctx.passes, rows.shape[1]
        g, out = torch.empty_like(rows), torch.empty_like(rows)
        partial = rows.new_empty(3, passes.programs, c, dtype=torch.float32)
        grad_weight, grad_bias, scales, *_ = results = rows.new_empty(6, c, dtype=torch.float32)
        factors = results[3:]
        _gradient_sums[passes.grid](
            as_rows(grad), rows, rows if others is None else others, gain, offset, s, g, partial, ADDED=others is not None,
            QUANTISED=ctx.quantised, **passes.size,
        )  # fmt: skip
        _input_factors[passes.sums_grid](
            partial, mean=mean, inv_std=inv_std, weight=weight, grad_weight_to=grad_weight, grad_bias_to=grad_bias, scales_to=scales,
            factors=factors, QUANTISED=ctx.quantised, **passes.sums,
        )  # fmt: skip
        _input_gradient[passes.grid](g, rows, factors, out, **passes.size)
        grad_scale = scales.sum().reshape(ctx.scale_shape) if ctx.quantised and ctx.needs_input_grad[3] else None
        grad_residual = None if others is None else as_map(g, ctx.shape)
        return as_map(out, ctx.shape), grad_weight, grad_bias, grad_scale, grad_residual, None, None
