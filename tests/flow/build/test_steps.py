import os
from pathlib import Path

import pytest

from flow.build.steps import Steps
from flow.kept import replace_folder


def test_a_step_runs_again_only_when_its_key_or_output_changes(tmp_path):
    steps, output, ran = Steps(tmp_path), tmp_path / "output", []

    def action():
        ran.append(1)
        output.write_text("x")

    for key, expected in (("a", 1), ("a", 1), ("b", 2)):
        steps.run("name", "title", key, [output], action)
        assert len(ran) == expected
    output.unlink()
    steps.run("name", "title", "b", [output], action)
    assert len(ran) == 3


def test_an_output_that_differs_from_its_stamp_is_made_again(tmp_path):
    steps, folder, ran = Steps(tmp_path), tmp_path / "folder", []

    def action():
        ran.append(1)
        replace_folder(folder, lambda part: [(part / name).write_text(name) for name in "ab"])

    def runs():
        return steps.run("name", "title", "key", [folder], action)

    assert runs() and not runs()
    for damage in (
        lambda: (folder / "a").write_text("b"),
        lambda: (folder / "a").rename(folder / "c"),
        lambda: (folder / "c").write_text(""),
        lambda: (folder / "b").unlink(),
        lambda: ((folder / "b").unlink(), (folder / "b").mkdir()),
        lambda: ((folder / "a").write_text("b"), (folder / "b").write_text("a")),
        lambda: (tmp_path / "stamps" / "name").write_text("key"),
        lambda: (tmp_path / "stamps" / "name").write_bytes(b"\xff"),
        lambda: (tmp_path / "stamps" / "name").write_text("[]"),
    ):
        damage()
        assert runs() and not runs()
    assert [path.read_text() for path in sorted(folder.iterdir())] == ["a", "b"]


def test_a_stamp_follows_its_outputs_to_the_disk(tmp_path, monkeypatch):
    """Every output is synced before the stamp is renamed into place: after a power cut no stamp vouches for what is not there."""
    synced, sync, rename = [], os.fsync, os.replace

    def seen(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        sync(descriptor)

    def renamed(source, target):
        if Path(target) == tmp_path / "stamps" / "name":
            outputs = [tmp_path / "file", tmp_path / "folder", tmp_path / "folder" / "weights.mem"]
            assert {str(path) for path in outputs} <= set(synced)
        rename(source, target)

    monkeypatch.setattr(os, "fsync", seen)
    monkeypatch.setattr(os, "replace", renamed)

    def action():
        (tmp_path / "file").write_text("x")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "weights.mem").write_text("x")

    Steps(tmp_path).run("name", "title", "key", [tmp_path / "file", tmp_path / "folder"], action)
    assert str(tmp_path / "stamps" / "name.part") in synced


def test_a_failed_step_runs_again(tmp_path):
    steps = Steps(tmp_path)
    with pytest.raises(ZeroDivisionError):
        steps.run("name", "title", "a", [], lambda: 1 / 0)
    assert steps.run("name", "title", "a", [], lambda: None)


def test_a_failed_replacement_keeps_the_old_folder(tmp_path):
    folder = tmp_path / "folder"
    replace_folder(folder, lambda part: (part / "a").write_text("1"))

    def fail(part):
        (part / "b").write_text("2")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_folder(folder, fail)
    assert [path.name for path in folder.iterdir()] == ["a"] and [path.name for path in tmp_path.iterdir()] == ["folder"]
    replace_folder(folder, lambda part: (part / "b").write_text("2"))
    assert [path.name for path in folder.iterdir()] == ["b"]
