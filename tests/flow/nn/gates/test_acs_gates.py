"""Gates of ACS, SkipNet and DDI's DenseNet: structure, range, gradients and the products they cost."""

import pytest
import torch
from torch.nn import functional as F

from flow.nn.dynamic_group import DynamicGroupConv2d
from flow.nn.gates.acs import AcsGate
from flow.nn.gates.dense import DenseGate
from flow.nn.gates.skipnet import FFGate1, FFGate2
from flow.nn.gates.uses import gate_uses

GATES = {
    "acs-gn": lambda: AcsGate(24, 32, dynamic=False),
    "acs": lambda: AcsGate(24, 32),
    "quarter": lambda: AcsGate(24, 32, share=4),
    "static": lambda: AcsGate(24, 32, dynamic=False, groups=4),
    "ffgate-1": lambda: FFGate1(24),
    "ffgate-2": lambda: FFGate2(24),
    "dense": lambda: DenseGate(24, 32, 128),
}


def products(gate, in_size: int) -> int:
    return sum(s.kernel**2 * s.out_size**2 * s.in_channels * s.out_channels // max(s.group_counts) for s in gate.layers(in_size))


@pytest.mark.parametrize("name", GATES)
def test_layers_describe_what_runs(name):
    """Kernel, stride and map sizes of every layer are those seen in a real forward pass."""
    gate = GATES[name]().eval()
    x = torch.rand(2, 24, 8, 8)
    seen = {}

    def record(path):
        return lambda module, args, y: seen.__setitem__(path, (tuple(args[0].shape[1:]), tuple(y.shape[1:]), module))

    for path, module in gate.named_modules():
        if hasattr(module, "quant_weight"):
            module.register_forward_hook(record(path.removesuffix(".conv")))
    p = gate(x)
    assert p.shape == ((2, 1 if name.startswith("ff") else 32))
    assert p.min() > 0 and p.max() < 1
    assert list(seen) == [spec.name for spec in gate.layers(8)]
    for spec in gate.layers(8):
        inputs, outputs, module = seen[spec.name]
        assert (inputs[0], outputs[0]) == (spec.in_channels, spec.out_channels)
        if spec.kind == "conv":
            assert (inputs[1], outputs[1]) == (spec.in_size, spec.out_size)
            assert (module.kernel_size[0], module.stride[0]) == (spec.kernel, spec.stride)


@pytest.mark.parametrize("name", GATES)
def test_every_parameter_of_a_gate_learns(name):
    torch.manual_seed(0)
    gate = GATES[name]().train()
    for module in gate.modules():
        if hasattr(module, "quantised"):
            module.quantised = False
    gate(torch.rand(8, 24, 8, 8)).sum().backward()
    scales = {id(p) for path, p in gate.named_parameters() if "quantiser" in path}
    without = [path for path, p in gate.named_parameters() if id(p) not in scales and not p.grad.abs().sum() > 0]
    assert not without


def test_acs_gn_is_the_figure():
    """1x1, 3x3 of stride 2, 3x3 of stride 1, average, linear, sigmoid (section 3.1), in floating point."""
    torch.manual_seed(0)
    gate = AcsGate(24, 32, dynamic=False).eval()
    for module in gate.modules():
        if hasattr(module, "quantised"):
            module.quantised = False
    x = torch.rand(2, 24, 8, 8)
    y = x
    for unit, stride, padding in ((gate.bottleneck, 1, 0), (gate.conv1, 2, 1), (gate.conv2, 1, 1)):
        y = F.conv2d(y, unit.conv.weight, None, stride, padding) / (1 + 1e-3) ** 0.5
        y = y.clamp(0, 3.75)
    expected = torch.sigmoid(y.mean((2, 3)) @ gate.linear.weight.t() + gate.linear.bias)
    assert torch.allclose(gate(x), expected, atol=1e-5)


def test_acs_is_the_figure():
    """As ACS-GN, with M * W (eq. 2) for the weights of both 3x3 convolutions and squeeze-and-excitation between them."""
    torch.manual_seed(0)
    gate = AcsGate(24, 32).eval()
    for module in gate.modules():
        if hasattr(module, "quantised"):
            module.quantised = False
    with torch.no_grad():
        gate.conv1.conv.gate[:2] = -1
        gate.conv2.conv.gate[3] = -1
    eye, ones = torch.eye(2), torch.ones(2, 2)
    first = torch.kron(torch.kron(torch.kron(eye, eye), ones), ones)
    second = torch.kron(torch.kron(torch.kron(ones, ones), ones), eye)

    def unit(x, conv, stride, m):
        y = F.conv2d(x, conv.weight * m, None, stride, conv.padding)
        return (y / (1 + 1e-3) ** 0.5).clamp(0, 3.75)

    x = torch.rand(2, 24, 8, 8)
    y = unit(unit(x, gate.bottleneck.conv, 1, 1.0), gate.conv1.conv, 2, first[:, :, None, None])
    reduce, expand = gate.excite.reduce, gate.excite.expand
    hidden = (y.mean((2, 3)) @ reduce.weight.t() + reduce.bias).clamp(0, 3.75)
    y = (y * torch.sigmoid(hidden @ expand.weight.t() + expand.bias)[:, :, None, None]).clamp(0, 3.75)
    y = unit(y, gate.conv2.conv, 1, second[:, :, None, None])
    expected = torch.sigmoid(y.mean((2, 3)) @ gate.linear.weight.t() + gate.linear.bias)
    assert torch.allclose(gate(x), expected, atol=1e-5)


def test_dense_gate_is_the_figure():
    """DDI, Fig. 4(b): 1x1 of stride 2, 3x3, average, linear, sigmoid, in floating point."""
    torch.manual_seed(0)
    gate = DenseGate(24, 8, 32).eval()
    for module in gate.modules():
        if hasattr(module, "quantised"):
            module.quantised = False
    x = torch.rand(2, 24, 8, 8)
    y = F.conv2d(x, gate.conv1.conv.weight, None, 2).div((1 + 1e-3) ** 0.5).clamp(0, 3.75)
    y = F.conv2d(y, gate.conv2.conv.weight, None, 1, 1).div((1 + 1e-3) ** 0.5).clamp(0, 3.75)
    expected = torch.sigmoid(y.mean((2, 3)) @ gate.linear.weight.t() + gate.linear.bias)
    assert gate.conv1.conv.out_channels == 16 and torch.allclose(gate(x), expected, atol=1e-5)


@pytest.mark.parametrize("kind, pool, strides", [(FFGate1, True, (1, 2)), (FFGate2, False, (2,))])
def test_feed_forward_gates_are_skipnets(kind, pool, strides):
    torch.manual_seed(0)
    gate = kind(8).eval()
    for module in gate.modules():
        if hasattr(module, "quantised"):
            module.quantised = False
    x = torch.rand(3, 8, 8, 8)
    y = F.max_pool2d(x, 2) if pool else x
    for i, stride in enumerate(strides):
        y = F.conv2d(y, getattr(gate, f"conv{i + 1}").conv.weight, None, stride, 1) / (1 + 1e-3) ** 0.5
        y = y.clamp(0, 3.75)
    expected = torch.sigmoid(y.mean((2, 3)) @ gate.linear.weight[0] + gate.linear.bias)
    assert torch.allclose(gate(x), expected[:, None], atol=1e-5)


def test_acs_has_dynamic_groups_around_squeeze_and_excitation():
    gate = AcsGate(24, 32)
    assert isinstance(gate.conv1.conv, DynamicGroupConv2d) and isinstance(gate.conv2.conv, DynamicGroupConv2d)
    assert [spec.name for spec in gate.layers(8)] == [
        "bottleneck", "conv1", "excite.reduce", "excite.expand", "conv2", "linear",
    ]  # fmt: skip
    order = []
    for path in ("conv1", "excite", "conv2"):
        gate.get_submodule(path).register_forward_hook(lambda *_, path=path: order.append(path))
    gate(torch.rand(2, 24, 8, 8))
    assert order == ["conv1", "excite", "conv2"]


def test_products_follow_the_group_count():
    gate = AcsGate(24, 32)
    dense = products(gate, 8)
    with torch.no_grad():
        gate.conv1.conv.gate[:2] = -1
        gate.conv2.conv.gate[1] = -1
    both = 9 * 16 * 16 * 16
    assert products(gate, 8) == dense - both * 3 // 4 - both // 2


@pytest.mark.parametrize("channels", [64, 160, 224])
def test_dense_gate_costs_an_eighth_of_a_dense_layer(channels):
    growth, size = 32, 8
    layer = size**2 * (channels * 4 * growth + 9 * 4 * growth * growth)
    assert products(DenseGate(channels, growth, 4 * growth), size) == pytest.approx(layer / 8, rel=0.01)


def test_gate_in_the_trace():
    gate = AcsGate(24, 32)
    with torch.no_grad():
        gate.conv1.conv.gate[:2] = -1
    x, executed = torch.rand(3, 24, 8, 8), torch.tensor([1.0, 0.0, 1.0])
    uses = {use.name: use for use in gate_uses(gate.train(), "block.gate", x, executed)}
    learning = uses["block.gate.conv1"]
    assert learning.n == 1 and learning.executed.tolist() == [0.25, 0.0, 0.25]
    learning.executed.sum().backward()
    assert (gate.conv1.conv.gate.grad > 0).all()
    uses = {use.name: use for use in gate_uses(gate.eval(), "block.gate", x, executed)}
    assert uses["block.gate.conv1"].n == 4 and uses["block.gate.conv1"].executed.tolist() == [1, 0, 1]
    assert uses["block.gate.conv2"].n == 1
