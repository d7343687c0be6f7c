"""Numbers on the command line that no machine can have."""

import pytest

from flow.cli import main

GIANT = str(10**12)
WORKERS = [("evaluate", "--threads"), ("profile", "--threads"), ("train", "--threads"), ("train", "--jobs"), ("search", "--jobs")]
COUNTS = ["--batch", "--steps", "--epochs", "--full-epochs", "--samples", "--held-out", "--test-images"]


@pytest.mark.parametrize("command, option", WORKERS)
@pytest.mark.parametrize("count", ["0", "-1", "1025", "1000000000", "1" * 5000, "many", "1.5", ""])
def test_threads_and_jobs(command, option, count, capsys):
    refused(command, [option, count], option, capsys)


@pytest.mark.parametrize("option", COUNTS)
@pytest.mark.parametrize("count", ["-1", GIANT, "few"])
def test_counts_of_a_training(option, count, capsys):
    refused("train", [option, count], option, capsys)


@pytest.mark.parametrize("seed", ["-1", str(2**32), "x"])
@pytest.mark.parametrize("option", ["--seed", "--seeds"])
def test_seeds(option, seed, capsys):
    refused("train", [option, seed], option, capsys)


def refused(command, options, named, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "resnet8", *options])
    error = capsys.readouterr().err.splitlines()[-1]
    assert end.value.code == 2 and f"argument {named}: " in error and "is not a whole number from" in error and len(error) < 200


@pytest.mark.parametrize(
    "arguments",
    [
        ["profile", "resnet8", "--batch", "1,1000000000"],
        ["search", "resnet8", "--by", "cpu", "--batch", "1000000000", "--data", "digits"],
    ],
)
def test_a_batch_beyond_the_memory(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GATEFOLD_RUNS", str(tmp_path))
    monkeypatch.setenv("GATEFOLD_BUILD", str(tmp_path))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "does not fit into the memory of this machine; give a smaller --batch" in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["1" + "0" * 400, "-1", "1e999", "nan"])
def test_options_of_a_method(value, capsys, tmp_path):
    assert main(["train", "resnet8", "--set", f"epochs={value}", "--output", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "is no value of option epochs" in error and len(error) < 400 and not (tmp_path / "run").exists()
