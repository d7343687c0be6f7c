"""Reading data sets."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from flow.data import cifar10, load, load_test
from flow.errors import GatefoldError


def test_digits_need_no_network():
    data = load("digits")
    assert data.train_x.shape == (1437, 32, 32, 3) and data.train_x.dtype == np.uint8
    assert data.test_x.shape == (360, 32, 32, 3) and data.num_classes == 10
    assert data.train_x.max() == 255
    assert np.array_equal(load("digits").test_y, data.test_y)


def test_cifar10_archive(tmp_path, monkeypatch):
    """The layout of the published archive: rows of 3072 bytes, planes R, G, B."""
    images = np.random.default_rng(0).integers(0, 256, (6, 3072), dtype=np.uint8)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for i, name in enumerate([*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"]):
            content = pickle.dumps({b"data": images[i : i + 1], b"labels": [i]})
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(cifar10, "_archive", lambda: str(archive))
    data = load("cifar10")
    assert data.train_x.shape == (5, 32, 32, 3) and data.train_y.tolist() == [0, 1, 2, 3, 4]
    assert data.test_y.tolist() == [5]
    assert np.array_equal(data.test_x[0, :, :, 1].reshape(-1), images[5, 1024:2048])


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("GATEFOLD_CACHE", str(tmp_path))
    assert cifar10.cache_folder() == tmp_path


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
        ({"x": np.zeros((3, 28, 28, 3), np.uint8), "y": np.zeros(3)}, r"\[3, 28, 28, 3\]"),
        ({"x": np.zeros((3, 32, 32, 3), np.uint8), "y": np.zeros(2)}, "one each"),
        ({"images": np.zeros(1)}, "lacks images and labels"),
    ],
)
def test_bad_npz(tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(GatefoldError, match=message):
        load_test(str(tmp_path / "bad.npz"))


def test_damaged_and_incomplete_npz(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 32, 32, 3), np.uint8), y=np.zeros(3))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:2000])
    with pytest.raises(GatefoldError, match="cannot be read"):
        load_test(str(tmp_path / "cut.npz"))
    with pytest.raises(GatefoldError, match="lacks train_x"):
        load(str(tmp_path / "a.npz"))
