"""The repository's Python is formatted and linted as pyproject.toml says, and its public signatures are typed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("bench", "board", "docs", "flow", "hw", "tests", "README.md")
"""Where the repository's Python lies, that in texts too; a user's own files may lie beside them."""


def ruff(*arguments, text=None):
    command = [sys.executable, "-m", "ruff", *arguments]
    return subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True)


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]], ids=["linter", "formatter"])
def test_python_is_in_one_style(command):
    seen = ruff(*command, "--no-cache", *FOLDERS)
    assert seen.returncode == 0, seen.stdout + seen.stderr


@pytest.mark.parametrize(
    "command, text",
    [(["check"], "import os\n"), (["check"], "def f():\n    return missing\n"), (["format", "--check"], "x = ( 1,2 )\n")],
)
@pytest.mark.parametrize("name", ["flow/build/new.py", "board/new.py", "tests/flow/build/test_new.py"])
def test_other_styles_are_found(command, text, name):
    assert ruff(*command, "--no-cache", "--stdin-filename", name, "-", text=text).returncode == 1


def public(name):
    return not name.startswith("_")


def definitions(body, within=""):
    """(name, definition, whether of a class) of the public functions and methods, and every public class's `__init__`."""
    for node in body:
        if isinstance(node, ast.ClassDef) and public(node.name):
            yield from definitions(node.body, f"{within}{node.name}.")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if public(node.name) or within and node.name == "__init__":
                yield within + node.name, node, bool(within)
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            for part in ("body", "orelse", "finalbody", "handlers"):
                for inner in getattr(node, part, ()):
                    yield from definitions(inner.body if isinstance(inner, ast.ExceptHandler) else [inner], within)


def untyped(text):
    """Parameters and returns without a type, `function(parameter)` or `function()`; a dataclass's fields cannot lack one."""
    found = []
    for name, node, in_class in definitions(ast.parse(text).body):
        given = node.args
        own = [*given.posonlyargs, *given.args]
        if in_class and not any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in node.decorator_list):
            own = own[1:]  # self or cls
        parameters = [*own, *given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
        found += [f"{name}({parameter.arg})" for parameter in parameters if parameter.annotation is None]
        if node.returns is None and node.name != "__init__":
            found.append(f"{name}()")
    return found


def test_public_signatures_are_typed():
    files = [path for package in ("flow", "board") for path in sorted((ROOT / package).rglob("*.py"))]
    typed = [path for path in files if public(path.name) or path.name.startswith("__")]
    found = [f"{path.relative_to(ROOT)}: {each}" for path in typed for each in untyped(path.read_text(encoding="utf-8"))]
    assert len(typed) > 100
    assert not found, f"{len(found)} without a type:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("def f(a, *b, c=1, **d): ...", ["f(a)", "f(c)", "f(b)", "f(d)", "f()"]),
        ("async def f(a: int): ...", ["f()"]),
        ("class C:\n def __init__(self, a): ...\n def f(self) -> int: ...", ["C.__init__(a)"]),
        ("class C:\n @staticmethod\n def f(a) -> int: ...\n @classmethod\n def g(cls): ...", ["C.f(a)", "C.g()"]),
        ("class C:\n class D:\n  @property\n  def f(self): ...", ["C.D.f()"]),
        ("try:\n import a\nexcept ImportError:\n def f(): ...", ["f()"]),
        ("def _f(a): ...\nclass _C:\n def f(self): ...\nclass C:\n def __len__(self): ...", []),
        ("def f(a: int = 1, *b: int, **c: int) -> None:\n def g(a): ...", []),
    ],
)
def test_untyped_signatures_are_found(text, expected):
    assert untyped(text) == expected
