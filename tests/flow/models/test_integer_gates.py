"""Gates in integers: they decide as the probabilities do, a threshold is part of the bias, and what does not run is not computed."""

import math

import numpy as np
import pytest
import torch

from flow.models import create, initialise
from flow.models.integer import IntegerGate
from flow.models.integer_gates import ByIntegers, gate_integers
from flow.models.requantisation import MULTIPLIER_LIMIT, limit_multipliers
from flow.nn.linear import SwitchableLinear

KINDS = ("channel", "pooled", "ffgate-1", "ffgate-2", "acs-gn", "acs-gn-4", "acs")


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)


def gated(kind):
    torch.set_num_threads(1)
    model = initialise(create("resnet8", gates=kind), 3)
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.gates.named_parameters():
        if name.endswith("linear.bias"):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return model.eval()


def decisions(trace):
    return [t for use in trace if use.name.endswith(("conv1", "conv2")) for t in (use.executed, use.outputs) if t is not None]


@pytest.mark.parametrize("kind", KINDS)
def test_integers_decide_as_probabilities_do(kind, images):
    model, x = gated(kind), torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        model(x)
        exact = decisions(model.trace)
        model.exact = False
        model(x)
    real = decisions(model.trace)
    same = np.mean([float((a == b).float().mean()) for a, b in zip(exact, real, strict=True)])
    assert len(real) >= 3 and same > 0.99, "only a probability next to one half may fall to the other side"
    assert 0.05 < float(torch.cat([t.reshape(-1) for t in exact]).mean()) < 0.95


def test_a_threshold_is_part_of_the_bias():
    torch.manual_seed(0)
    linear = SwitchableLinear(8, 5, switchable=False)
    linear.bias.data.normal_()
    sums, scale = torch.randint(0, 900, (200, 8)).double(), 0.001
    weight, unit = linear.integer_weight()
    rounded = torch.round(linear.bias / (unit * scale)) * unit * scale
    p = torch.sigmoid(sums * scale @ (weight * unit).double().t() + rounded.double())
    for threshold in (0.5, 0.3, 0.7):
        gate = IntegerGate(linear, scale, threshold)
        decided = sums.numpy() @ gate.weight.T + gate.bias >= 0
        clear = np.abs(p.detach().numpy() - threshold) > 1e-6
        assert np.array_equal(decided[clear], (p.detach().numpy() >= threshold)[clear]) and 0 < decided.mean() < 1
    assert (sums.numpy() @ IntegerGate(linear, scale, 0.0).weight.T + IntegerGate(linear, scale, 0.0).bias >= 0).all()
    assert not (sums.numpy() @ IntegerGate(linear, scale, 1.0).weight.T + IntegerGate(linear, scale, 1.0).bias >= 0).any()


def test_zero_is_one_half():
    linear = SwitchableLinear(1, 3, switchable=False)
    linear.weight.data.copy_(torch.tensor([[1.0], [1.0], [-1.0]]))
    linear.bias.data.copy_(torch.tensor([-1.0, -1.0 - 1 / 127, 1.0]))
    gate = IntegerGate(linear, 1.0, 0.5)
    assert gate.bias.tolist() == [-127, -128, 127]
    assert (np.array([[1]]) @ gate.weight.T + gate.bias >= 0).tolist() == [[True, False, True]]


def test_multipliers_of_gates_are_limited():
    model = gated("acs-gn")
    name = "gates.conv1.stage2_block1.conv1"
    model.get_submodule(name).norm.active(1).weight.data.fill_(1e5)
    limit_multipliers(model)
    gates = model.exact_gate_layers()
    assert len(gates) == 6 * 4
    for each, spec in gates.items():
        if spec.kind == "conv":
            assert abs(gate_integers(model, gates, each).affine(1)[0]).max() <= MULTIPLIER_LIMIT * 1.0001
    assert math.isclose(abs(model.integer_layer(name).affine(1)[0]).max(), MULTIPLIER_LIMIT, rel_tol=1e-4)


def test_a_skipped_block_does_not_decide_on_channels(images):
    """Its gate's maps and decisions are 0, and the gate computes for the others only."""
    model, computed = gated("ddi"), []
    p = []
    hook = model.gates.layer.register_forward_hook(lambda m, a, y: p.append(y[0]))
    model.exact = False
    with torch.no_grad():
        model(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    hook.remove()
    model.exact = True
    model.gates.threshold = float(torch.cat(p).median())
    for key, gate in model.gates.channel.items():
        convolve = gate.conv.conv.convolve
        gate.conv.conv.convolve = lambda x, w, key=key, convolve=convolve: (computed.append((key, len(x))), convolve(x, w))[1]
    stations = model.integer_stations(images)
    uses = {use.name: use for use in model.trace}
    for key in model.gates.channel:
        runs = uses[f"gates.channel.{key}.conv"].executed.numpy() > 0
        assert dict(computed)[key] == runs.sum()
        for part in ("conv", "linear"):
            station = stations[f"gates.channel.{key}.{part}"]
            assert not station[~runs].any()
    assert 0 < sum(count for _, count in computed) < 3 * len(images)


@pytest.mark.parametrize("gate", ["conv1.stage1_block1", "conv2.stage3_block1"])
def test_squeeze_and_excitation_in_training_is_the_hardwares(gate):
    """Code by code, products in the middle of two codes too."""
    model = initialise(create("resnet8", gates="acs"), 3).eval()
    unit, spec = model.get_submodule(f"gates.{gate}"), model.exact_gate_layers()[f"gates.{gate}.conv1"]
    rng = np.random.default_rng(0)
    shape = (16, spec.out_channels, spec.out_size, spec.out_size)
    codes = torch.from_numpy(rng.integers(0, 16, shape) * (rng.random(shape) < 0.5)).float()
    with torch.no_grad():
        trained = unit.excite(codes * unit.conv1.activation.scale) / unit.excite.output.scale
    stations = {}
    judge = ByIntegers(model, stations)
    made = judge._excited(f"gates.{gate}.excite", codes)
    assert torch.equal(trained, made) and len(np.unique(stations[f"gates.{gate}.excite"])) > 10
