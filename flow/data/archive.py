"""Published archives, downloaded once into a cache and checked."""

import os
from pathlib import Path

from flow.errors import GatefoldError


def cache_folder() -> Path:
    """Where downloads are kept: $GATEFOLD_CACHE, or ~/.cache/gatefold."""
    return Path(os.environ.get("GATEFOLD_CACHE") or Path.home() / ".cache" / "gatefold")


class _Bar:
    """Download progress in the shape that pooch expects."""

    total = 0

    def __init__(self, label: str):
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn(label), BarColumn(), DownloadColumn(), TimeRemainingColumn())
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


def fetch(label: str, url: str, checksum: str) -> str:
    """Path of a published file in the cache; downloaded when it is not there.

    Args:
        label: what to call the data set.
        url: its address; checksum: ``"sha256:..."`` or ``"md5:..."`` of its content.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    name = url.rsplit("/", 1)[-1]
    bar = _Bar(label)
    try:
        downloader = pooch.HTTPDownloader(progressbar=bar, timeout=60)
        return pooch.retrieve(url, checksum, fname=name, path=cache_folder(), downloader=downloader)
    except Exception as error:  # pooch passes on what its transport raises
        # A wrong checksum is its only ValueError.
        reason = (
            "is not what was published" if isinstance(error, ValueError) else f"could not be downloaded ({type(error).__name__})"
        )
        raise GatefoldError(f"{label}: {name} {reason}; put {name} into {cache_folder()}, or give --data FILE.npz.") from error
    finally:
        bar.close()
