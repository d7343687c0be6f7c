"""CIFAR-10 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009) from the published archive."""

import os
import pickle
import tarfile
from pathlib import Path

import numpy as np

from flow.errors import GatefoldError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CHECKSUM = "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


def cache_folder() -> Path:
    """Where downloads are kept: $GATEFOLD_CACHE, or ~/.cache/gatefold."""
    return Path(os.environ.get("GATEFOLD_CACHE") or Path.home() / ".cache" / "gatefold")


class _Bar:
    """Download progress in the shape that pooch expects."""

    total = 0

    def __init__(self):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("CIFAR-10"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = None

    def update(self, count: int) -> None:
        """``count`` more bytes have come."""
        if self._task is None:
            self._progress.start()
            self._task = self._progress.add_task("download", total=self.total)
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        """Back to zero."""
        if self._task is not None:
            self._progress.reset(self._task)

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()


def _archive() -> str:
    import pooch

    pooch.get_logger().setLevel("WARNING")
    bar = _Bar()
    try:
        downloader = pooch.HTTPDownloader(progressbar=bar, timeout=60)
        return pooch.retrieve(URL, CHECKSUM, fname="cifar-10-python.tar.gz", path=cache_folder(), downloader=downloader)
    except Exception as error:  # pooch passes on what its transport raises
        raise GatefoldError(
            f"CIFAR-10 could not be downloaded ({type(error).__name__}); put cifar-10-python.tar.gz into {cache_folder()}, "
            "or give --data FILE.npz."
        ) from error
    finally:
        bar.close()


def load_cifar10() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """train_x uint8 [50000, 32, 32, 3], train_y int64 [50000], test_x [10000, 32, 32, 3], test_y [10000]."""
    batches = {}
    with tarfile.open(_archive()) as tar:
        for member in tar:
            name = member.name.rsplit("/", 1)[-1]
            if name.startswith("data_batch_") or name == "test_batch":
                batches[name] = pickle.load(tar.extractfile(member), encoding="bytes")

    def gather(names):
        images = np.concatenate([batches[name][b"data"] for name in names])
        labels = np.concatenate([np.array(batches[name][b"labels"], dtype=np.int64) for name in names])
        return np.ascontiguousarray(images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)), labels

    return *gather(sorted(name for name in batches if name != "test_batch")), *gather(["test_batch"])
