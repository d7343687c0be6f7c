"""The passes on a CUDA device, and quantised weights as they are computed there."""

import pytest
import torch
from torch import nn

from flow.models import create
from flow.nn import quantisers
from flow.nn.batchnorm import track
from flow.nn.fused import normalise_and_activate

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


@pytest.mark.parametrize(("layer", "reduced", "top"), [("stage2.block1.conv1.conv", (1, 2, 3), 7), ("classifier", (0, 1), 127)])
def test_quantised_weights_are_those_of_brevitas(layer, reduced, top):
    torch.manual_seed(0)
    module = create("resnet8").get_submodule(layer)
    grad = torch.randn_like(module.weight)
    expected, weights = module.quant_weight().value, quantisers._narrow(module.weight, reduced, top)
    assert torch.equal(weights, expected)
    assert torch.equal(*(torch.autograd.grad(value, module.weight, grad)[0] for value in (expected, weights)))


@needs_cuda
@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("with_residual", [False, True])
@pytest.mark.parametrize("channels", [16, 48, 512])
def test_equals_the_formulas(channels, with_residual, quantised):
    generator = torch.Generator("cuda").manual_seed(0)

    def draw():
        x = torch.randn(5, channels, 14, 14, generator=generator, device="cuda").bfloat16()
        return x.contiguous(memory_format=torch.channels_last).requires_grad_()

    v, residual, grad = draw(), draw() if with_residual else None, draw().detach()
    norm, scale = nn.BatchNorm2d(channels).cuda(), torch.tensor(0.25, device="cuda", requires_grad=True)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.uniform_(-1, 1)
    inputs = [v, norm.weight, norm.bias, *([residual] if with_residual else []), *([scale] if quantised else [])]
    y, mean, inv_std = normalise_and_activate(v, norm, scale, residual, quantised)
    gradients = torch.autograd.grad(y, inputs, grad)
    margin = 0.5 if quantised else 0.0
    z = (norm(v.float()) + (residual.float() if with_residual else 0)) / scale
    level = z.clamp(-margin, 15 + margin)
    if quantised:
        level = level + (z.clamp(0, 15).round() - level).detach()
    expected = level * (scale if quantised else scale.detach())
    # A value within rounding of a boundary may fall on the other side of it.
    assert float(((y - expected).abs() > 1e-2 * expected.abs()).float().mean()) < 1e-3
    for a, b in zip(gradients, torch.autograd.grad(expected, inputs, grad.float())):
        assert float((a.float() - b).norm() / b.norm()) < 0.02
    both = nn.BatchNorm2d(channels).cuda(), nn.BatchNorm2d(channels)
    track(both[0], mean, inv_std, 980)
    track(both[1], mean.cpu(), inv_std.cpu(), 980)
    for a, b in zip(*(norm.state_dict().values() for norm in both)):
        assert torch.allclose(a.cpu(), b)
