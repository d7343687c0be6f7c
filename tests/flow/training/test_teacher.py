"""A teacher, its outputs on fixed views, and networks that learn from them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from flow.cli import main
from flow.data import load
from flow.data.held_out import split
from flow.errors import GatefoldError
from flow.training import teacher
from flow.training.augment import Images
from flow.training.checkpoint import read_record
from flow.training.methods.registry import make
from flow.training.teacher import Teacher, Teaching
from flow.training.trainer import Settings, Trainer
from flow.training.views import Targets, Views, make_views, target_loss


class _Sum(nn.Module):
    """Logits that tell every crop apart."""

    def forward(self, x):
        weight = torch.linspace(0, 1, x[0].numel()).view(x.shape[1:])
        return torch.stack([(x * weight).sum((1, 2, 3)), x[:, :, 3].sum((1, 2))], 1)


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_the_student_sees_what_the_teacher_saw(digits):
    images = Images(digits.train_x[:200], torch.device("cpu"))
    views = make_views(_Sum(), images, 3, "digits", True, 0)
    assert views.offsets.max() == 8 and views.offsets.min() == 0
    assert bool((views.mirrored[0] != views.mirrored[1]).all()) and bool((views.mirrored[0] == views.mirrored[2]).all())
    index = torch.tensor([150, 3, 77])
    seen = []
    for epoch in range(4):
        x, logits = views.take(images, index, epoch)
        assert x.shape == (3, 3, 32, 32) and torch.allclose(_Sum()(x).half().float(), logits)
        seen.append(x)
    assert torch.equal(seen[0], seen[3]) and not torch.equal(seen[0], seen[2])
    unmirrored = make_views(_Sum(), images, 2, "digits", False, 0)
    assert not unmirrored.mirrored.any()


def test_stored_views_are_read_back_and_only_for_their_images(digits, tmp_path):
    path = tmp_path / "views.safetensors"
    views = make_views(_Sum(), Images(digits.train_x[:50], torch.device("cpu")), 2, "digits", True, 0)
    views.save(path)
    again = Views.load(path, "digits", 50, 2)
    assert all(torch.equal(getattr(views, key), getattr(again, key)) for key in ("offsets", "mirrored", "logits"))
    for data, count, classes in (("svhn", 50, 2), ("digits", 49, 2), ("digits", 50, 10)):
        with pytest.raises(GatefoldError, match="is of 50 images of digits, and training is on"):
            Views.load(path, data, count, classes)
    path.write_bytes(b"none")
    with pytest.raises(GatefoldError, match="make it with `gatefold teach`"):
        Views.load(path, "digits", 50, 2)


def test_loss_of_targets():
    generator = torch.Generator().manual_seed(0)
    logits, taught = torch.randn(6, 10, generator=generator), torch.randn(6, 10, generator=generator)
    labels = torch.arange(6)
    assert torch.equal(target_loss(logits, labels), F.cross_entropy(logits, labels))
    assert torch.allclose(target_loss(logits, Targets(labels, taught, 4.0, 0.0)), F.cross_entropy(logits, labels))
    assert float(Targets(labels, logits, 4.0, 1.0).loss(logits)) == pytest.approx(0, abs=1e-6)
    p, q = torch.softmax(taught / 2, 1), torch.softmax(logits / 2, 1)
    expected = 0.3 * F.cross_entropy(logits, labels) + 0.7 * 4 * (p * (p / q).log()).sum(1).mean()
    assert torch.allclose(target_loss(logits, Targets(labels, taught, 2.0, 0.7)), expected)


def test_the_teacher_learns_and_is_resumed(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(teacher, "BATCH", 32)
    monkeypatch.setattr(teacher, "RATE", 0.05)
    whole = Teaching(digits, tmp_path / "whole", 2, 100, 0, steps=12)
    first = Teaching(digits, tmp_path / "parts", 2, 100, 0, steps=12)
    losses = []
    for _ in range(2):
        reached = whole.run_epoch(lambda _, loss: losses.append(loss))
    first.run_epoch()
    second = Teaching(digits, tmp_path / "parts", 2, 100, 0, steps=12, resume=True)
    second.run_epoch()
    assert sum(losses[-4:]) < sum(losses[:4]) - 1 and 0 <= reached <= 1
    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values()):
        assert torch.equal(a, b)
    for epochs, width in ((3, 1), (2, 2)):
        with pytest.raises(GatefoldError, match="is of other options"):
            Teaching(digits, tmp_path / "parts", epochs, 100, 0, steps=3, resume=True, width=width)


def test_the_teacher_takes_crops_of_both_sizes():
    model = Teacher(7, width=2).eval()
    assert model.classifier.in_features == 512
    assert model(torch.rand(2, 3, 24, 24)).shape == model(torch.rand(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.slow
def test_a_network_learns_from_stored_outputs(tmp_path, capsys):
    common = ["--data", "digits", "--steps", "2", "--threads", "1"]
    assert main(["teach", *common, "--epochs", "1", "--views", "2", "--output", str(tmp_path)]) == 0
    assert "of the views" in capsys.readouterr().out
    views, out = str(tmp_path / "views.safetensors"), tmp_path / "student"
    train = ["train", "resnet8", *common, "--batch", "16", "--samples", "3", "--precision", "bfloat16", "--teacher", views]
    train += "--full-epochs 1 --float-epochs 1 --epochs 1 --set uniform=0.9 --test-images 8".split()
    assert main([*train, "--output", str(out)]) == 0
    settings = read_record(out / "resnet8.safetensors")["settings"]
    assert (settings["teacher"], settings["temperature"], settings["share"]) == (views, 4.0, 0.9)
    assert (settings["precision"], settings["uniform"]) == ("bfloat16", 0.9)
    assert main([*train, "--share", "1.5"]) == 2
    assert "--share lies from 0 to 1" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
@pytest.mark.parametrize("command", ["teach", "train resnet8"])
def test_a_device_that_is_not_there_is_refused(command, tmp_path, capsys):
    assert main([*command.split(), "--data", "digits", "--device", "cuda", "--output", str(tmp_path / "out")]) == 2
    assert "There is no CUDA device here; train with --device cpu." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_teacher_speaks_where_its_views_are_seen(digits, tmp_path):
    path = tmp_path / "views.safetensors"
    images = Images(split(digits, 10)[0].train_x, torch.device("cpu"))
    make_views(lambda x: x.mean((2, 3)).repeat(1, 4)[:, :10], images, 1, "digits", False, 0).save(path)
    settings = Settings("resnet8", held_out=10, teacher=str(path))
    method = make("wenet", {"full_epochs": "1", "float_epochs": "1", "epochs": "1", "refine_epochs": "1"})
    trainer = Trainer(settings, method, digits, tmp_path)
    index, generator = torch.tensor([5, 9]), torch.Generator().manual_seed(0)
    for phase in trainer.phases:
        size = round(phase.crop * 32)
        x, y = trainer._examples(phase, index, generator, size)
        assert x.shape == (2, 3, size, size)
        taught = phase.name in ("float", "4-bit")
        assert isinstance(y, Targets) == taught
        assert torch.equal(y.labels if taught else y, torch.from_numpy(trainer.dataset.train_y[[5, 9]]))


def test_what_cannot_be_is_said(digits, tmp_path):
    with pytest.raises(GatefoldError, match="A teacher is for the method wenet"):
        Trainer(Settings("resnet8", teacher="views.safetensors"), make("acs", {}), digits, tmp_path)
    with pytest.raises(GatefoldError, match="resnet8-slim cannot be trained in bfloat16"):
        Trainer(Settings("resnet8", precision="bfloat16"), make("usnet", {}), digits, tmp_path)
