"""The Makefile: what it hands to the programs, when `make run` builds, and what `make clean` leaves."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
VALUES = [
    "a b", "it's", 'a "quoted" one', "x; touch pwned", "$(touch pwned)", "`touch pwned`", "$(shell touch pwned)", "${shell touch pwned}",
    "$HOME", "$$", "--help", "a\\b", "*", "x & touch pwned", "x | touch pwned", "x > pwned", "~", "#",
]  # fmt: skip
PROGRAM = """#!/bin/sh
{ printf '%s\\037' NAME "$@"; printf '\\036'; } >>"LOG"
"""


@pytest.fixture
def clone(tmp_path):
    """A folder with this Makefile, in which every program that it calls writes down its arguments; its name holds a space."""
    folder = tmp_path / "a clone"
    for name in (".venv/bin/gatefold", ".venv/bin/python", ".venv-board/bin/python", "requirements/setup.sh"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PROGRAM.replace("NAME", name).replace("LOG", str(folder / "log")))
        path.chmod(0o755)
    shutil.copy(ROOT / "Makefile", folder)
    return folder


def make(folder, *arguments, **variables):
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "GATEFOLD_BUILD", "BOARD", "MODEL")
    }
    return subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, env={**environment, **variables}, timeout=300
    )


def calls(folder, program):
    """Arguments of each call of a program, oldest first."""
    text = (folder / "log").read_text() if (folder / "log").exists() else ""
    lines = [line.split("\x1f")[:-1] for line in text.split("\x1e")[:-1]]
    return [call[1:] for call in lines if call[0] == program]


def built(folder, model="resnet8", board="pynq-z2", origin=""):
    deploy = folder / "build" / model / "deploy"
    deploy.mkdir(parents=True)
    (deploy / "modes.json").write_text(json.dumps({"board": board}, indent=1))
    (deploy.parent / "origin").write_text(f"{origin}\n")


@pytest.mark.parametrize("value", VALUES)
def test_values_arrive_as_they_are(clone, value):
    """As an argument of make and from the environment, in every target that takes them."""
    for given in ("argument", "environment"):
        (clone / "log").unlink(missing_ok=True)
        own = ("CLASSES", "SAMPLES", "MEAN", "DEVIATION")
        names = dict.fromkeys(("MODEL", "MODE", "COUNT", "BOARD", "CHECKPOINT", "JOBS", "HOST", "FOLDER", *own), value)
        for target in ("bitstream", "run", "report", "deploy", "test"):
            if given == "argument":
                done = make(clone, target, *(f"{name}={value}" for name, value in names.items()))
            else:
                done = make(clone, target, **names)
            assert done.returncode == 0, done.stderr
        given = [f"--{name.lower()}={value}" for name in own]
        build = ["build", f"--board={value}", f"--checkpoint={value}", *given, "--", value]
        report = ["report", f"--board={value}", *given[2:], "--", value]
        deploy = ["deliver", f"--host={value}", f"--folder={value}", "--", value]
        assert calls(clone, ".venv/bin/gatefold") == [build, build, report, deploy]
        script, tests = calls(clone, ".venv/bin/python")
        assert script == ["hw/shell/implement.py", "--if-installed", "--", f"build/{value}"]
        assert tests[2:4] == ["-n", value]
        assert calls(clone, ".venv-board/bin/python") == [
            ["board/run.py", f"--model={value}", f"--mode={value}", f"--count={value}"]
        ]
        assert not list(clone.rglob("pwned"))


def test_a_class_is_built_and_run_under_its_own_name(clone):
    names = ["MODEL=some where/mynet.py:Net", "CHECKPOINT=Net.safetensors"]
    assert make(clone, "bitstream", *names).returncode == make(clone, "run", *names).returncode == 0
    build = ["build", "--board=pynq-z2", "--checkpoint=Net.safetensors", "--", "some where/mynet.py:Net"]
    assert calls(clone, ".venv/bin/gatefold") == [build, build]
    assert calls(clone, ".venv/bin/python") == [["hw/shell/implement.py", "--if-installed", "--", "build/Net"]]
    assert calls(clone, ".venv-board/bin/python") == [["board/run.py", "--model=Net", "--mode=full", "--count=16"]]


def test_defaults(clone):
    assert make(clone, "bitstream").returncode == make(clone, "run").returncode == 0
    assert calls(clone, ".venv/bin/gatefold") == [["build", "--board=pynq-z2", "--", "resnet8"]] * 2
    assert calls(clone, ".venv-board/bin/python") == [["board/run.py", "--model=resnet8", "--mode=full", "--count=16"]]


def test_a_file_is_built_in_the_folder_of_its_name(clone):
    """And again once it is newer than its build."""
    own = clone / "my folder" / "my net.onnx"
    own.parent.mkdir()
    own.write_text("")
    arguments = f"MODEL={own.relative_to(clone)}", "CLASSES=names.txt"
    assert make(clone, "bitstream", *arguments).returncode == make(clone, "report", *arguments).returncode == 0
    path = "my folder/my net.onnx"
    build = ["build", "--board=pynq-z2", "--classes=names.txt", "--", path]
    assert calls(clone, ".venv/bin/gatefold") == [build, ["report", "--board=pynq-z2", "--", path]]
    assert calls(clone, ".venv/bin/python") == [["hw/shell/implement.py", "--if-installed", "--", "build/my net"]]
    for age, builds in ((100, 0), (-100, 1)):
        (clone / "log").unlink()
        shutil.rmtree(clone / "build", ignore_errors=True)
        built(clone, "my net", origin=own)
        date = (clone / "build" / "my net" / "deploy" / "modes.json").stat().st_mtime
        os.utime(own, (date - age, date - age))
        assert make(clone, "run", *arguments).returncode == 0
        assert len(calls(clone, ".venv/bin/gatefold")) == builds
        assert calls(clone, ".venv-board/bin/python") == [["board/run.py", "--model=my net", "--mode=full", "--count=16"]]


@pytest.mark.parametrize("name, model", [("my.onnx", "my"), ("my.py:Net", "Net")])
def test_a_build_of_another_file_of_that_name_is_not_run(clone, name, model):
    """A second folder's network: `gatefold build` says that the build folder is taken."""
    for folder in ("one", "two"):
        (clone / folder).mkdir()
        (clone / folder / name.partition(":")[0]).write_text("")
    built(clone, model, origin=clone / "one" / name)
    for path in clone.glob("*/my.*"):
        os.utime(path, (0, 0))
    for folder, builds in (("one", 0), ("two", 1)):
        assert make(clone, "run", f"MODEL={folder}/{name}").returncode == 0
        assert len(calls(clone, ".venv/bin/gatefold")) == builds


def test_a_class_is_built_in_the_folder_of_its_name(clone):
    assert (
        make(clone, "bitstream", "MODEL=nets/mine.py:Net").returncode
        == make(clone, "run", "MODEL=nets/mine.py:Net").returncode
        == 0
    )
    assert calls(clone, ".venv/bin/gatefold") == [["build", "--board=pynq-z2", "--", "nets/mine.py:Net"]] * 2
    assert calls(clone, ".venv/bin/python") == [["hw/shell/implement.py", "--if-installed", "--", "build/Net"]]
    assert calls(clone, ".venv-board/bin/python") == [["board/run.py", "--model=Net", "--mode=full", "--count=16"]]


@pytest.mark.parametrize(
    "arguments, builds",
    [
        ([], False),
        (["BOARD=pynq-z2"], False),
        (["BOARD=Pynq-Z2"], False),  # as the PYNQ images set it in the environment
        (["BOARD=zedboard"], True),
        (["BOARD=nonsense"], True),
        (["BOARD=p.nq-z2"], True),
        (["CHECKPOINT=other.safetensors"], True),
        (["MODEL=resnet20"], True),
    ],
)
def test_run_builds_what_is_not_built_like_that(clone, arguments, builds):
    built(clone)
    assert make(clone, "run", *arguments).returncode == 0
    assert bool(calls(clone, ".venv/bin/gatefold")) == builds
    assert len(calls(clone, ".venv-board/bin/python")) == 1


def test_run_looks_where_gatefold_build_says(clone):
    built(clone)
    (clone / "build").rename(clone / "other place")
    assert make(clone, "run", GATEFOLD_BUILD="other place").returncode == 0
    assert not calls(clone, ".venv/bin/gatefold")
    assert make(clone, "bitstream", GATEFOLD_BUILD="other place").returncode == 0
    assert calls(clone, ".venv/bin/python") == [["hw/shell/implement.py", "--if-installed", "--", "other place/resnet8"]]


def test_run_ends_where_the_build_ends(clone):
    (clone / ".venv" / "bin" / "gatefold").write_text("#!/bin/sh\necho 'gatefold: no.' >&2\nexit 2\n")
    done = make(clone, "run", "BOARD=nonsense")
    assert done.returncode != 0 and "gatefold: no." in done.stderr and not calls(clone, ".venv-board/bin/python")


@pytest.mark.parametrize("target", ["clean", "distclean"])
def test_clean_leaves_trained_networks(clone, target):
    built(clone)
    kept = [
        "runs/train/resnet8/resnet8.safetensors",
        "runs/search/resnet8/evaluations.json",
        "build/train/my net/checkpoint.pt",
        "build/old.safetensors",
    ]
    gone = ["build/cache/entry.o", "build/.hidden", "build/resnet20/deploy/images/requant.mem"]
    for name in (*kept, *gone):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("")
    done = make(clone, target)
    assert done.returncode == 0, done.stderr
    assert all((clone / name).exists() for name in kept) and not any((clone / name).exists() for name in gone)
    assert not (clone / "build" / "resnet8").exists() and "runs/ stay" in done.stdout
    assert "build/train holds trained weights and stays" in done.stdout and "build/old.safetensors holds" in done.stdout
    assert (clone / ".venv").exists() == (target == "clean")
    shutil.rmtree(clone / "build")
    assert make(clone, target).returncode == 0


def test_an_unknown_board_is_refused_though_a_build_exists():
    """The real programs, in this clone."""
    if not (ROOT / ".venv-board" / "bin" / "python").exists():
        pytest.skip("the board program's environment is missing; make it with: make setup")
    done = make(ROOT, "run", "BOARD=nonsense")
    assert done.returncode == 2 and "There is no board 'nonsense'" in done.stderr
