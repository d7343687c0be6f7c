"""Runs of several seeds, in processes and on a local Ray."""

import json

import pytest

from flow.cli import main
from flow.training.checkpoint import read_record

TRAIN = (
    "train resnet8 --data digits --full-epochs 1 --float-epochs 0 --epochs 0 --batch 16 --steps 1 --test-images 8 --json".split()
)


@pytest.mark.parametrize("backend", ["processes", pytest.param("ray", marks=pytest.mark.slow)])
def test_each_seed_is_a_run_of_its_own(backend, tmp_path, capfd):
    arguments = [*TRAIN, "--seeds", "0,1", "--jobs", "2", "--backend", backend, "--output", str(tmp_path / "runs")]
    assert main(arguments) == 0
    result = json.loads(capfd.readouterr().out)
    records = [read_record(tmp_path / "runs" / f"seed-{seed}" / "resnet8.safetensors") for seed in (0, 1)]
    assert [record["settings"]["seed"] for record in records] == [0, 1]
    full = [record["accuracy"]["full"] for record in records]
    assert result["full"]["mean"] == pytest.approx(sum(full) / 2)
    assert result["full"]["deviation"] == pytest.approx(abs(full[0] - full[1]) / 2**0.5)
    assert main([*TRAIN, "--seed", "1", "--output", str(tmp_path / "alone")]) == 0
    alone = (tmp_path / "alone" / "resnet8.safetensors").read_bytes()
    assert alone == (tmp_path / "runs" / "seed-1" / "resnet8.safetensors").read_bytes()
    before = (tmp_path / "runs" / "seed-0" / "checkpoint.pt").stat().st_mtime_ns
    assert main(arguments) == 0  # all ended: nothing is trained again
    assert (tmp_path / "runs" / "seed-0" / "checkpoint.pt").stat().st_mtime_ns == before
    assert main([*arguments, "--lr", "0.3"]) == 2
    assert "other settings" in capfd.readouterr().err
