"""Two-step training of ACS: eq. (5), the sign of alpha, and the cost's gradient in every gate."""

import json
import random

import numpy as np
import pytest
import torch

from flow.cli import main
from flow.costs import Accounting
from flow.data import Dataset, load
from flow.models import create
from flow.models.densenet import DenseNet, Shape
from flow.models.gated import GATES
from flow.nn.gates.dense_gating import DENSE_GATES
from flow.nn.modes import MODES
from flow.nn.trace import Trace, Use
from flow.training.evaluate import as_input
from flow.training.methods.acs import Acs, acs_loss, per_channel, signed_alpha
from flow.training.sampling import sample_settings
from flow.training.skip_ratio import skip_ratio
from flow.training.trainer import Settings, Trainer

SMALL = Shape((3, 2), 8, 16, True, True, 32, 10)


def network(family: str, gates: str):
    torch.manual_seed(0)
    if family == "densenet":
        return DenseNet("small", SMALL, 10, gates)
    return create("resnet8", gates=gates)


def test_loss_is_equation_5():
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 10), torch.tensor([3, 1, 4, 1])
    cost = torch.tensor([10.0, 20.0, 30.0, 40.0])
    loss, entropy, regularisation = acs_loss(logits, labels, cost, 50.0, 0.5)
    expected = -sum(torch.log_softmax(logits, 1)[i, labels[i]] for i in range(4)) / 4
    assert torch.allclose(entropy, expected) and regularisation == 0.5
    assert torch.allclose(loss, expected + 0.25)


def test_alpha_changes_its_sign_at_the_target():
    assert signed_alpha(2.0, 0.1, 0.5) == 2 and signed_alpha(2.0, 0.9, 0.5) == -2
    assert signed_alpha(2.0, 0.5, 0.5) == 0 and 0 < signed_alpha(2.0, 0.49, 0.5) < 2
    assert signed_alpha(2.0, 0.9, None) == 2


def test_skip_ratio_counts_decisions():
    trace = Trace([
        Use("stem"),
        Use("gates.a", executed=torch.zeros(2)),
        Use("a", outputs=torch.tensor([[1.0, 0, 0, 0], [1, 1, 0, 0]])),
        Use("b", executed=torch.tensor([1.0, 0.0]), outputs=torch.tensor([[1.0, 1.0], [1.0, 1.0]])),
    ])  # fmt: skip
    assert skip_ratio(trace).item() == pytest.approx(1 - (3 + 2) / 12)


@pytest.mark.parametrize(
    "family, gates",
    [("densenet", kind) for kind in DENSE_GATES] + [("resnet", kind) for kind in GATES if kind.startswith(("acs", "ff"))],
)
@pytest.mark.parametrize("unit", [pytest.param("macs", marks=pytest.mark.slow), "cycles"])
def test_cost_gradient_reaches_every_gate(family, gates, unit):
    """The cost alone, without the cross-entropy, moves the parameters of every gate (the published code multiplies it by 0)."""
    model = network(family, gates).train()
    Acs(gates).phases()[-1].enter(model)
    model.soft_gates = gates == "ddi"  # else a skipped layer's channel gate costs nothing, whatever it says
    x = torch.rand(8, 3, 32, 32)
    model(x)
    (Accounting(model, unit).of(per_channel(model.trace)) / Accounting(model, unit).full).mean().backward()
    assert model.gates is not None
    still = []
    for name, parameter in model.gates.named_parameters():
        if "quantiser" not in name and (parameter.grad is None or not parameter.grad.abs().sum() > 0):
            still.append(name)
    assert not still


@pytest.mark.parametrize("family", ["densenet", "resnet"])
def test_first_step_runs_everything_and_teaches_the_gates(family):
    model = network(family, "acs").train()
    phase = Acs().phases()[0]
    phase.enter(model)
    x, y = torch.rand(8, 3, 32, 32), torch.arange(8)
    loss, entropy, _, skipped = phase.losses(model, x, y, random.Random(0))
    assert skipped == 0 and loss == entropy
    assert all(p.grad.abs().sum() > 0 for n, p in model.gates.named_parameters() if n.endswith("linear.weight"))


@pytest.mark.parametrize(
    ("family", "target"),
    [
        ("densenet", 0.3),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (("densenet", 0.7), ("resnet", 0.7), ("resnet", 0.3))),
    ],
)
def test_second_step_holds_the_target(family, target):
    """On noise, with a large alpha: the hard skip ratio comes close to its target within some steps, from either side."""
    model = network(family, "acs").train()
    phase = Acs(alpha=5.0, target=target).phases()[-1]
    phase.enter(model)
    with torch.no_grad():
        for name, bias in model.gates.named_parameters():
            if name.endswith(".linear.bias"):
                bias.copy_(torch.linspace(-0.3, 0.3, len(bias)))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(1)
    x, y = torch.rand(16, 3, 32, 32), torch.randint(0, 10, (16,))
    ratios = []
    for _ in range(50):
        optimiser.zero_grad()
        ratios.append(phase.losses(model, x, y, random.Random(0))[3])
        optimiser.step()
    assert sum(ratios[-20:]) / 20 == pytest.approx(target, abs=0.06)


def test_cost_reaches_gates_behind_a_convolution_that_is_skipped_whole():
    model = network("resnet", "acs").train()
    Acs().phases()[-1].enter(model)
    with torch.no_grad():
        model.gates.conv1["stage2_block1"].linear.bias.fill_(-1e3)
    for trace, learns in ((lambda t: t, False), (per_channel, True)):
        model(torch.rand(8, 3, 32, 32))
        model.zero_grad()
        Accounting(model, "macs").of(trace(model.trace)).sum().backward()
        use = next(use for use in model.trace if use.name == "stage2.block1.conv2")
        assert use.inputs.sum() == 0
        gradient = model.gates.conv2["stage2_block1"].linear.bias.grad
        assert bool((gradient > 0).all()) is learns


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    return Dataset("digits", data.train_x[:64], data.train_y[:64], data.test_x[:16], data.test_y[:16])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "densenet41"])
def test_resumed_run_equals_an_unbroken_one(digits, tmp_path, name):
    """From the first step, in floating point, into the second one, across a checkpoint; gate vectors and scales included."""

    def trainer(folder, resume=False):
        method = Acs(float_epochs=1, first_epochs=1, epochs=1)
        return Trainer(Settings(name, batch=8, steps=2), method, digits, tmp_path / folder, resume=resume)

    whole = trainer("whole")
    while whole.epoch < whole.total_epochs:
        record = whole.run_epoch()
    assert record["phase"] == "skipping" and len(record["loss"]) == 4
    trainer("broken").run_epoch()
    second = trainer("broken", resume=True)
    second.run_epoch()
    third = trainer("broken", resume=True)
    third.run_epoch()
    ours, theirs = third.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    record = whole.finish("test")
    assert whole.model.gates.threshold == 0.5
    with torch.no_grad():
        classes = [int(whole.model(as_input(whole.model, image[None])).argmax()) for image in digits.test_x]
    assert record["accuracy"]["full"] == sum(c == label for c, label in zip(classes, digits.test_y, strict=True)) / 16


def test_modes_with_gates_on_and_off_end_in_the_record_and_in_evaluate(digits, tmp_path, capsys):
    """Group modes and gates in one network: every mode is trained, measured and evaluated with the gates on and off."""
    method = Acs(float_epochs=0, first_epochs=0, epochs=1, samples=3)
    trainer = Trainer(Settings("resnet8", batch=8, steps=1), method, digits, tmp_path)
    record = trainer.run_epoch()
    assert list(record["accuracy"]) == ["full", "1/4", "1/16"]
    record = trainer.finish("test")
    assert list(record["accuracy"]) == list(record["work"]) == list(record["ungated"]) == MODES
    np.savez(tmp_path / "own.npz", x=digits.test_x, y=digits.test_y)
    arguments = ["evaluate", "resnet8", "--checkpoint", str(tmp_path / "resnet8.safetensors"), "--data", str(tmp_path / "own.npz")]
    for gates, reached in (("on", record["accuracy"]), ("off", record["ungated"])):
        assert main([*arguments, "--gates", gates, "--json"]) == 0
        results = json.loads(capsys.readouterr().out)
        assert {mode: result["accuracy"] for mode, result in results.items()} == reached
        assert all(("skip_ratio" in result) == (gates == "on") for result in results.values())
        assert all(result["overhead"] < result["macs"] for result in results.values() if gates == "on")


def test_a_step_of_several_settings():
    """Three networks with gates, and one of the three once more without."""
    model = Acs(samples=3).create("resnet8", 10)
    seen = list(sample_settings(model, 3, random.Random(0)))
    assert [on for _, on in seen] == [True, True, True, False] and seen[3][0] in [vector for vector, _ in seen[:3]]
    assert [on for _, on in sample_settings(model, 1, random.Random(0))] == [True]


def test_gates_trained_in_the_full_mode_are_measured_there_alone(digits, tmp_path, capsys):
    trainer = Trainer(Settings("resnet8", batch=8, steps=1), Acs(float_epochs=0, first_epochs=0, epochs=1), digits, tmp_path)
    trainer.run_epoch()
    record = trainer.finish("test")
    assert list(record["accuracy"]) == ["full"] and "ungated" not in record
    weights = ["evaluate", "resnet8", "--checkpoint", str(tmp_path / "resnet8.safetensors"), "--data", "digits", "--count", "4"]
    assert main([*weights, "--gates", "off"]) == 2
    assert "were not trained for gates switched off" in capsys.readouterr().err
    assert main(weights) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.slow
def test_large_alpha_stays_finite():
    """Gates whose maps become constant once multiplied gradients until nothing was a number."""
    model = network("resnet", "acs").train()
    phase = Acs(alpha=20.0, target=0.7).phases()[-1]
    phase.enter(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.manual_seed(1)
    x, y = torch.rand(16, 3, 32, 32), torch.randint(0, 10, (16,))
    for _ in range(40):
        optimiser.zero_grad()
        loss, *_ = phase.losses(model, x, y, random.Random(0))
        assert abs(loss) < 100
        optimiser.step()
