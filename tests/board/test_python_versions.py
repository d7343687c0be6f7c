"""The board program is for the Pythons of the PYNQ images, 3.8 to 3.12, and numpy from 1.19 on, not for the flow's alone."""

import ast
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.board.conftest import ROOT

SOURCES = sorted((ROOT / "board").rglob("*.py"))

# Runs in the other Python. What it lacks of numpy, Pillow, ipywidgets and pynq gets stand-ins that let modules be imported; whatever needs
# none of them runs in earnest.
SCRIPT = """
import contextlib, dataclasses, io, importlib, importlib.abc, importlib.machinery, importlib.util, sys, types, typing

class Anything:
    def __init__(self, *arguments, **keywords): pass
    def __call__(self, *arguments, **keywords): return Anything()
    def __int__(self): return 1

class Missing(types.ModuleType):
    __path__ = []
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Anything,), {})

class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numpy", "PIL", "pynq", "pynqmetadata", "ipywidgets"):
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        return Missing(spec.name)
    def exec_module(self, module):
        pass

root, deploy, *names = sys.argv[1:]
sys.path.insert(0, root)
from board.run import main, make_parser
if importlib.util.find_spec("numpy") is None:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main(["--board-dir", deploy]) == 2
    assert "numpy is missing" in said.getvalue()
sys.meta_path.append(Finder())
for name in names:
    module = importlib.import_module("board." + name)
    for value in list(vars(module).values()):
        if dataclasses.is_dataclass(value):
            typing.get_type_hints(value)

args = make_parser().parse_args(["--mode", "full,1/4", "--count", "3"])
from board.deploy import open_deploy
from board.energy import Power
opened = open_deploy(deploy)
assert [mode.index for mode in opened.mode_sequence(args.mode, args.count)] == [0, 2, 0]
assert len(opened.classes) == 10 and opened.interface["version"] >= 1 and opened.clock_mhz == 142.857143
assert abs(Power(1.5, 2.0).joules(2, 50e6, 100) - 3.25) < 1e-9
print("good")
"""


def interpreter(minor):
    """Path of a Python 3.`minor` that runs, from PATH or pyenv, or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in (shutil.which(f"python3.{minor}"), *sorted(pyenv.glob(f"3.{minor}.*/bin/python"))):
        asked = path and subprocess.run([path, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, text=True)
        if asked and asked.stdout.strip() == str(minor):
            return path
    return None


@pytest.mark.parametrize("minor", range(8, 13))
def test_every_module_imports(build, minor):
    python = interpreter(minor)
    if python is None:
        pytest.skip(f"no Python 3.{minor} is installed, neither on PATH nor by pyenv")
    names = [".".join(path.relative_to(ROOT / "board").with_suffix("").parts) for path in SOURCES if path.stem != "__init__"]
    done = subprocess.run(
        [python, "-B", "-W", "error", "-c", SCRIPT, ROOT, build / "deploy", *names], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "good\n", ""), done.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_source_is_python_3_8(path):
    """Its grammar, and annotations that 3.8 can evaluate (no X | Y, no list[X])."""
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    annotations = [node.annotation for node in ast.walk(tree) if isinstance(node, (ast.AnnAssign, ast.arg)) and node.annotation]
    annotations += [node.returns for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.returns]
    for node in (inner for annotation in annotations for inner in ast.walk(annotation)):
        assert not isinstance(node, ast.BinOp), ast.unparse(node)
        assert not (
            isinstance(node, ast.Subscript) and getattr(node.value, "id", "") in ("list", "dict", "tuple", "set", "type")
        ), ast.unparse(node)


def test_arrays_with_the_numpy_of_the_flow(tmp_path):
    """numpy 2, where the board's environment has numpy 1."""
    from board.images import load_images

    assert np.__version__.startswith("2.")
    images = np.random.default_rng(2).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "x.npz", x=images, y=np.arange(5))
    loaded = load_images(tmp_path / "x.npz", 7, (32, 32, 3), 10)
    assert loaded.labels.tolist() == [0, 1, 2, 3, 4]
    assert np.array_equal(np.concatenate(list(loaded.batches([3, 4]))), images[np.arange(7) % 5])
