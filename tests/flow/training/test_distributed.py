"""Two processes give what one gives."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flow.cli import main
from flow.training.trainer import CHECKPOINT

TRAIN = (
    "-m flow.cli train resnet8 --data digits --full-epochs 1 --float-epochs 0 --epochs 0 --batch 32 --steps 1 --test-images 16 "
    "--threads 1"
)


def launch(*arguments):
    """Run Python's `arguments` in two processes."""
    launcher = [str(Path(sys.executable).parent / "torchrun"), "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    return subprocess.run([*launcher, *arguments], env=environment, capture_output=True, text=True, timeout=300)


def test_gradients_and_statistics_of_two_processes_equal_those_of_one(tmp_path, monkeypatch):
    script, files = Path(__file__).with_name("distributed_gradients.py"), [tmp_path / f"{processes}.pt" for processes in (1, 2)]
    monkeypatch.setattr(sys, "argv", [str(script), str(files[0])])
    runpy.run_path(str(script))
    run = launch(str(script), str(files[1]))
    assert run.returncode == 0, run.stderr
    one, two = (torch.load(file, weights_only=True) for file in files)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(two[name], one[name], rtol=1e-6, atol=1e-12, msg=name)


@pytest.mark.slow
def test_training_in_two_processes_equals_one(tmp_path):
    assert main([*TRAIN.split()[2:], "--output", str(tmp_path / "1")]) == 0
    run = launch(*TRAIN.split(), "--output", str(tmp_path / "2"))
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("test images") == 1  # only one process reports
    one, two = (load_file(tmp_path / str(processes) / "resnet8.safetensors") for processes in (1, 2))
    for name in one.keys() - {name for name in one if "running" in name}:  # statistics of calibration: see the test above
        torch.testing.assert_close(two[name], one[name], rtol=1e-3, atol=1e-3, msg=name)
    assert torch.load(tmp_path / "2" / CHECKPOINT, weights_only=True)["history"][0]["processes"] == 2


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared(tmp_path):
    run = launch(*TRAIN.split(), "--batch", "33", "--output", str(tmp_path))
    assert run.returncode != 0
    assert "give a multiple as --batch" in run.stderr
