"""A full or read-only disk ends a command in one sentence, and the next call goes on from there. Each disk is a real, small one."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BUILD = "build resnet8 --untrained"


def on_disk(folder, script, **variables):
    """Run a shell script in a mount namespace of its own, `$disk` being an empty folder and `gatefold` this clone's command."""
    if subprocess.run(["unshare", "-rm", "sh", "-c", f"mount -t tmpfs none {folder}"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a disk in a namespace of his own")
    script = f'gatefold() {{ {sys.executable} -m flow.cli "$@"; }}\nset -e\n{script}'
    environment = {**os.environ, "disk": str(folder), "OMP_NUM_THREADS": "1", **variables}
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, env=environment, timeout=580
    )


def sentence(done):
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("gatefold:")]
    assert "Traceback" not in done.stderr and line.endswith(".")
    return line


@pytest.mark.parametrize(
    "size, command, words",
    [
        (
            "100k",
            f"{BUILD} --output $disk/build",
            "model.onnx could not be written .*No space left on device.*free some space and run",
        ),
        pytest.param(
            "900k",
            f"{BUILD} --output $disk/build",
            "engine.onnx could not be written .*No space left on device",
            marks=pytest.mark.slow,
        ),
        ("4k", "report resnet8", "No space left on device.*free some space"),
    ],
)
def test_a_full_disk_is_told(tmp_path, size, command, words):
    variables = {"GATEFOLD_BUILD": str(tmp_path)} if command.startswith("report") else {}
    done = on_disk(tmp_path, f"mount -t tmpfs -o size={size} none $disk\ngatefold {command}", **variables)
    assert done.returncode == 2
    assert re.search(words, sentence(done))


@pytest.mark.parametrize(
    "command",
    [*(pytest.param(command, marks=pytest.mark.slow) for command in (f"{BUILD} --output $disk/build", BUILD)), "report resnet8"],
)
def test_a_read_only_disk_is_told(tmp_path, command):
    variables = {} if "--output" in command else {"GATEFOLD_BUILD": str(tmp_path / "build")}
    done = on_disk(tmp_path, f"mount -t tmpfs -o ro none $disk\ngatefold {command}", **variables)
    assert done.returncode == 2 and "Read-only file system" in sentence(done)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_build_goes_on_once_there_is_space(tmp_path):
    script = f"mount -t tmpfs -o size=900k none $disk\n! gatefold {BUILD} --output $disk/build\n"
    script += f"mount -o remount,size=30m $disk\ngatefold {BUILD} --output $disk/build\nfind $disk/build -name '*.part'"
    done = on_disk(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert "RTL equal to the integer model in every mode" in done.stdout and ".part" not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("size, command", [("3m", BUILD), ("400k", "report resnet8")])
def test_tools_that_find_no_space_are_not_blamed(tmp_path, size, command):
    """Verilator, g++ and yosys on a full disk: the sentence is about the disk, not about the design."""
    done = on_disk(tmp_path, f"mount -t tmpfs -o size={size} none $disk\ngatefold {command}", GATEFOLD_BUILD=str(tmp_path))
    assert done.returncode == 2 and "space" in sentence(done)
