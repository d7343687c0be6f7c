"""The gates of DDI and EnergyNet against references of a few lines."""

import pytest
import torch
from torch.nn import functional as F

from flow.nn.gates.channel import ChannelGate
from flow.nn.gates.decision import decide
from flow.nn.gates.recurrent import LayerGate


def set_quantised(gate, on):
    for module in gate.modules():
        if hasattr(module, "quantised"):
            module.quantised = on
    return gate


def test_layer_gate_is_pool_projection_lstm_of_ten_linear_sigmoid():
    torch.manual_seed(1)
    gate = set_quantised(LayerGate([16, 16, 32, 64]), False)
    maps = [torch.randn(5, c, s, s) for c, s in ((16, 8), (16, 8), (32, 4), (64, 2))]
    lstm = torch.nn.LSTM(10, 10)
    with torch.no_grad():
        lstm.weight_ih_l0.copy_(gate.lstm.weight[:, :10])
        lstm.weight_hh_l0.copy_(gate.lstm.weight[:, 10:])
        lstm.bias_ih_l0.copy_(gate.lstm.bias)
        lstm.bias_hh_l0.zero_()
    projected = [F.linear(x.mean((2, 3)), p.weight, p.bias) for x, p in
                 zip(maps, (gate.project16, gate.project16, gate.project32, gate.project64))]  # fmt: skip
    expected = torch.sigmoid(F.linear(lstm(torch.stack(projected))[0], gate.output.weight, gate.output.bias))[..., 0]
    state = None
    for x, p in zip(maps, expected):
        probability, state = gate(x, state)
        assert torch.allclose(probability, p, atol=1e-6)


def test_layer_gate_remembers_and_starts_anew():
    torch.manual_seed(2)
    gate = LayerGate([16])
    x = torch.randn(3, 16, 4, 4)
    first, state = gate(x)
    second, _ = gate(x, state)
    assert not torch.allclose(first, second)
    assert torch.equal(gate(x)[0], first)


def test_layer_gate_overhead_is_below_a_thousandth_of_a_block():
    """0.04 % of a residual block in the paper's ResNet-34."""
    gate = LayerGate([64])
    macs = sum(spec.in_channels * spec.out_channels for spec in gate.layers())
    assert macs == 64 * 10 + 20 * 40 + 10
    assert macs < 0.001 * 2 * 9 * 64 * 64 * 56 * 56


def test_eight_bit_weights_of_the_recurrent_gate():
    torch.manual_seed(3)
    gate = LayerGate([16])
    integers, scale = gate.lstm.integer_weight()
    assert integers.abs().max() == 127 and torch.equal(integers, integers.round())
    x = torch.randn(2, 16, 4, 4)
    quantised = gate(x)[0]
    with torch.no_grad():
        for module in (gate.project16, gate.lstm, gate.output):
            integers, scale = module.integer_weight()
            module.weight.copy_(integers * scale)
    gate.quantised = False  # what is fixed point between them: test_lstm.py
    set_quantised(gate, False)
    real = gate(x)[0]
    assert torch.allclose(real, quantised, atol=0.02)
    gate.quantised = True
    assert torch.allclose(gate(x)[0], quantised, atol=1e-6)


def test_channel_gate_is_conv_pool_linear_sigmoid():
    torch.manual_seed(4)
    gate = set_quantised(ChannelGate(16, 32), False).eval()
    x = torch.rand(3, 16, 8, 8)
    norm = next(module for module in gate.modules() if isinstance(module, torch.nn.BatchNorm2d))
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    y = F.conv2d(x, gate.conv.conv.weight, stride=2, padding=1)
    y = F.batch_norm(y, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    y = y.clamp(0, 15 * gate.conv.activation.scale).mean((2, 3))
    expected = torch.sigmoid(y @ gate.linear.weight.t() + gate.linear.bias)
    assert expected.shape == (3, 32)
    assert torch.allclose(gate(x), expected, atol=1e-6)


@pytest.mark.parametrize("channels, size", [(16, 32), (32, 16), (64, 8)])
def test_channel_gate_costs_an_eighth_of_a_block(channels, size):
    """12.5 % (DDI, section III-A2); the linear layer adds little."""
    conv, linear = ChannelGate(channels, channels).layers(size)
    macs = conv.out_size**2 * 9 * channels * channels
    block = 2 * size**2 * 9 * channels * channels
    assert macs / block == 0.125
    assert (macs + linear.in_channels * linear.out_channels) / block == pytest.approx(0.125, abs=0.001)


def test_decisions_are_hard_with_the_gradient_of_the_probability_or_soft():
    """DDI, section I, and ACS, section 3.1: a probability compared with a threshold."""
    for soft, values in ((False, [0.0, 1.0, 1.0]), (True, [0.2, 0.5, 0.9])):
        p = torch.tensor([0.2, 0.5, 0.9], requires_grad=True)
        taken = decide(p, soft)
        assert taken.tolist() == pytest.approx(values)
        (taken * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
        assert p.grad.tolist() == [1, 2, 3]
    assert decide(torch.tensor([0.2, 0.5]), False, 0.0).tolist() == [1, 1]
