"""Classes of own data: their names and numbers, and whether its images may be mirrored."""

import json

import numpy as np
import pytest
import torch

from flow.build.deploy import class_names
from flow.cli import main
from flow.data import Dataset, load, load_test, load_training
from flow.data.cifar10 import CLASSES
from flow.data.classes import read_names
from flow.errors import GatefoldError
from flow.training import augment
from flow.training.checkpoint import read_record
from flow.training.methods.wenet import WeNet
from flow.training.trainer import Settings, Trainer

TRAIN = "train resnet8 --full-epochs 0 --float-epochs 0 --epochs 1 --samples 1 --batch 8 --steps 1 --threads 1 --json".split()


def save(path, labels, **more):
    labels = np.asarray(labels)
    x = np.random.default_rng(0).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8)
    arrays = {"train_x": x, "train_y": labels, "test_x": x[:4], "test_y": labels[:4], **more}
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return str(path)


@pytest.fixture
def three(tmp_path):
    return save(tmp_path / "own.npz", np.arange(24) % 3, class_names=np.array(["cat", "dog", "guinea pig"]))


def test_names_from_the_array_and_from_a_file(three, tmp_path):
    assert load(three).class_names == ("cat", "dog", "guinea pig") and load(three).num_classes == 3
    (tmp_path / "names.txt").write_text("\ufeffKatze\nHund \nMeerschweinchen\nVogel\n\n", encoding="utf-8")
    named = load(three, tmp_path / "names.txt")
    assert named.class_names == ("Katze", "Hund", "Meerschweinchen", "Vogel") and named.num_classes == 4


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "holds no class names"),
        (b"\n\n", "holds no class names"),
        (b"cat\n\ndog\n", "the name of class 1 is ''"),
        (b"cat\ndog\ncat\n", "names two classes 'cat'"),
        (b"cat\ndo\x07g\n", "the name of class 1"),
        (b"cat\n" + b"d" * 65, "1 to 64 printable characters"),
        (b"cat\n\xff\xfe", "no text file with class names"),
        (b"cat\n" * 10**6, "no text file with class names"),
    ],
)
def test_bad_files_of_names(content, message, tmp_path):
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(GatefoldError, match=message):
        read_names(tmp_path / "names.txt")


def test_no_file_of_names(tmp_path):
    with pytest.raises(GatefoldError, match="There is no file .*; give --classes a text file"):
        read_names(tmp_path / "names.txt")
    with pytest.raises(GatefoldError, match="is a folder; give --classes"):
        read_names(tmp_path)


@pytest.mark.parametrize(
    "names, message",
    [
        (np.array(["a", "b"]), "labels up to 2 and class_names 2 names; give one for each class"),
        (np.array([1, 2, 3]), "class_names of type int64 and shape"),
        (np.array([["a", "b", "c"]]), "class_names of type <U1 and shape"),
        (np.array(["a", "b", "b"]), "names two classes 'b'"),
        (np.array(["a", "b", None]), "cannot be read"),
    ],
)
def test_bad_arrays_of_names(names, message, tmp_path):
    with pytest.raises(GatefoldError, match=message):
        load(save(tmp_path / "own.npz", np.arange(24) % 3, class_names=names))


@pytest.mark.parametrize("labels, absent", [(np.arange(24) % 10 + 1, 0), (np.arange(24) % 3 * 2, 1), (np.full(24, 7), 0)])
def test_labels_with_gaps_are_told_before_training(labels, absent, tmp_path):
    """Labels 1 to 10 would make eleven classes, one of which is never seen."""
    source = save(tmp_path / "own.npz", labels)
    with pytest.raises(
        GatefoldError, match=f"labels from {labels.min()} to {labels.max()} and no image of class {absent} to train on"
    ):
        load_training(source)
    assert load(source).num_classes == labels.max() + 1
    (tmp_path / "names.txt").write_text("".join(f"class {i}\n" for i in range(12)))
    assert load_training(source, tmp_path / "names.txt").num_classes == 12


def test_a_class_for_testing_only_is_told(tmp_path):
    source = save(tmp_path / "own.npz", np.arange(24) % 3, test_y=np.array([0, 1, 2, 3]))
    with pytest.raises(GatefoldError, match="no image of class 3 to train on"):
        load_training(source)


def test_labels_and_names_of_another_network(three):
    assert load_test(three, 3, ["cat", "dog", "guinea pig"])[1].tolist() == [0, 1, 2, 0]
    with pytest.raises(GatefoldError, match="labels up to 2 and the network tells 2 classes apart"):
        load_test(three, 2)
    with pytest.raises(GatefoldError, match="names other classes than the network, or in another order"):
        load_test(three, 3, ["dog", "cat", "guinea pig"])


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_labels_beyond_the_classes_are_no_accuracy_of_0(command, tmp_path, capsys):
    np.savez(tmp_path / "own.npz", x=np.zeros((2, 32, 32, 3), np.uint8), y=[9, 10])
    more = ["--no-synthesis", "--pictures", str(tmp_path / "pictures")] if command == "report" else []
    assert main([command, "resnet8", "--data", str(tmp_path / "own.npz"), *more]) == 2
    captured = capsys.readouterr()
    assert "labels up to 10 and the network tells 10 classes apart" in captured.err and captured.err.count("\n") == 1


def test_names_end_beside_the_weights_and_in_the_deploy_folder(three, tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*TRAIN, "--data", three, "--output", str(run)]) == 0
    record = read_record(run / "resnet8.safetensors")
    assert record["class_names"] == ["cat", "dog", "guinea pig"] and record["num_classes"] == 3
    assert class_names(record, 3) == ["cat", "dog", "guinea pig"]
    capsys.readouterr()
    weights = ["--checkpoint", str(run / "resnet8.safetensors")]
    assert main(["evaluate", "resnet8", *weights, "--data", three]) == 0
    other = save(tmp_path / "other.npz", np.arange(24) % 3, class_names=np.array(["dog", "cat", "guinea pig"]))
    assert main(["evaluate", "resnet8", *weights, "--data", other]) == 2
    assert "in another order" in capsys.readouterr().err
    (tmp_path / "names.txt").write_text("a\nb\nc\nd\n")
    named = ["--classes", str(tmp_path / "names.txt"), "--mirror", "on"]
    for options, folder in (([], "one"), (["--seeds", "0"], "many")):
        assert main([*TRAIN, "--data", three, *named, "--output", str(tmp_path / folder), *options]) == 0
    for weights in (tmp_path / "one" / "resnet8.safetensors", tmp_path / "many" / "seed-0" / "resnet8.safetensors"):
        record = read_record(weights)
        assert record["class_names"] == ["a", "b", "c", "d"] and record["num_classes"] == 4 and record["settings"]["mirror"]
    search = [
        "search",
        "resnet8",
        "--checkpoint",
        str(weights),
        "--data",
        three,
        "--images",
        "8",
        "--calibration",
        "8",
        "--jobs",
        "1",
    ]
    assert main([*search, "--points", "2", "--threshold", "0.99", "--output", str(tmp_path / "search")]) == 0
    assert read_record(tmp_path / "search" / "resnet8.safetensors")["class_names"] == ["a", "b", "c", "d"]


def test_names_that_a_deploy_folder_shows():
    assert class_names({"data": "cifar10"}, 10) == list(CLASSES)
    assert class_names({"data": "own"}, 3) == class_names({}, 3) == ["0", "1", "2"]
    assert class_names({"data": "cifar10"}, 3) == ["0", "1", "2"]
    assert class_names({"data": "cifar10", "class_names": list("abcdefghij")}, 10) == list("abcdefghij")


@pytest.mark.parametrize("name, mirrored", [("cifar10", True), ("tiny-imagenet", True), ("imagenet", True), ("svhn", False),
                                            ("digits", False), ("own", False)])  # fmt: skip
@pytest.mark.parametrize("given", [None, True, False])
def test_images_are_mirrored_where_that_is_known_or_asked_for(name, mirrored, given, tmp_path, monkeypatch):
    """What the augmentation is really told, and what the record says, also after going on."""
    x, y = np.zeros((16, 32, 32, 3), np.uint8), np.arange(16) % 2
    seen = set()
    crop = augment.crop_and_flip
    monkeypatch.setattr(augment, "crop_and_flip", lambda *a: seen.add(a[4]) or crop(*a))
    method = WeNet(full_epochs=0, float_epochs=0, epochs=2, samples=1)
    for resume in (False, True):
        settings = Settings("resnet8", batch=2, steps=1, held_out=0, mirror=None if resume else given)
        trainer = Trainer(settings, method, Dataset(name, x, y, x[:2], y[:2]), tmp_path, resume=resume)
        trainer.run_epoch()
        assert trainer.settings.record(method)["mirror"] is (mirrored if given is None else given) and not trainer.changed
    assert seen == {mirrored if given is None else given}


@pytest.mark.parametrize("name, mirror", [("cifar10", False), ("own", True)])
def test_the_last_statistics_are_of_images_as_training_saw_them(name, mirror, tmp_path, monkeypatch):
    """Statistics from moved crops: mirrored if training mirrored."""
    x, y = np.zeros((16, 32, 32, 3), np.uint8), np.arange(16) % 2
    settings = Settings("resnet8", batch=2, steps=1, held_out=0, mirror=mirror)
    trainer = Trainer(
        settings, WeNet(full_epochs=0, float_epochs=0, epochs=1, samples=1), Dataset(name, x, y, x[:2], y[:2]), tmp_path
    )
    trainer.run_epoch()
    seen = set()
    crop = augment.crop_and_flip
    monkeypatch.setattr(augment, "crop_and_flip", lambda *a, flip, move: seen.add((move, flip)) or crop(*a, flip=flip, move=move))
    trainer.finish("train")
    assert (True, mirror) in seen and (True, not mirror) not in seen and (False, True) not in seen


def test_a_run_from_before_the_choice_goes_on_as_it_was(tmp_path):
    x, y = np.zeros((16, 32, 32, 3), np.uint8), np.arange(16) % 2
    method = WeNet(full_epochs=0, float_epochs=0, epochs=2, samples=1)

    def trainer(mirror, resume):
        settings = Settings("resnet8", batch=2, steps=1, held_out=0, mirror=mirror)
        return Trainer(settings, method, Dataset("own", x, y, x[:2], y[:2]), tmp_path, resume=resume)

    trainer(None, False).run_epoch()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del state["settings"]["mirror"]
    torch.save(state, tmp_path / "checkpoint.pt")
    assert trainer(None, True).settings.mirror is True
    assert trainer(False, True).changed == {"mirror": (True, False)}


@pytest.mark.parametrize("option", ["on", "off"])
def test_mirror_from_the_command_line(option, three, tmp_path, capsys):
    assert main([*TRAIN, "--data", three, "--mirror", option, "--output", str(tmp_path / "run")]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["mirror"] is (option == "on")
