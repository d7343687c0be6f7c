"""Runs on scikit-learn's digits: learning, resuming, failing."""

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from flow.cli import main
from flow.data import Dataset, load
from flow.data.held_out import split
from flow.errors import GatefoldError
from flow.models import create, initialise
from flow.training import checkpoint
from flow.training.checkpoint import SHIPPED, load_model, load_training_state, read_record, save_model
from flow.training.evaluate import predict
from flow.training.methods.wenet import WeNet
from flow.training.sampling import accumulate_gradients, sample_networks
from flow.training.trainer import Settings, Trainer


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    return Dataset("digits", data.train_x[:256], data.train_y[:256], data.test_x[:32], data.test_y[:32])


def train(data, folder, resume=False, **keys):
    """A trainer of three short phases; keys change the method's or the common settings."""
    method = {"full_epochs": 1, "float_epochs": 1, "epochs": 1, "samples": 3}
    method.update({key: keys.pop(key) for key in set(keys) & set(WeNet.__dataclass_fields__)})
    return Trainer(Settings("resnet8", **{"batch": 16, "steps": 2, **keys}), WeNet(**method), data, folder, resume=resume)


def run(trainer, epochs):
    while trainer.epoch < epochs:
        trainer.run_epoch()
    return trainer.model.state_dict()


@pytest.mark.parametrize("quantised", [False, True])
def test_a_few_steps_lower_the_loss(digits, quantised):
    torch.manual_seed(0)
    model = create("resnet8")
    model.set_quantised(quantised)
    model.train()
    x = torch.from_numpy(digits.train_x[:32]).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(digits.train_y[:32])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    rng = random.Random(0)
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        losses.append(accumulate_gradients(model, x, y, sample_networks(model, 3, rng)))
        optimiser.step()
    assert losses[-1][0] < losses[0][0] - 0.15
    assert losses[-1][1] < losses[0][1]


def test_resumed_run_equals_an_uninterrupted_one(digits, tmp_path):
    whole = run(train(digits, tmp_path / "whole"), 3)
    first = train(digits, tmp_path / "parts")
    run(first, 1)
    del first  # killed: what is left is the checkpoint
    for epochs in (2, 3):
        resumed = train(digits, tmp_path / "parts", resume=True)
        assert resumed.epoch == epochs - 1
        parts = run(resumed, epochs)
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        assert torch.equal(value, parts[name]), name
    assert [record["phase"] for record in resumed.history] == ["full", "float", "4-bit"]


def test_loss_that_is_not_a_number_keeps_the_last_checkpoint(digits, tmp_path):
    trainer = train(digits, tmp_path, full_epochs=0)
    trainer.run_epoch()
    before = (tmp_path / "checkpoint.pt").read_bytes()
    with torch.no_grad():
        trainer.model.classifier.weight.fill_(float("nan"))
    with pytest.raises(GatefoldError, match="--resume and a smaller --lr"):
        trainer.run_epoch()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


def test_statistics_are_those_of_images_as_inference_sees_them(digits, tmp_path):
    trainer = train(digits, tmp_path, batch=16)
    known = {image.tobytes() for image in trainer.dataset.train_x}
    (first, *_) = trainer._calibration_batches()
    images = (255 * first).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    assert len(images) == 16 and all(image.tobytes() in known for image in images)
    moved = torch.cat(trainer._calibration_batches(move=True))
    images = (255 * moved).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
    assert sum(image.tobytes() in known for image in images) < len(images) / 4


def test_group_modes_are_measured_on_images_as_training_sees_them(digits, tmp_path, monkeypatch):
    trainer, asked = train(digits, tmp_path, epochs=0, float_epochs=0), []
    batches = trainer._calibration_batches
    monkeypatch.setattr(trainer, "_calibration_batches", lambda **options: asked.append(options) or batches(**options))
    trainer.run_epoch()
    trainer.finish("", test_images=8)
    assert asked == [{"move": True}]


@pytest.mark.parametrize("wanted, held", [(0, 0), (10, 10), (1000, 25)])
def test_held_out_images_are_not_trained_on(digits, tmp_path, wanted, held):
    trainer = train(digits, tmp_path, held_out=wanted)
    rest, images, labels = split(digits, held)
    assert np.array_equal(trainer.labels.numpy(), rest.train_y) and len(rest.train_y) == 256 - held
    assert np.array_equal(trainer.held_x, images) and np.array_equal(trainer.held_y, labels)
    seen = {image.tobytes() for image in rest.train_x}
    assert not any(image.tobytes() in seen for image in images)
    assert np.array_equal(split(digits, 100)[1][:held], images)
    accuracy = trainer.run_epoch()["accuracy"]
    assert list(accuracy) == (["full"] if held else [])


def test_fewer_epochs_than_done_are_refused(digits, tmp_path):
    run(train(digits, tmp_path), 2)
    with pytest.raises(GatefoldError, match="has 2 epochs behind it and the options ask for 1"):
        train(digits, tmp_path, resume=True, float_epochs=0, epochs=0)
    assert train(digits, tmp_path, resume=True, lr=0.05).changed == {"lr": (0.1, 0.05)}


def test_full_disk_keeps_the_last_checkpoint(digits, tmp_path, monkeypatch):
    trainer = train(digits, tmp_path, full_epochs=0)
    trainer.save()
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def fail(state, path):
        path.write_bytes(before[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", fail)
    with pytest.raises(GatefoldError, match="No space left on device.*free some space"):
        trainer.save()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_damaged_and_missing_checkpoints(digits, tmp_path):
    trainer = train(digits, tmp_path)
    with pytest.raises(GatefoldError, match="no checkpoint"):
        load_training_state(tmp_path / "checkpoint.pt")
    trainer.save()
    whole = (tmp_path / "checkpoint.pt").read_bytes()
    (tmp_path / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GatefoldError, match="damaged"):
        train(digits, tmp_path, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(whole)
    with pytest.raises(GatefoldError, match="seed 0, not 7"):
        train(digits, tmp_path, resume=True, seed=7)
    with pytest.raises(GatefoldError, match="data digits, not letters"):
        train(replace(digits, name="letters"), tmp_path, resume=True)
    with pytest.raises(GatefoldError, match="other gates, exits or classes"):
        train(replace(digits, train_y=digits.train_y // 2, test_y=digits.test_y // 2), tmp_path, resume=True)


def test_batch_larger_than_the_data_set(digits, tmp_path):
    with pytest.raises(GatefoldError, match="lower --batch"):
        train(digits, tmp_path, batch=1000)


def test_weights_file_round_trip_and_errors(digits, tmp_path):
    model = initialise(create("resnet8"), seed=1)
    path = tmp_path / "resnet8.safetensors"
    save_model(model, path, {"accuracy": {"full": 0.5}})
    assert read_record(path)["accuracy"] == {"full": 0.5}
    again = load_model(path)
    images = digits.test_x[:4]
    assert np.array_equal(model.integer_logits(images), again.integer_logits(images))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(GatefoldError, match="damaged"):
        load_model(path)
    path.write_bytes(whole)
    record = path.with_suffix(".json")
    record.write_text("{")
    with pytest.raises(GatefoldError, match="damaged"):
        load_model(path)
    record.unlink()
    with pytest.raises(GatefoldError, match="restore"):
        load_model(path)
    path.unlink()
    with pytest.raises(GatefoldError, match="check the path"):
        load_model(path)
    with pytest.raises(GatefoldError, match="neither a model nor"):
        load_model("resnet9")
    with pytest.raises(GatefoldError, match="gatefold train resnet74"):
        load_model("resnet74")


def test_command_line(digits, tmp_path, capsys):
    npz = tmp_path / "small.npz"
    np.savez(npz, train_x=digits.train_x, train_y=digits.train_y, test_x=digits.test_x, test_y=digits.test_y)
    arguments = ["--full-epochs", "0", "--float-epochs", "0", "--epochs", "1", "--samples", "2", "--steps", "2", "--batch", "16"]
    assert main(["train", "resnet8", "--data", str(npz), "--threads", "1", *arguments, "--output", str(tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert list(record["accuracy"]) == ["full", "1/2", "1/4", "1/8", "1/16"]
    weights = str(tmp_path / "resnet8.safetensors")
    common = ["evaluate", "resnet8", "--data", str(npz), "--checkpoint", weights, "--json"]
    assert main([*common, "--mode", "1/4", "--count", "5"]) == 0
    one = json.loads(capsys.readouterr().out)
    model = load_model(weights)
    assert one["predictions"] == predict(model, digits.test_x[:5], "1/4").tolist()
    assert (one["model"], one["mode"]) == ("resnet8", "1/4")
    assert main([*common]) == 0
    every = json.loads(capsys.readouterr().out)
    assert {mode: result["accuracy"] for mode, result in every.items()} == record["accuracy"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["train", "vgg", "--data", "digits"], "no model 'vgg'"),
        (["train", "resnet8", "--data", "missing.npz"], "no file missing.npz"),
        (["train", "resnet8", "--data", "digits", "--lr", "-1"], "not a positive number"),
        (["train", "resnet8", "--data", "digits", "--lr", "inf"], "not a positive number"),
        (["train", "resnet8", "--data", "digits", "--output", "/dev/null"], "/dev/null cannot be made a folder"),
        (["evaluate", "densenet41"], "No weights of densenet41 are shipped"),
        (["evaluate", "resnet8", "--gates", "off"], "have no gates"),
        (["evaluate", "resnet8", "--budget", "nan"], "is no limit"),
        (["evaluate", "resnet8", "--budget", "0.5"], "have no exits"),
        (["report", "resnet8", "--checkpoint", "a.safetensors"], "There are no trained weights a.safetensors"),
        (["profile", "resnet8", "--checkpoint", str(SHIPPED / "resnet20.safetensors")], "holds resnet20, not resnet8"),
        (["profile", "resnet8", "--checkpoint", str(SHIPPED / "resnet8-acs.safetensors")], "cannot skip what the gates"),
        (["train", "resnet8", "--data", "digits", "--weight-decay", "2"], "from 0 to 1"),
        (["train", "resnet8", "--data", "digits", "--resume"], "no checkpoint"),
        (["evaluate", "vgg"], "no model 'vgg'"),
        (["evaluate", "resnet8", "--mode", "1/3"], "no mode '1/3'"),
        (["evaluate", "resnet8", "--checkpoint", "nowhere.safetensors"], "check the path"),
    ],
)
def test_errors_are_one_sentence(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("gatefold: ") and captured.err.count("\n") == 1
    assert message in captured.err and captured.out == ""
    assert list(tmp_path.iterdir()) == []
