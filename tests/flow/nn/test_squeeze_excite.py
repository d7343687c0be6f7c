"""Squeeze-and-excitation against its definition."""

import torch

from flow.nn.squeeze_excite import SqueezeExcite


def test_excitation_is_the_papers_formula():
    torch.manual_seed(0)
    block = SqueezeExcite(64, reduction=8)
    for module in (block.reduce, block.expand, block.hidden, block.output):
        module.quantised = False
    x = torch.rand(3, 64, 5, 5)
    z = x.mean((2, 3))
    hidden = torch.relu(z @ block.reduce.weight.t() + block.reduce.bias)
    s = torch.sigmoid(hidden @ block.expand.weight.t() + block.expand.bias)
    assert torch.allclose(block.excitation(x), s, atol=1e-6)
    assert torch.allclose(block(x), x * s[:, :, None, None], atol=1e-6)


def test_output_has_16_levels():
    block = SqueezeExcite(16)
    levels = block(torch.rand(2, 16, 4, 4) * 4) / block.output.scale
    assert torch.equal(levels, levels.round()) and levels.min() >= 0 and levels.max() <= 15


def test_fixed_point_is_trained_through():
    """Factors of a gate are those of the hardware: multiples of 1/256 near the sigmoid, and they have gradients."""
    torch.manual_seed(0)
    block = SqueezeExcite(16, fixed=True)
    x = torch.rand(5, 16, 4, 4)
    made = block.excitation(x)
    assert torch.equal(made * 256, (made * 256).round())
    block.quantised = False
    real = block.excitation(x)
    assert 0 < (made - real).abs().max() < 0.03
    block.quantised = True
    block.excitation(x).sum().backward()
    assert block.expand.weight.grad.abs().sum() > 0 and block.reduce.weight.grad.abs().sum() > 0


def test_layers_are_two_linear_ones():
    specs = SqueezeExcite(128).layers("conv1")
    assert [(spec.in_channels, spec.out_channels) for spec in specs] == [(128, 8), (8, 128)]
