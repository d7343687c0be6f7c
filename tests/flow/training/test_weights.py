"""Weights are not believed: each kind of damage is refused by every command that reads weights, in a sentence that names it."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from flow.cli import main
from flow.errors import GatefoldError
from flow.files import sealed
from flow.training.checkpoint import SHIPPED, load_model, read_record
from flow.training.weights import digest


@pytest.fixture
def weights(tmp_path):
    """A copy of shipped weights, with the record of today."""
    for suffix in (".safetensors", ".json"):
        shutil.copy(SHIPPED / f"resnet8{suffix}", tmp_path / f"resnet8{suffix}")
    return tmp_path / "resnet8.safetensors"


def edit(path, ending, value):
    """Set one number of the first tensor whose name ends so; the record vouches for the new file. Returns the tensor's name."""
    tensors = load_file(path)
    name = next(name for name in sorted(tensors) if name.endswith(ending))
    tensors[name].view(-1)[0] = value
    save_file(tensors, path)
    vouch(path)
    return name


def vouch(path):
    path.with_suffix(".json").write_text(sealed({**read_record(path), "sha256": digest(path.read_bytes())}))


@pytest.mark.parametrize(
    "ending, value, words",
    [
        ("weight", float("nan"), "holds NaN"),
        ("weight", float("inf"), "holds an infinite number"),
        ("bias", float("-inf"), "holds an infinite number"),
        ("running_mean", float("nan"), "holds NaN"),
        ("running_var", float("nan"), "holds NaN"),
        ("running_var", float("inf"), "holds an infinite number"),
        ("running_var", -0.5, "is negative"),
        ("weight", 1e30, "no training leaves"),
        ("value", -1e7, "no training leaves"),
    ],
)
def test_impossible_numbers_name_their_tensor(weights, tmp_path, capsys, ending, value, words):
    name = edit(weights, ending, value)
    for command in (
        ["build", "resnet8", "--output", str(tmp_path / "build")],
        ["evaluate", "resnet8", "--data", "digits"],
        ["report", "resnet8", "--no-synthesis", "--pictures", str(tmp_path / "pictures"), "--data", "digits"],
    ):
        assert main([*command, "--checkpoint", str(weights)]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gatefold:")]
        assert name in line and words in line
    assert not (tmp_path / "build").exists() and not (tmp_path / "pictures").exists()


def test_a_flipped_bit_is_seen(weights):
    load_model(weights)
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1  # the lowest bit of a mantissa or of a count: as plausible as before
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)
    with pytest.raises(GatefoldError, match="not the file that resnet8.json was written for"):
        load_model(weights)


def test_a_record_without_a_digest_vouches_for_nothing(weights):
    record = read_record(weights)
    del record["sha256"]
    weights.with_suffix(".json").write_text(json.dumps(record))
    assert torch.equal(load_model(weights).classifier.weight, load_model("resnet8").classifier.weight)


@pytest.mark.parametrize("record", sorted(SHIPPED.glob("*.json")), ids=lambda path: path.stem)
def test_shipped_records_hold_the_digest_of_their_weights(record):
    assert json.loads(record.read_text())["sha256"] == digest(record.with_suffix(".safetensors").read_bytes())
    assert load_model(record.with_suffix(".safetensors")).name == json.loads(record.read_text())["model"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "damaged"),
        ("[]", "no JSON object"),
        ("[" * 100_000, "damaged"),
        ("\x00\xff", "damaged"),
        ('{"num_classes": "ten"}', "num_classes is 'ten'"),
        ('{"num_classes": 0}', "num_classes is '0'"),
        ('{"model": 8}', "model is '8'"),
        ('{"quantised": "yes"}', "quantised is 'yes'"),
        ('{"accuracy": 0.8}', "accuracy is '0.8'"),
        ('{"accuracy": {"full": "high"}}', "accuracy is"),
        ('{"accuracy": {"full": NaN}}', "accuracy is"),
        ('{"accuracy": {"full": 82.75}}', "accuracy is"),
        ('{"options": ["gates"]}', "options is"),
        ('{"options": {"gates": 3}}', "gates|another version"),
        ('{"options": {"flags": true}}', "another version"),
        ('{"searched": {"pareto-1": 3}}', "another version"),
        ('{"searched": {"pareto-1": {"nowhere": 2}}}', "group counts that resnet8 has not"),
        ('{"num_classes": 11}', "another version"),
        ('{"model": "resnet20"}', "another version"),
        ('{"model": "nothing"}', "no model"),
        ('{"sha256": "0"}', "not the file"),
        ('{"sha256": 0}', "sha256 is '0'"),
    ],
)
def test_damaged_records_are_one_sentence(weights, text, words):
    path = weights.with_suffix(".json")
    if text.startswith("{"):
        text = sealed({**read_record(weights), **json.loads(text)})
    path.write_text(text, encoding="latin-1")
    with pytest.raises(GatefoldError, match=words):
        load_model(weights)


def test_what_is_no_weights_file_is_told(weights, tmp_path, capsys):
    (tmp_path / "picture.safetensors").write_bytes(b"GIF89a" * 100)
    shutil.copy(weights.with_suffix(".json"), tmp_path / "picture.json")
    (tmp_path / "notes.txt").write_text("no weights")
    (tmp_path / "folder.safetensors").mkdir()
    for name, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "folder.safetensors", "is a folder"),
        (tmp_path / "picture.safetensors", "damaged"),
        (tmp_path / "notes.txt", "the record beside the weights"),
        (tmp_path / "missing.safetensors", "check the path"),
    ):
        assert main(["build", "resnet8", "--checkpoint", str(name), "--output", str(tmp_path / "build")]) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gatefold:")]
        assert words in line
    assert not (tmp_path / "build").exists()
