"""Algorithm 1 of WeNet, augmentation and schedule."""

import random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from flow.data import load
from flow.models import create
from flow.nn.modes import group_vector
from flow.training import augment
from flow.training.methods.wenet import LARGEST_NORM, Algorithm1, WeNet
from flow.training.sampling import accumulate_gradients, sample_networks
from flow.training.schedule import cosine
from flow.training.trainer import Settings, Trainer


def test_sampled_networks_are_full_smallest_and_random():
    model = create("resnet8")
    vectors = list(sample_networks(model, 4, random.Random(0)))
    assert len(vectors) == 4
    assert set(vectors[0].values()) == {1}
    assert {n for name, n in vectors[1].items() if name not in ("stem", "classifier")} == {16}
    assert vectors[2] != vectors[3]
    for vector in vectors:
        for spec in model.layers():
            assert vector[spec.name] in spec.group_counts
    assert vectors == list(sample_networks(model, 4, random.Random(0)))


@pytest.mark.parametrize("quantised", [False, True])
def test_gradient_is_the_sum_over_the_sampled_networks(quantised):
    torch.manual_seed(0)
    model = create("resnet8")
    model.set_quantised(quantised)
    model.train()
    x, y = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    vectors = list(sample_networks(model, 3, random.Random(1)))
    losses = accumulate_gradients(model, x, y, vectors)
    accumulated = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    expected = {}
    for vector, loss in zip(vectors, losses):
        model.zero_grad(set_to_none=True)
        model.set_mode(vector)
        single = F.cross_entropy(model(x), y)
        single.backward()
        assert float(single.detach()) == pytest.approx(float(loss), rel=1e-5)
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                expected[name] = expected.get(name, 0) + parameter.grad
    assert accumulated.keys() == expected.keys()
    for name, value in accumulated.items():
        assert torch.allclose(value, expected[name], atol=1e-5 * float(value.abs().max() + 1)), name


def test_disconnected_weights_get_no_gradient_in_the_smallest_network():
    model = create("resnet8")
    model.train()
    model.set_quantised(False)
    model.set_mode("1/16")
    F.cross_entropy(model(torch.rand(2, 3, 32, 32)), torch.tensor([0, 1])).backward()
    grad = model.get_submodule("stage1.block1.conv1").conv.weight.grad
    off_diagonal = grad[~torch.eye(16, dtype=torch.bool)]
    assert float(off_diagonal.abs().max()) == 0
    assert float(grad.abs().max()) > 0


def test_augmentation_only_moves_and_mirrors():
    images = torch.arange(2 * 32 * 32 * 3).reshape(2, 32, 32, 3).remainder(251).add(1).to(torch.uint8)
    padded = augment.pad(images)
    source = augment.Images(images.numpy(), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    for size in (32, 24):
        x = augment.crop_and_flip(source, torch.tensor([1, 0]), generator, size)
        assert x.shape == (2, 3, size, size)
        pixels = (x * 255).round().to(torch.uint8)[0].permute(1, 2, 0)
        windows = []
        for r in range(9):
            for c in range(9):
                r0, c0 = (r, c) if size == 32 else (r + 4, c + 4)
                window = padded[1, r0 : r0 + size, c0 : c0 + size]
                windows += [window, window.flip(1)]
        assert any(torch.equal(pixels, window) for window in windows)
        if size == 24:
            assert int(pixels.min()) > 0  # small crops never show padding


@pytest.mark.parametrize("flip", [False, True])
def test_images_as_in_training_are_windows_of_the_padded_ones(flip):
    images = np.random.default_rng(0).integers(1, 256, (40, 12, 12, 3), dtype=np.uint8)
    seen = augment.as_in_training(images, flip)
    assert seen.dtype == np.uint8 and np.array_equal(seen, augment.as_in_training(images, flip))
    padded, found = np.pad(images, ((0, 0), (4, 4), (4, 4), (0, 0))), set()
    for number, image in enumerate(seen):
        places = [
            (r, c, mirrored)
            for r in range(9)
            for c in range(9)
            for mirrored in (False, True)
            if np.array_equal(image, padded[number, r : r + 12, c : c + 12][:, :: -1 if mirrored else 1])
        ]
        assert len(places) == 1
        found.add(places[0])
    assert len(found) > 20 and {mirrored for _, _, mirrored in found} == ({False, True} if flip else {False})


def test_cosine_schedule():
    rates = [cosine(step, 100, warm_up=10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[10] == 1
    assert rates[55] == pytest.approx(0.5) and rates[100] == pytest.approx(0)
    assert all(a >= b for a, b in zip(rates[10:], rates[11:]))


def test_the_modes_in_use_can_be_sampled():
    model = create("resnet8")
    rng = random.Random(0)
    named = [group_vector(model, mode) for mode in ("1/2", "1/4", "1/8")]
    others = [list(sample_networks(model, 3, rng, 1.0))[2] for _ in range(60)]
    assert all(vector in named for vector in others) and all(vector in others for vector in named)
    mixed = [list(sample_networks(model, 3, rng, 0.5))[2] in named for _ in range(60)]
    assert 15 < sum(mixed) < 45
    assert list(sample_networks(model, 4, random.Random(0), 0.0)) == list(sample_networks(model, 4, random.Random(0)))


def test_weights_are_quantised_once_for_all_networks_of_a_step(monkeypatch):
    model = create("resnet8")
    model.train()
    conv = model.stem.conv
    calls = []
    quantise = conv.quant_weight
    monkeypatch.setattr(conv, "quant_weight", lambda: calls.append(1) or quantise())
    accumulate_gradients(model, torch.rand(2, 3, 32, 32), torch.tensor([0, 1]), ["full", "1/4", "1/16"])
    assert len(calls) == 1 and conv.weight.grad is not None and conv.held is None


def test_one_channel_cannot_lead_a_step_astray(tmp_path, monkeypatch):
    """Where a batch normalisation multiplies a gradient by a million, the step is as long as others."""
    plain = Algorithm1.losses

    def kicked(phase, model, *arguments):
        losses = plain(phase, model, *arguments)
        model.get_submodule("stage1.block1.conv1").norm.norms["16"].bias.grad[3] = 1e6
        return losses

    monkeypatch.setattr(Algorithm1, "losses", kicked)
    method = WeNet(full_epochs=0, float_epochs=1, epochs=0, samples=2)
    trainer = Trainer(
        Settings("resnet8", batch=16, lr=0.1, steps=1, held_out=50, weight_decay=0.0), method, load("digits"), tmp_path
    )
    trainer._rate = lambda index, step: 0.1
    before = {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}
    trainer.run_epoch()
    moved = torch.stack([(parameter.detach() - before[name]).norm() for name, parameter in trainer.model.named_parameters()]).norm()
    longest = 0.1 * 1.9 * LARGEST_NORM * 2  # Nesterov's first step goes 1 + 0.9 of the gradient
    assert 0.9 * longest < float(moved) < 1.01 * longest
