"""Batch normalisation, residual addition and activation as one function, against the modules one after the other."""

import pytest
import torch
from torch import nn

from flow.errors import GatefoldError
from flow.models import create
from flow.nn import fused
from flow.nn.batchnorm import normalise
from flow.nn.quantisers import ACTIVATION_MAX, Activation


def _map(shape, seed):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).bfloat16()
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("channels", [16, 48])
def test_equals_the_modules(quantised, with_residual, channels):
    shape = (5, channels, 14, 14)
    v, r = _map(shape, 0), _map(shape, 1)
    norm, activation = nn.BatchNorm2d(channels), Activation()
    activation.quantised = quantised
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(3))
        norm.bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(4))
    grad = torch.randn(shape, generator=torch.Generator().manual_seed(2)).bfloat16()
    parameters = [norm.weight, norm.bias, *activation.parameters()]
    results = []
    for together in (False, True):
        residual = r if with_residual else None
        if together:
            scale = activation.present()
            y, mean, inv_std = fused.normalise_and_activate(v, norm, scale, residual, quantised)
            assert torch.allclose(mean, v.float().mean((0, 2, 3)), atol=1e-5)
            assert torch.allclose(inv_std, (v.float().var((0, 2, 3), correction=0) + norm.eps).rsqrt(), rtol=1e-4)
            assert y.is_contiguous(memory_format=torch.channels_last)
        else:
            y = normalise(v.float(), norm)
            y = activation(y if residual is None else y + residual.float())
        inputs = [v, *([r] if with_residual else []), *parameters]
        results.append((y.float(), torch.autograd.grad(y, inputs, grad.to(y.dtype), allow_unused=True)))
    (expected, gradients), (y, others) = results
    # A value within rounding of a boundary may fall on the other side of it.
    near = (y - expected).abs() <= (1e-2 * expected.abs() if not quantised else 0)
    assert float(near.float().mean()) > 0.999
    assert 0 < float((y > 0).float().mean()) < 1 and bool((y == ACTIVATION_MAX * activation.scale).any())
    for a, b in zip(gradients, others):
        if a is not None and (quantised or a.numel() > 1):
            assert float((a.float() - b.float()).norm() / a.float().norm()) < 0.02


@pytest.mark.parametrize("options", [{}, {"gates": "ddi", "exits": True}, {"gates": "acs", "ungated": True}])
def test_a_network_learns_the_same_in_bfloat16(options):
    """A loss and gradients that differ by rounding alone."""
    torch.manual_seed(0)
    model = create("resnet8", float=True, **options)
    model.train()
    x, y = torch.rand(32, 3, 32, 32), torch.arange(32) % 10
    results = []
    for maps in (None, torch.bfloat16):
        model.set_fused(maps)
        model.zero_grad(set_to_none=True)
        logits = model(x)
        loss = sum(nn.functional.cross_entropy(part, y) for part in (logits if isinstance(logits, list) else [logits]))
        loss.backward()
        results.append((float(loss.detach()), {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}))
    (expected, gradients), (reached, others) = results
    assert reached == pytest.approx(expected, rel=5e-3)
    assert set(gradients) <= set(others)
    convolutions = [name for name in gradients if name.endswith("conv.weight")]
    assert len(convolutions) >= 9
    for name in convolutions:
        a, b = gradients[name].flatten(), others[name].flatten()
        assert float(torch.dot(a, b) / (a.norm() * b.norm())) > 0.9, name


def test_maps_of_other_channels_are_refused():
    with pytest.raises(GatefoldError, match="A map of 12 channels cannot be trained in bfloat16; train with --precision float32"):
        fused.normalise_and_activate(_map((2, 12, 4, 4), 0), nn.BatchNorm2d(12), torch.tensor(0.25), None, True)


def test_needs_a_compiler(monkeypatch):
    fused._library.cache_clear()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GatefoldError, match="needs the C compiler gcc; install it"):
        fused.normalise_and_activate(_map((2, 16, 4, 4), 0), nn.BatchNorm2d(16), torch.tensor(0.25), None, True)
