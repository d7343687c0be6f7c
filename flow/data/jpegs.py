"""Pictures that stay in their archive until they are asked for."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

SHORTER_SIDE = 256


@dataclass(frozen=True)
class Jpegs:
    """A part of an uncompressed tar file, as an array uint8 [N, size, size, 3] that is decoded by ``np.asarray``.

    Pictures are scaled to ``SHORTER_SIDE`` and cut to their centre. An index or a slice gives another ``Jpegs``.

    Attributes:
        path: of the tar file.
        places: int64 [N, 2], first byte of each picture and its length.
        size: height and width.
    """

    path: str
    places: np.ndarray
    size: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the decoded array."""
        return len(self.places), self.size, self.size, 3

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index) -> "Jpegs":
        return Jpegs(self.path, self.places[index].reshape(-1, 2), self.size)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        with open(self.path, "rb") as file, ThreadPoolExecutor(os.cpu_count()) as pool:
            decoded = pool.map(lambda place: self._decode(os.pread(file.fileno(), int(place[1]), int(place[0]))), self.places)
            images = np.empty(self.shape, np.uint8)
            for image, pixels in zip(images, decoded):
                image[:] = pixels
        return images if dtype is None else images.astype(dtype)

    def _decode(self, content: bytes) -> np.ndarray:
        from PIL import Image

        with Image.open(io.BytesIO(content)) as picture:
            scale = SHORTER_SIDE / min(picture.size)
            width, height = (max(self.size, round(side * scale)) for side in picture.size)
            scaled = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.size) // 2, (height - self.size) // 2
        return np.asarray(scaled.crop((left, top, left + self.size, top + self.size)))
