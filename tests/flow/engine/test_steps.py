import pytest

from flow.engine.steps import Steps, replace_folder


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
