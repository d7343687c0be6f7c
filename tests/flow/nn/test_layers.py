"""Quantisers, switchable linear layer and batch normalisation against their plain definitions."""

import pytest
import torch
from brevitas.core.quant import IntQuant
from torch.nn import functional as F

from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.conv import SwitchableConv2d
from flow.nn.linear import SwitchableLinear
from flow.nn.quantisers import Activation, ResidualBranch


def test_activation_equals_brevitas_and_its_gradient():
    activation = Activation()
    x = torch.randn(4, 8, 5, 5).mul(3).contiguous(memory_format=torch.channels_last)
    ours = x.clone().requires_grad_()
    theirs = x.clone().requires_grad_()
    weight = torch.randn_like(x)
    y = activation(ours)
    (y * weight).sum().backward()
    plain = IntQuant(narrow_range=False, signed=False, input_view_impl=torch.nn.Identity())
    scale = torch.tensor(activation.scale, requires_grad=True)
    reference = plain(scale, torch.tensor(0.0), torch.tensor(4.0), theirs)
    (reference * weight).sum().backward()
    assert torch.equal(y, reference)
    assert torch.allclose(ours.grad, theirs.grad)
    # d/d log2(s) = ln(2) * s * d/ds, through the rounding of the exponent
    expected = scale.grad * scale.detach() * torch.log(torch.tensor(2.0))
    assert torch.allclose(activation.threshold.value.grad, expected, rtol=1e-4)


def test_activation_levels_and_power_of_two():
    activation = Activation()
    activation.threshold.value.data += 0.7
    assert activation.scale == 0.5
    y = activation(torch.linspace(-3, 30, 1000)) / activation.scale
    assert set(y.tolist()) == set(range(16))


def test_residual_branch_follows_the_scale_of_its_stream():
    stream = Activation()
    branch = ResidualBranch(stream)
    assert not list(branch.parameters())
    x = torch.tensor([-100.0, -1.3, 0.1, 0.13, 100.0])
    stream.load_state_dict(stream.state_dict())
    for scale in (0.25, 1.0):
        stream.threshold.value.data.fill_(torch.log2(torch.tensor(scale * 16)))
        assert torch.equal(branch(x), torch.clamp(torch.round(x / scale), -128, 127) * scale)


def test_floating_point_activation_caps_at_the_range():
    activation = Activation()
    activation.quantised = False
    assert activation(torch.tensor([-1.0, 1.1, 9.0])).tolist() == pytest.approx([0, 1.1, 3.75])


def test_weights_are_4_bit_narrow():
    conv = SwitchableConv2d(16, 32, 3)
    weight, scale = conv.integer_weight()
    assert weight.abs().amax(dim=(1, 2, 3)).tolist() == [7] * 32
    assert torch.allclose(conv.quant_weight().value, weight * scale[:, None, None, None])


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("kernel, stride", [(3, 1), (3, 2), (1, 2)])
def test_grouped_convolution_equals_masked_dense(n, kernel, stride):
    conv = SwitchableConv2d(16, 32, kernel, stride)
    conv.set_groups(n)
    x = torch.randint(0, 16, (2, 16, 8, 8)).float()
    weight, _ = conv.integer_weight()
    conv.grouped = True
    grouped = conv.convolve(x, weight)
    conv.grouped = False
    assert torch.equal(grouped, conv.convolve(x, weight))
    for g, (inputs, kernels) in enumerate(zip(x.chunk(n, 1), weight.chunk(n))):
        own = kernels[:, g * 16 // n : (g + 1) * 16 // n]  # WeNet, eq. (2): group g reads its own channels alone
        assert torch.equal(grouped.chunk(n, 1)[g], F.conv2d(inputs, own, None, stride, kernel // 2))


@pytest.mark.parametrize("n", [1, 2, 4])
def test_switchable_linear(n):
    linear = SwitchableLinear(16, 8)
    linear.set_groups(n)
    x = torch.randint(0, 100, (3, 16)).float()
    weight, _ = linear.integer_weight()
    linear.grouped = True
    grouped = linear.multiply(x, weight)
    linear.grouped = False
    assert torch.equal(grouped, linear.multiply(x, weight))
    for g, (inputs, rows) in enumerate(zip(x.chunk(n, 1), weight.chunk(n))):
        own = rows[:, g * 16 // n : (g + 1) * 16 // n]  # WeNet, eq. (1): x_g W_gg
        assert torch.equal(grouped.chunk(n, 1)[g], inputs @ own.t())
    assert linear(x).shape == (3, 8)


def test_batchnorm_matches_pytorch_and_keeps_groups_apart():
    norm = SwitchableBatchNorm2d(8, (1, 2))
    plain = torch.nn.BatchNorm2d(8)
    with torch.no_grad():
        norm.norms["2"].weight.uniform_(0.5, 2)
        norm.norms["2"].bias.uniform_(-1, 1)
    plain.load_state_dict(norm.norms["2"].state_dict())
    x = torch.randn(4, 8, 6, 6).contiguous(memory_format=torch.channels_last)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    weight = torch.randn_like(x)
    (norm(ours, 2) * weight).sum().backward()
    (plain(theirs) * weight).sum().backward()
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-5)
    assert torch.allclose(norm.norms["2"].weight.grad, plain.weight.grad, atol=1e-4)
    for name, value in plain.state_dict().items():
        assert torch.allclose(norm.norms["2"].state_dict()[name].float(), value.float(), atol=1e-5)
    assert norm.norms["1"].running_mean.abs().sum() == 0
    norm.eval()
    a, b = norm.affine(2)
    y = x.double() * a[None, :, None, None] + b[None, :, None, None]
    assert torch.allclose(norm(x, 2).double(), y, atol=1e-5)


def test_scale_gradient_for_any_layout():
    activation, first = Activation(), None
    for layout in (torch.contiguous_format, torch.channels_last):
        activation.threshold.value.grad = None
        x = torch.linspace(-1, 5, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4).contiguous(memory_format=layout).requires_grad_()
        F.mse_loss(activation(x), torch.ones_like(x)).backward()
        first = float(activation.threshold.value.grad) if first is None else first
        assert float(activation.threshold.value.grad) == pytest.approx(first, rel=1e-4)
