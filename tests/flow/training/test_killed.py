"""A process killed in mid-epoch (SIGKILL) loses that epoch and nothing else."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

RUN = Path(__file__).with_name("killed_run.py")


def start(folder, *arguments):
    command = [sys.executable, str(RUN), str(folder), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.slow
def test_killed_in_mid_epoch_ends_with_the_weights_of_an_unbroken_run(tmp_path):
    unbroken = start(tmp_path / "whole")
    assert unbroken.returncode == 0, unbroken.stderr
    for epoch, step in ((1, 2), (2, 1)):
        killed = start(tmp_path / "parts", epoch, step)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert [path.name for path in (tmp_path / "parts").iterdir()] == ["checkpoint.pt"]
    ended = start(tmp_path / "parts")
    assert (ended.returncode, ended.stdout) == (0, "from epoch 2\n"), ended.stderr
    whole, parts = (load_file(tmp_path / name / "resnet8.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert [name for name, value in whole.items() if not value.equal(parts[name])] == []
