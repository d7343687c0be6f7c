"""Reading data sets."""

import hashlib
import http.server
import io
import pickle
import tarfile
import threading
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from flow.data import archive, cifar10, imagenet, load, load_test, svhn, tiny_imagenet
from flow.data.held_out import split
from flow.errors import GatefoldError
from flow.training.methods.wenet import WeNet
from flow.training.trainer import Settings, Trainer


def test_digits_need_no_network():
    data = load("digits")
    assert data.train_x.shape == (1437, 32, 32, 3) and data.train_x.dtype == np.uint8
    assert data.test_x.shape == (360, 32, 32, 3) and data.num_classes == 10
    assert data.train_x.max() == 255
    assert np.array_equal(load("digits").test_y, data.test_y)


def test_cifar10_archive(tmp_path, monkeypatch):
    """The layout of the published archive: rows of 3072 bytes, planes R, G, B."""
    images = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
    path = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
            content = pickle.dumps({b"data": images[i : i + 1], b"labels": [i]})
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(cifar10, "fetch", lambda *_: str(path))
    data = load("cifar10")
    assert data.train_x.shape == (5, 32, 32, 3) and data.train_y.tolist() == [0, 1, 2, 3, 4]
    assert data.test_y.tolist() == [5]
    assert np.array_equal(data.test_x[0, :, :, 1].reshape(-1), images[5, 1024:2048])


def test_svhn_files(tmp_path, monkeypatch):
    """The layout of the published files: X [32, 32, 3, N], y [N, 1] with 10 for the digit zero."""
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    parts = {"train_32x32.mat": (0, 3), "extra_32x32.mat": (3, 5), "test_32x32.mat": (5, 6)}
    labels = np.array([[1], [10], [9], [2], [3], [10]])
    for name, (start, end) in parts.items():
        savemat(tmp_path / name, {"X": images[start:end].transpose(1, 2, 3, 0), "y": labels[start:end]})
    monkeypatch.setattr(svhn, "fetch", lambda label, url, checksum: str(tmp_path / url.rsplit("/", 1)[-1]))
    data = load("svhn")
    assert np.array_equal(data.train_x, images[:5]) and data.train_y.tolist() == [1, 0, 9, 2, 3]
    assert np.array_equal(data.test_x, images[5:]) and data.test_y.tolist() == [0]
    assert not data.mirrored
    (tmp_path / "test_32x32.mat").write_bytes(b"cut off")
    with pytest.raises(GatefoldError, match="delete it"):
        load("svhn")


def test_tiny_imagenet_archive(tmp_path, monkeypatch):
    path = tmp_path / "tiny-imagenet-200.zip"
    root = "tiny-imagenet-200"

    def picture(level, mode="RGB"):
        content = io.BytesIO()
        Image.new(mode, (64, 64), level).save(content, "JPEG")
        return content.getvalue()

    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{root}/wnids.txt", "n02\nn01\n")
        file.writestr(f"{root}/train/n01/images/n01_0.JPEG", picture((10, 20, 30)))
        file.writestr(f"{root}/train/n02/images/n02_0.JPEG", picture(200, "L"))  # some are grey
        file.writestr(f"{root}/train/n02/n02_boxes.txt", "")
        file.writestr(f"{root}/val/images/val_0.JPEG", picture((90, 90, 90)))
        file.writestr(f"{root}/val/val_annotations.txt", "val_0.JPEG\tn02\t0\t0\t63\t63\n")
    monkeypatch.setattr(tiny_imagenet, "fetch", lambda *_: str(path))
    data = load("tiny-imagenet")
    assert data.train_x.shape == (2, 64, 64, 3) and data.train_y.tolist() == [1, 0]
    assert abs(int(data.train_x[0, 0, 0, 2]) - 30) < 4 and abs(int(data.train_x[1, 5, 5, 0]) - 200) < 4
    assert data.test_y.tolist() == [0] and data.mirrored


@pytest.fixture
def imagenet_archives(tmp_path, monkeypatch):
    """The three archives with two classes, one synset that is none, three training pictures and two test pictures."""
    monkeypatch.setenv("GATEFOLD_CACHE", str(tmp_path))
    folder = tmp_path / "imagenet"
    folder.mkdir()

    def picture(size, level):
        content = io.BytesIO()
        Image.new("RGB", size, (level, level, level)).save(content, "JPEG")
        return content.getvalue()

    def pack(mode, files):
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode=mode) as file:
            for name, data in files:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))
        return content.getvalue()

    fields = [("ILSVRC2012_ID", int), ("WNID", object), ("num_children", int)]
    meta = io.BytesIO()
    savemat(meta, {"synsets": np.array([(1, "n02", 0), (2, "n01", 0), (3, "n00", 2)], fields)})
    devkit = [("kit/data/meta.mat", meta.getvalue()), ("kit/data/ILSVRC2012_validation_ground_truth.txt", b"1\n2\n")]
    first = pack("w", [("n01_7.JPEG", picture((300, 500), 40)), ("n01_9.JPEG", picture((100, 80), 80))])
    second = pack("w", [("n02_1.JPEG", picture((256, 256), 120))])
    test = [("ILSVRC2012_val_00000002.JPEG", picture((400, 300), 200)), ("ILSVRC2012_val_00000001.JPEG", picture((300, 400), 160))]
    contents = {
        imagenet.TRAIN: pack("w", [("n02.tar", second), ("n01.tar", first)]),
        imagenet.TEST: pack("w", test),
        imagenet.DEVKIT: pack("w:gz", devkit),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
        monkeypatch.setitem(imagenet.CHECKSUMS, name, hashlib.md5(content).hexdigest())
    return folder


def test_imagenet_archives_are_read_in_place(imagenet_archives, monkeypatch):
    data = load("imagenet")
    assert data.train_x.shape == (3, 256, 256, 3) and data.test_x.shape == (2, 224, 224, 3) and data.image_size == 224
    assert data.train_y.tolist() == [1, 0, 0] and data.test_y.tolist() == [1, 0]
    assert [round(float(image.mean()) / 40) for image in np.asarray(data.train_x)] == [3, 1, 2]
    assert [round(float(image.mean()) / 40) for image in np.asarray(data.test_x)] == [4, 5]
    part = np.asarray(data.train_x[np.array([2, 0])][:1])
    assert part.shape == (1, 256, 256, 3) and part.dtype == np.uint8 and abs(float(part.mean()) - 80) < 3
    for name in imagenet.CHECKSUMS:
        monkeypatch.setitem(imagenet.CHECKSUMS, name, "checked once")
    assert load("imagenet").train_y.tolist() == [1, 0, 0]
    rest, held, labels = split(data, 1)
    assert len(rest.train_x) == 2 and len(held) == len(labels) == 1


def test_imagenet_missing_or_damaged(imagenet_archives):
    path = imagenet_archives / imagenet.TEST
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(GatefoldError, match="damaged"):
        load("imagenet")
    path.unlink()
    with pytest.raises(GatefoldError, match=f"lacks {path.name}: it needs an account"):
        load("imagenet")
    assert not (imagenet_archives / imagenet.INDEX).exists()


def test_imagenet_trains(imagenet_archives, tmp_path):
    method = WeNet(full_epochs=1, float_epochs=0, epochs=1, samples=2)
    trainer = Trainer(Settings("mobilenet_v2", batch=2, steps=1), method, load("imagenet"), tmp_path / "run")
    assert np.isfinite(trainer.run_epoch()["loss"]).all()
    record = trainer.run_epoch()
    assert record["phase"] == "4-bit" and len(record["loss"]) == 2 and np.isfinite(record["loss"]).all()
    with pytest.raises(GatefoldError, match="resnet8 takes images of 32x32 pixels and imagenet has 224x224"):
        Trainer(Settings("resnet8", batch=2), method, load("imagenet"), tmp_path / "other")


def test_fetch_checks_what_it_downloads_once(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEFOLD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "images.zip").write_bytes(b"pictures")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "published"))
    monkeypatch.setattr(handler.func, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(GatefoldError, match="not what was published.*put images.zip"):
            archive.fetch("Some images", f"{site}/images.zip", "sha256:" + hashlib.sha256(b"others").hexdigest())
        assert not (tmp_path / "cache" / "images.zip").exists()
        with pytest.raises(GatefoldError, match="could not be downloaded.*put absent.zip into"):
            archive.fetch("Some images", f"{site}/absent.zip", "sha256:" + "0" * 64)
        right = "sha256:" + hashlib.sha256(b"pictures").hexdigest()
        path = archive.fetch("Some images", f"{site}/images.zip", right)
        server.shutdown()
    with open(path, "rb") as file:
        assert file.read() == b"pictures"
    assert archive.fetch("Some images", f"{site}/images.zip", right) == path  # without the server


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEFOLD_CACHE", str(tmp_path))
    assert archive.cache_folder() == tmp_path


def test_npz_for_evaluation(tmp_path):
    x, y = np.zeros((3, 32, 32, 3), np.uint8), np.array([1, 2, 3], np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=y)
    np.savez(tmp_path / "b.npz", test_x=x, test_y=y)
    for name in ("a.npz", "b.npz"):
        images, labels = load_test(str(tmp_path / name))
        assert images.shape == x.shape and labels.tolist() == [1, 2, 3] and labels.dtype == np.int64


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({"x": np.zeros((3, 32, 32, 3), np.float32), "y": np.zeros(3)}, "uint8"),
        ({"x": np.zeros((3, 32, 32), np.uint8), "y": np.zeros(3)}, r"\[3, 32, 32\]"),
        ({"x": np.uint8(3), "y": np.zeros(3)}, r"shape \[\]"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array(["cat", "dog"])}, "labels of type <U3; save integers"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([b"cat", b"dog"])}, "labels of type .S3; save integers"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([True, False])}, "labels of type bool; save integers"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array(["2020", "2021"], "M8[Y]")}, "labels of type datetime"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([0, np.nan])}, "labels of type float64; save integers"),
        (
            {"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([0, 2**63], np.uint64)},
            "the label 9223372036854775808; save integers",
        ),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([0, 2**40])}, "the label 1099511627776; save integers"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([[0], [1]])}, r"labels of shape \[2, 1\]; save one each"),
        ({"x": np.array([None]), "y": np.array([0])}, "cannot be read as an .npz file"),
        ({"x": np.zeros((3, 28, 28, 3), np.uint8), "y": np.zeros(3)}, r"\[3, 28, 28, 3\]"),
        ({"x": np.zeros((3, 32, 32, 3), np.uint8), "y": np.zeros(2)}, "one each"),
        ({"images": np.zeros(1)}, "lacks images and labels"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([1, -1])}, "integers from 0 on"),
        ({"x": np.zeros((2, 32, 32, 3), np.uint8), "y": np.array([1.0, 2.0])}, "integers from 0 on"),
        ({"x": np.zeros((0, 32, 32, 3), np.uint8), "y": np.zeros(0, np.int64)}, "holds no images"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(GatefoldError, match=message):
        load_test(str(tmp_path / "bad.npz"))


def test_damaged_and_incomplete_npz(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 32, 32, 3), np.uint8), y=np.zeros(3, np.int64))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:2000])
    with pytest.raises(GatefoldError, match="cannot be read"):
        load_test(str(tmp_path / "cut.npz"))
    with pytest.raises(GatefoldError, match="lacks train_x"):
        load(str(tmp_path / "a.npz"))
