"""A build folder belongs to one network: another one of the same name is told, and overwrites nothing."""

import pytest

from flow.build.source import ORIGIN, check_origin, origin_of
from flow.cli import main
from flow.errors import GatefoldError


@pytest.fixture
def taken(tmp_path, monkeypatch):
    """build/my, which holds the build of one/my.onnx, and build/Net that of one/my.py:Net; there are two/my.onnx and two/my.py too."""
    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path / "build"))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in ("my.onnx", "my.py"):
            (tmp_path / folder / name).write_text("")
    for name, origin in (("my", "my.onnx"), ("Net", "my.py:Net")):
        (tmp_path / "build" / name).mkdir(parents=True)
        (tmp_path / "build" / name / ORIGIN).write_text(f"{tmp_path / 'one' / origin}\n")
    return tmp_path


@pytest.mark.parametrize("name, model", [("my", "my.onnx"), ("Net", "my.py:Net")])
def test_another_network_of_that_name_is_refused(taken, name, model, capsys):
    before = {path: path.read_bytes() for path in taken.rglob("*") if path.is_file()}
    other = str(taken / "two" / model)
    assert main(["build", other]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line]
    assert line == (
        f"gatefold: {taken / 'build' / name} holds the build of {taken / 'one' / model}; give {other} a folder of its own with "
        "--output, or rename it."
    )
    assert {path: path.read_bytes() for path in taken.rglob("*") if path.is_file()} == before


def test_the_same_network_is_built_again(taken, monkeypatch):
    """Called by another path, or where what was built has been moved or is not known."""
    monkeypatch.chdir(taken / "one")
    (taken / "link").symlink_to("one")
    for model in ("my.onnx", "./my.onnx", "../one/my.onnx", "../link/my.onnx", str(taken / "one" / "my.onnx")):
        check_origin(taken / "build" / "my", model)
    check_origin(taken / "build" / "nowhere", "my.onnx")
    moved = taken / "two" / "my.onnx"
    with pytest.raises(GatefoldError):
        check_origin(taken / "build" / "my", str(moved))
    (taken / "one" / "my.onnx").unlink()
    check_origin(taken / "build" / "my", str(moved))


def test_a_file_called_like_a_shipped_network(taken):
    folder = taken / "build" / "my"
    (folder / ORIGIN).write_text(f"{origin_of('resnet8')}\n")
    check_origin(folder, "resnet8")
    with pytest.raises(GatefoldError, match="holds the build of resnet8; give .*resnet8.onnx a folder of its own"):
        check_origin(folder, str(taken / "resnet8.onnx"))
