"""Default folders: builds and trained networks lie apart, and a file where a folder should be is told."""

import pytest

from flow import paths
from flow.cli import main
from flow.errors import GatefoldError


def test_trained_networks_lie_outside_the_build_folder(monkeypatch):
    for variable in ("GATEFOLD_BUILD", "GATEFOLD_RUNS"):
        monkeypatch.delenv(variable, raising=False)
    for folder in (paths.train_folder("resnet8"), paths.search_folder("resnet8")):
        assert paths.build_root() not in folder.parents and paths.runs_root() in folder.parents


def test_variables_name_the_folders(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GATEFOLD_BUILD", "here")
    monkeypatch.setenv("GATEFOLD_RUNS", str(tmp_path / "there"))
    assert paths.build_root() == tmp_path / "here"
    assert paths.train_folder("resnet8") == tmp_path / "there" / "train" / "resnet8"


@pytest.mark.parametrize("variable, folder", [("GATEFOLD_BUILD", paths.build_root), ("GATEFOLD_RUNS", paths.runs_root)])
def test_a_file_for_a_folder_is_told(monkeypatch, tmp_path, variable, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, str(tmp_path / "file"))
    with pytest.raises(GatefoldError, match=f"{variable} names .*file, which is a file"):
        folder()


@pytest.mark.parametrize("command", [["build", "resnet8", "--untrained"], ["report", "resnet8"], ["simulate", "resnet8"]])
def test_commands_say_so_in_one_sentence(monkeypatch, tmp_path, capsys, command):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path / "file"))
    assert main(command) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("gatefold:")]
    assert "GATEFOLD_BUILD names" in line and (tmp_path / "file").read_text() == ""
