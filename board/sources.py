"""Where pictures come from, one after another for as long as they are wanted: files, or a camera."""

from pathlib import Path
from typing import Iterator, Optional, Tuple, Union

import numpy as np

from board.deploy import Deploy
from board.errors import BoardError
from board.images import MAX_FRAMES, load_images

Frames = Tuple[np.ndarray, Optional[np.ndarray]]
"""uint8 [N, height, width, colours], and labels int64 [N], -1 where unknown; or None where there are none."""


class FileSource:
    """Images of an .npz or .npy file, or of a folder of pictures; from the start again after the last.

    Args:
        deploy: what runs them.
        path: None for the samples of the build.

    Raises:
        BoardError: it holds no images for this network.
    """

    def __init__(self, deploy: Deploy, path: Union[str, Path, None] = None):
        self._images = load_images(path or deploy.samples, MAX_FRAMES, deploy.picture.shape, len(deploy.classes))
        self._at = 0
        self._waiting: Iterator[np.ndarray] = iter(())

    def take(self, count: int) -> Frames:
        """The next `count` pictures."""
        labels = self._images.labels
        index = (self._at + np.arange(count)) % len(labels)
        self._at += count
        return np.stack([self._next() for _ in range(count)]), labels[index]

    def close(self) -> None:
        """Nothing is held."""

    def _next(self):
        picture = next(self._waiting, None)
        if picture is None:
            self._waiting = (picture for chunk in self._images.read() for picture in chunk)
            picture = next(self._waiting)
        return picture


class CameraSource:
    """The newest pictures of a camera, or those of a film: the largest square in the middle, made as small as the network's.

    Args:
        deploy: what runs them.
        camera: number of the camera as Video4Linux counts (0: /dev/video0), or path of a film.

    Raises:
        BoardError: there is no OpenCV, no such camera, or the network takes pictures that no camera makes.
    """

    def __init__(self, deploy: Deploy, camera: Union[int, str] = 0):
        self._height, self._width, self._colours = deploy.picture.shape
        if self._colours == 2:
            raise BoardError(f"{deploy.model} takes pictures of 2 colours, which no camera makes; use a file.")
        try:
            import cv2
        except ImportError:
            raise BoardError(
                "a camera needs OpenCV, which the images of PYNQ hold; type: pip install opencv-python-headless."
            ) from None
        self._cv2, self._camera = cv2, camera
        self._capture = cv2.VideoCapture(camera)
        if not self._capture.isOpened():
            raise BoardError(f"camera {camera} does not open; plug one in and look with: ls /dev/video*.")

    def take(self, count: int) -> Frames:
        """The next `count` pictures; a film begins again after its last."""
        return np.stack([self._next() for _ in range(count)]), None

    def close(self) -> None:
        """Lets go of the camera."""
        self._capture.release()

    def _next(self):
        cv2 = self._cv2
        found, picture = self._capture.read()
        if not found and self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0):
            found, picture = self._capture.read()
        if not found:
            raise BoardError(f"camera {self._camera} gives no picture; plug it in again.")
        height, width = picture.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = picture[top : top + side, left : left + side]
        small = cv2.resize(square, (self._width, self._height), interpolation=cv2.INTER_AREA)
        if self._colours == 1:
            return cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)[..., None]
        return cv2.cvtColor(small, cv2.COLOR_BGR2RGB)


def open_source(deploy: Deploy, source: Union[None, int, str, Path] = None) -> Union[FileSource, CameraSource]:
    """A source: None for the samples of the build, a number for a camera, a path for files."""
    return CameraSource(deploy, source) if isinstance(source, int) else FileSource(deploy, source)
