"""Images for the accelerator, from an .npz or .npy file or a folder of pictures.

They are read as they are used, at most CHUNK at a time: a board has 512 MB. Before the first is used all have been read once,
so that what cannot be read is told before anything runs.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Iterator, Tuple, Union

import numpy as np

from board.arrays import read_labels, read_pixels
from board.errors import BoardError
from board.pictures import list_pictures, read_pictures

CHUNK = 4096  # images, 12 MB
MAX_FRAMES = 1_000_000


@dataclass(frozen=True)
class Images:
    """Attributes:
    labels: int64 [N], -1 where unknown.
    read: gives the N images in order, as uint8 [n, height, width, colours] with n up to CHUNK.
    """

    labels: np.ndarray
    read: Callable[[], Iterator[np.ndarray]]

    def batches(self, sizes: Iterable[int]) -> Iterator[np.ndarray]:
        """One uint8 [size, height, width, colours] for each of `sizes`, in order; from the start again where there are fewer images."""
        chunks = self._endless()
        left = next(chunks)
        for size in sizes:
            parts = []
            while size:
                if not len(left):
                    left = next(chunks)
                parts.append(left[:size])
                left = left[size:]
                size -= len(parts[-1])
            yield np.concatenate(parts)

    def _endless(self):
        while True:
            yield from self.read()


def load_images(path: Union[str, Path], count: int, shape: Tuple[int, int, int], classes: int) -> Images:
    """Up to `count` images of an .npz (keys x and optionally y, or test_x and test_y), an .npy or a folder of pictures.

    Args:
        shape: (height, width, colours) of the images that the network takes.
        classes: of the network; labels are 0 … classes - 1, and -1 where unknown.

    Raises:
        BoardError: nothing there, too much, wrong size or labels, or not readable.
    """
    path = Path(path)
    if path.is_dir():
        files = list_pictures(path)[:count]
        return _checked(np.full(len(files), -1, np.int64), lambda: read_pictures(files, shape, CHUNK))
    if not path.exists():
        raise BoardError(f"{path} does not exist; name a folder of {shape[1]}x{shape[0]} pictures or an .npz file with the key x.")
    if not path.is_file():
        raise BoardError(
            f"{path} is neither a file nor a folder; name a folder of {shape[1]}x{shape[0]} pictures or an .npz file with the key x."
        )
    return _checked(read_labels(path, shape, classes, MAX_FRAMES), lambda: read_pixels(path, shape, CHUNK))


def _checked(labels, read):
    """The Images, after all were read once; those of a single chunk are kept."""
    first = last = None
    for last in read():
        first = last if first is None else first
    return Images(labels, (lambda: iter((first,))) if first is last else read)
