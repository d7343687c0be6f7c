"""Dynamic group convolution against the element-wise meaning of equations (2) to (4) of ACS."""

import pytest
import torch

from flow.errors import GatefoldError
from flow.nn.dynamic_group import DynamicGroupConv2d, relationship_matrix
from flow.nn.groups import group_mask


def connected(i: int, j: int, g: list[int]) -> bool:
    """i and j are connected iff their binary digits agree wherever g is 0 (digit 1 of g is the most significant)."""
    digits = len(g)
    return all(g[z] == 1 or (i >> (digits - 1 - z)) & 1 == (j >> (digits - 1 - z)) & 1 for z in range(digits))


@pytest.mark.parametrize("bits", range(8))
def test_relationship_matrix_is_the_kronecker_product(bits):
    g = [bits >> 2 & 1, bits >> 1 & 1, bits & 1]
    m = relationship_matrix(torch.tensor(g, dtype=torch.float32))
    assert m.tolist() == [[float(connected(i, j, g)) for j in range(8)] for i in range(8)]


def test_all_ones_is_a_dense_and_all_zeros_a_depthwise_convolution():
    assert torch.equal(relationship_matrix(torch.ones(4)), torch.ones(16, 16))
    assert torch.equal(relationship_matrix(torch.zeros(4)), torch.eye(16))


@pytest.mark.parametrize("groups", [1, 2, 4, 8, 16])
def test_static_groups_are_a_conventional_grouped_convolution(groups):
    conv = DynamicGroupConv2d(16, 3, 2, groups)
    assert conv.n == groups and conv.density() == 1 / groups
    assert torch.equal(relationship_matrix(conv.binary_gate()), group_mask(16, 16, groups).float())
    assert not [name for name, _ in conv.named_parameters() if name == "gate"]


def test_convolution_is_equation_2():
    torch.manual_seed(0)
    conv = DynamicGroupConv2d(8, 3, 2)
    conv.quantised = False
    conv.gate.data = torch.tensor([0.3, -0.2, 0.0])
    x = torch.randn(2, 8, 6, 6)
    padded = torch.nn.functional.pad(x, (1, 1, 1, 1))
    expected = torch.zeros(2, 8, 3, 3)
    for o in range(8):
        for i in range(8):
            if connected(o, i, [1, 0, 1]):
                for dy in range(3):
                    for dx in range(3):
                        expected[:, o] += padded[:, i, dy : dy + 5 : 2, dx : dx + 5 : 2] * conv.weight[o, i, dy, dx].detach()
    assert torch.allclose(conv(x), expected, atol=1e-5)
    assert conv.n == 2 and conv.density() == 0.5


def test_weights_are_4_bit():
    conv = DynamicGroupConv2d(8, 3)
    quant = conv.quant_weight()
    impulse = torch.zeros(1, 8, 3, 3)
    impulse[:, :, 1, 1] = torch.eye(8)[3][None]
    centre = conv(impulse)[0, :, 1, 1] / quant.scale.reshape(-1)
    assert torch.allclose(centre, centre.round(), atol=1e-4) and centre.abs().max() <= 7


def test_sign_is_straight_through_for_outputs_and_for_density():
    conv = DynamicGroupConv2d(8, 3)
    conv.quantised = False
    conv.gate.data = torch.tensor([0.3, -0.2, 0.4])
    x = torch.randn(1, 8, 4, 4)
    conv(x).square().sum().backward()
    g = torch.tensor([1.0, 0.0, 1.0], requires_grad=True)
    weight = conv.weight.detach() * relationship_matrix(g)[:, :, None, None]
    torch.nn.functional.conv2d(x, weight, padding=1).square().sum().backward()
    assert torch.allclose(conv.gate.grad, g.grad, rtol=1e-4)
    conv.gate.grad = None
    conv.density().backward()
    # d/dg_z of prod (1 + g_z)/2 at g = (1, 0, 1)
    assert conv.gate.grad.tolist() == [0.25, 0.5, 0.25]


@pytest.mark.parametrize("channels, groups", [(12, None), (16, 3), (8, 16)])
def test_only_powers_of_two(channels, groups):
    with pytest.raises(GatefoldError, match="power of two"):
        DynamicGroupConv2d(channels, 3, 1, groups)
