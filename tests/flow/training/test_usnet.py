"""US-Net: widths, sandwich rule, in-place distillation, and a run of the common trainer."""

import random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from flow.costs import Accounting
from flow.data import Dataset
from flow.errors import GatefoldError
from flow.models import create, initialise
from flow.models.slimmable import MODE_WIDTHS, calibrate_widths
from flow.nn.modes import MODES
from flow.training.checkpoint import load_model
from flow.training.evaluate import predict
from flow.training.methods.usnet import USNet, distil, sandwich
from flow.training.trainer import Settings, Trainer


@pytest.fixture
def model():
    torch.manual_seed(0)
    return create("resnet8-slim", float=True)


def test_a_width_is_the_network_of_that_width(model):
    """The slim network is a narrower one whose weights are the first channels of the full one."""
    torch.manual_seed(1)
    x = torch.rand(4, 3, 32, 32)
    calibrate_widths(model, [x], [8])
    model.set_width(8)

    def unit(name, x):
        unit = model.get_submodule(name)
        conv, norm = unit.conv, unit.norm
        co, ci = conv.out_channels // 2, x.shape[1]
        y = F.conv2d(x, conv.weight[:co, :ci], None, conv.stride, conv.padding)
        stats = norm.norms["8"]
        return F.batch_norm(y, stats.running_mean, stats.running_var, norm.weight[:co], norm.bias[:co])

    def cap(x, activation):
        return x.clamp(0, 15 * activation.scale)

    y = cap(unit("stem", x), model.stage1.stream)
    for name, stage in model.stages():
        residual = y if name == "stage1" else cap(unit(f"{name}.block1.shortcut", y), stage.stream)
        inside = cap(unit(f"{name}.block1.conv1", y), stage.block1.activation)
        y = cap(unit(f"{name}.block1.conv2", inside) + residual, stage.stream)
    expected = y.mean((2, 3)) @ model.classifier.weight[:, :32].t() + model.classifier.bias
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)


def test_the_modes_cost_what_the_group_modes_cost(model):
    groups = Accounting(create("resnet8"), "macs")
    for mode in MODES:
        model.set_mode(mode)
        slim = Accounting(model, "macs").full
        model.set_width(MODE_WIDTHS[mode])
        assert Accounting(model, "macs").full == slim
        assert slim / groups.of_mode("full") == pytest.approx(groups.of_mode(mode) / groups.of_mode("full"), abs=0.05)


@pytest.mark.parametrize("mode", MODES)
def test_integers_agree_with_fake_quantisation(model, mode):
    images = np.random.default_rng(0).integers(0, 256, (32, 32, 32, 3), dtype=np.uint8)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    model.set_quantised(True)
    calibrate_widths(model, [x], list(MODE_WIDTHS.values()))
    model.set_mode(mode)
    integer = model(x)
    model.exact = False
    real = model(x)
    assert (integer - real).abs().mean() < 0.05 * real.abs().mean() + 0.02
    assert (predict(model, images, mode) == real.argmax(1).numpy()).mean() > 0.8


def test_sandwich():
    widths = sandwich(5, random.Random(0))
    assert widths[:2] == [16, 4] and len(widths) == 5 and all(4 <= k <= 16 for k in widths)
    assert sandwich(1, random.Random(0)) == [16]


def test_distillation_by_hand(model):
    model.train()
    x, y = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    losses = distil(model, x, y, [16, 4, 9])
    got = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    model.set_width(16)
    full = model(x)
    teacher = F.softmax(full, 1).detach()
    total = [-F.log_softmax(full, 1)[range(4), y].mean()]
    for width in (4, 9):
        model.set_width(width)
        total.append(-(teacher * F.log_softmax(model(x), 1)).sum(1).mean())
    sum(total).backward()
    assert losses == pytest.approx([value.item() for value in total], rel=1e-5)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(got[name], parameter.grad, rtol=1e-3, atol=1e-5)


def test_a_run_and_what_it_leaves(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(64) % 4
    x = (rng.integers(0, 60, (64, 32, 32, 3)) + 60 * y[:, None, None, None]).astype(np.uint8)
    data = Dataset("bright", x, y, x[:8], y[:8])
    trainer = Trainer(Settings("resnet8", batch=16, lr=0.05), USNet(2, 1, 2, samples=3), data, tmp_path)
    records = [trainer.run_epoch() for _ in range(trainer.total_epochs)]
    assert [len(record["loss"]) for record in records] == [1, 1, 3, 3, 3]
    assert records[1]["loss"][0] < records[0]["loss"][0]
    record = trainer.finish("test", 8)
    assert set(record["accuracy"]) == set(MODES)
    again = load_model(tmp_path / "resnet8-slim.safetensors")
    assert np.array_equal(predict(again, x, "1/4"), predict(trainer.model, x, "1/4"))


def test_random_weights_of_a_slimmable_network():
    x = torch.rand(2, 3, 32, 32)
    assert bool(initialise(create("resnet8-slim"))(x).isfinite().all())


def test_variants():
    plain, unshuffled = create("resnet20"), create("resnet20-unshuffled")
    assert any(spec.shuffle for spec in plain.layers()) and not any(spec.shuffle for spec in unshuffled.layers())
    unshuffled.load_state_dict(plain.state_dict())
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    assert not np.array_equal(plain.eval().integer_logits(images), unshuffled.eval().integer_logits(images))
    for name in ("resnet20-wide", "resnet21-slim"):
        with pytest.raises(GatefoldError, match="no model"):
            create(name)
    with pytest.raises(GatefoldError, match="no width 3"):
        create("resnet8-slim").set_width(3)
    with pytest.raises(GatefoldError, match="no gates"):
        create("resnet8-slim", exits=True)
