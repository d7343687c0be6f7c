"""CIFAR-10 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009) from the published archive."""

import pickle
import tarfile

import numpy as np

from flow.data.archive import fetch

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CHECKSUM = "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """train_x uint8 [50000, 32, 32, 3], train_y int64 [50000], test_x [10000, 32, 32, 3], test_y [10000]."""
    batches = {}
    with tarfile.open(fetch("CIFAR-10", URL, CHECKSUM)) as tar:
        for member in tar:
            name = member.name.rsplit("/", 1)[-1]
            if name.startswith("data_batch_") or name == "test_batch":
                batches[name] = pickle.load(tar.extractfile(member), encoding="bytes")

    def gather(names):
        images = np.concatenate([batches[name][b"data"] for name in names])
        labels = np.concatenate([np.array(batches[name][b"labels"], dtype=np.int64) for name in names])
        return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels

    return *gather(sorted(name for name in batches if name != "test_batch")), *gather(["test_batch"])
