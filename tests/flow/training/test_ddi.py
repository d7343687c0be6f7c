"""Training of DDI and EnergyNet on a few digits."""

import random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from flow.costs import Accounting
from flow.data import Dataset, load
from flow.errors import GatefoldError
from flow.models import create, initialise
from flow.models.calibrate import calibrate
from flow.training.checkpoint import load_model, save_model
from flow.training.exits import joint_loss
from flow.training.methods.ddi import Ddi, ResourceLoss, Skip
from flow.training.methods.energynet import EnergyNet, Step, energynet_loss
from flow.training.skip_ratio import flipped_alpha, harden, measure_skip_ratio, skip_ratio
from flow.training.trainer import Settings, Trainer


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    return Dataset("digits", data.train_x[:256], data.train_y[:256], data.test_x[:32], data.test_y[:32])


def batch():
    torch.manual_seed(5)
    return torch.rand(4, 3, 32, 32), torch.tensor([1, 2, 3, 4])


def settings(**keys):
    return Settings("resnet8", **{"batch": 16, "steps": 2, **keys})


def run(trainer, epochs=None):
    while trainer.epoch < (epochs or trainer.total_epochs):
        trainer.run_epoch()
    return trainer.model


@pytest.mark.parametrize("exits", [False, True])
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_step_has_the_gradient_of_equation_5(exits, target):
    """L + alpha * E, with eq. (4) for L when there are exits; E written out from the trace."""
    model = initialise(create("resnet8", gates="ddi", exits=True), 1)
    x, y = batch()
    phase = Skip("s", 1, True, 0.03, target, "macs", exits=exits)
    model.train()
    phase.enter(model)
    entropy, cost, skipped = phase.losses(model, x, y, random.Random(0))[:3]
    got = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    model.zero_grad()
    output = model(x)
    loss = joint_loss(output, y) if exits else F.cross_entropy(output, y)
    specs = {spec.name: spec for spec in [*model.layers(), *model.gate_layers()]}
    macs = 0.0
    for use in model.trace:
        spec = specs[use.name]
        inputs = spec.in_channels if use.inputs is None else use.inputs.sum(1)
        outputs = spec.out_channels if use.outputs is None else use.outputs.sum(1)
        macs = macs + (1 if use.executed is None else use.executed) * inputs * outputs * (spec.kernel * spec.out_size) ** 2
    ratio = float(skip_ratio(harden(model.trace)))
    assert skipped == pytest.approx(ratio) and cost == pytest.approx(float(macs.detach().mean()) / 1e6, rel=1e-5)
    alpha = 0.0 if ratio == target else 0.03 if ratio < target else -0.03
    (loss + alpha * macs.mean() / 1e6).backward()
    assert entropy == pytest.approx(float(loss.detach()), rel=1e-5)
    for name, p in model.named_parameters():
        if p.grad is not None:
            assert torch.allclose(got[name], p.grad, atol=1e-5, rtol=1e-4), name


def test_cost_gradient_reaches_every_gate():
    model = initialise(create("resnet8", gates="ddi"), 1).train()
    model(torch.rand(4, 3, 32, 32))
    ResourceLoss(model, "macs")(model.trace).backward()
    for name, p in model.gates.named_parameters():
        assert p.grad is not None and (p.grad.abs().sum() > 0 or name.endswith("scaling_impl.value")), name


def test_first_step_leaves_the_backbone_alone(digits, tmp_path):
    backbone = initialise(create("resnet8"), 4)
    save_model(backbone, tmp_path / "b.safetensors", {})
    method = Ddi(str(tmp_path / "b.safetensors"), gate_epochs=1, epochs=0, hard_epochs=0, exit_epochs=0)
    trainer = Trainer(settings(), method, digits, tmp_path / "run")
    before = {name: t.clone() for name, t in trainer.model.state_dict().items()}
    after = run(trainer).state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("gates.") for name in changed)
    trainer.model.set_gates(False)
    images = digits.test_x[:4]
    assert np.array_equal(trainer.model.integer_logits(images), backbone.integer_logits(images))


@pytest.mark.slow
def test_whole_method_resumes_to_the_same_weights_and_loads_again(digits, tmp_path):
    save_model(initialise(create("resnet8"), 4), tmp_path / "b.safetensors", {})
    method = Ddi(str(tmp_path / "b.safetensors"), gate_epochs=1, epochs=1, hard_epochs=1, exit_epochs=1, alpha=0.01, samples=2)
    unbroken = run(Trainer(settings(), method, digits, tmp_path / "a"))
    run(Trainer(settings(), method, digits, tmp_path / "b"), 2)
    trainer = Trainer(settings(), method, digits, tmp_path / "b", resume=True)
    resumed = run(trainer)
    for (name, t), u in zip(unbroken.state_dict().items(), resumed.state_dict().values()):
        assert torch.equal(t, u), name
    assert [record["phase"] for record in trainer.history] == ["gates", "skipping", "hard", "exits"]
    trainer.finish("test", test_images=8)
    loaded = load_model(tmp_path / "b" / "resnet8.safetensors")
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded(x), trainer.model(x)) and len(loaded.exit_logits) == 2


def test_second_step_has_the_target_and_trains_the_backbone(digits, tmp_path):
    """Section IV-A: gates alone towards skipping nothing, then all together towards the target."""
    save_model(initialise(create("resnet8"), 4), tmp_path / "b.safetensors", {})
    method = Ddi(str(tmp_path / "b.safetensors"), gate_epochs=1, epochs=1, hard_epochs=0, exit_epochs=0, target=0.6)
    gates, skipping, hard, exits = method.phases()
    assert gates.target == 0 and [p.target for p in (skipping, hard, exits)] == [0.6] * 3
    trainer = Trainer(settings(), method, digits, tmp_path / "run")
    trainer.run_epoch()
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.run_epoch()
    assert all(not torch.equal(p, before[name]) for name, p in trainer.model.named_parameters() if name.endswith("conv.weight"))
    with pytest.raises(GatefoldError, match="--set backbone=resnet8, or start untrained with --set gate_epochs=0"):
        Ddi().create("resnet8", 10)


@pytest.mark.slow
def test_densenet_learns_to_skip_and_to_exit(digits, tmp_path):
    backbone = create("densenet41")
    save_model(backbone, tmp_path / "b.safetensors", {})
    method = Ddi(str(tmp_path / "b.safetensors"), gate_epochs=0, epochs=1, hard_epochs=0, exit_epochs=1, alpha=0.01)
    model = method.create("densenet41", 10)
    assert torch.equal(model.block2.layer1.conv1.weight, backbone.block2.layer1.conv1.weight)
    trainer = Trainer(Settings("densenet41", batch=8, steps=1), method, digits, tmp_path / "run")
    run(trainer)
    record = trainer.finish("test", test_images=8)
    assert len(record["exits"]) == 7
    assert record["exits"][-1]["accuracy"] == record["accuracy"]["full"]
    skipped = measure_skip_ratio(trainer.model, digits.test_x[:8], batch=3)
    assert record["work"]["full"]["skip_ratio"] == pytest.approx(skipped, rel=1e-5)
    loaded = load_model(tmp_path / "run" / "densenet41.safetensors")
    x = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded(x), trainer.model(x)) and len(loaded.exit_logits) == 6


def test_calibration_sees_hard_decisions_in_the_modes_of_the_model():
    model = initialise(create("resnet8", gates="ddi"), 1)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    images = [torch.rand(8, 3, 32, 32), torch.rand(8, 3, 32, 32)]
    inputs = []
    hook = model.stage1.block1.conv2.conv.register_forward_hook(lambda m, a, y: inputs.append(y))
    calibrate(model, images)
    hook.remove()
    norm = model.stage1.block1.conv2.norm.norms
    expected = (inputs[0].mean((0, 2, 3)) + inputs[1].mean((0, 2, 3))) / 2
    assert torch.allclose(norm["1"].running_mean, expected, atol=1e-5)
    decided = [u.outputs for u in model.trace if u.outputs is not None]
    assert len(decided) >= 6 and all(set(outputs.unique().tolist()) <= {0, 1} for outputs in decided)
    assert torch.equal(norm["4"].running_mean, before["stage1.block1.conv2.norm.norms.4.running_mean"])
    assert model.soft_gates and norm["1"].momentum == 0.1 and not model.training


def test_energynet_loss_is_equation_1():
    torch.manual_seed(0)
    logits, labels, energy = torch.randn(3, 10), torch.tensor([0, 4, 4]), torch.tensor([1.0, 2.0, 6.0])
    loss, share = energynet_loss(logits, labels, energy, 4.0, 0.9)
    entropy = -sum(float(torch.log_softmax(row, 0)[label]) for row, label in zip(logits, labels)) / 3
    assert float(share) == 0.75 and float(loss) == pytest.approx(entropy + 0.9 * 0.75, rel=1e-6)


def test_energynet_step_uses_the_energy_of_what_ran():
    model = initialise(create("resnet8", gates="energynet"), 1).train()
    x, y = batch()
    phase = Step("step 2", 1, True, 0.9, "energy")
    phase.enter(model)
    loss, share, skipped = phase.losses(model, x, y, random.Random(0))
    assert skipped == pytest.approx(skip_ratio(model.trace).item())
    ran = {use.name: use.executed for use in model.trace if use.executed is not None}
    layers = Accounting(model, "energy").layer_costs("full")
    gates = Accounting(model, "energy").per_layer(model.trace)
    energy = sum(float(layers[name] * ran[name].detach().mean()) if name in ran else layers[name] for name in layers)
    energy += sum(float(cost.mean()) for name, cost in gates.items() if name.startswith("gates."))
    assert len(ran) == 6 and share == pytest.approx(energy / sum(layers.values()), rel=1e-5)
    assert all(bool(((u.executed == 0) | (u.executed == 1)).all()) for u in model.trace if u.executed is not None)
    assert model.gates.layer.output.bias.grad.abs().sum() > 0
    first, second, third = EnergyNet(target=0.25, low=0.1, high=0.9).phases()
    assert [p.target for p in (first, second, third)] == [0.25] * 3 and [p.alpha for p in (first, second, third)] == [0.1, 0.9, 0.1]
    second.enter(model)
    above, share, skipped = second.losses(model, x, y, random.Random(0))
    logits = model(x)
    assert above == pytest.approx(F.cross_entropy(logits, y).item() + flipped_alpha(0.9, skipped, 0.25) * share, rel=1e-4)


@pytest.mark.parametrize("drop, phases", [(0.0005, 2), (0.002, 3)])
def test_third_step_only_after_a_loss_of_accuracy(digits, tmp_path, monkeypatch, drop, phases):
    accuracies = iter((0.9, 0.9 - drop, 0.9))
    monkeypatch.setattr(Step, "leave", lambda self, model: setattr(self, "accuracy", next(accuracies)))
    method = EnergyNet(first_epochs=1, epochs=1, last_epochs=2, unit="macs")
    assert [phase.alpha for phase in method.phases()] == [0.1, 0.9, 0.1]
    trainer = Trainer(settings(), method, digits, tmp_path)
    if phases == 3:
        accuracies = iter((0.9, 0.9 - drop, 0.9, 0.9))
    run(trainer)
    assert [record["phase"] for record in trainer.history] == ["step 1", "step 2", *["step 3"] * 2][: 2 * phases - 2]
    assert trainer.epoch == 4
    assert Trainer(settings(), method, digits, tmp_path, resume=True).epoch == 4
