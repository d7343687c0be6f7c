"""Images for the accelerator, from an .npz file or a folder of pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from board.deploy import IMAGE_SHAPE
from board.errors import BoardError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp")
HEIGHT, WIDTH, _ = IMAGE_SHAPE


@dataclass(frozen=True)
class Images:
    """Attributes:
        pixels: uint8 [N, 32, 32, 3].
        labels: int64 [N], -1 where unknown.
        names: one per image.
    """

    pixels: np.ndarray
    labels: np.ndarray
    names: list

    def take(self, count):
        """The first `count` images; from the start again where there are fewer."""
        index = np.arange(count) % len(self.pixels)
        return Images(self.pixels[index], self.labels[index], [self.names[i] for i in index])


def load_images(path):
    """Images of an .npz (keys x and optionally y, or test_x and test_y) or of a folder of 32 × 32 pictures.

    Raises:
        BoardError: nothing there, wrong size, or not readable.
    """
    path = Path(path)
    if path.is_dir():
        return _from_folder(path)
    if not path.is_file():
        raise BoardError(f"{path} does not exist; name a folder of 32x32 pictures or an .npz file with the key x.")
    return _from_npz(path)


def _from_npz(path):
    try:
        with np.load(path, allow_pickle=False) as archive:
            image_key = next((key for key in ("x", "test_x") if key in archive), None)
            if image_key is None:
                raise BoardError(f"{path} has no key x; save the images with numpy.savez(file, x=uint8 [N, 32, 32, 3]).")
            pixels = archive[image_key]
            label_key = image_key.replace("x", "y")
            labels = archive[label_key] if label_key in archive else np.full(len(pixels), -1)
            names = archive["names"].tolist() if "names" in archive else [f"{path.name}[{i}]" for i in range(len(pixels))]
    except (ValueError, OSError, EOFError) as problem:
        raise BoardError(f"{path} is no readable .npz file ({problem}); save it again with numpy.savez.") from None
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != IMAGE_SHAPE:
        raise BoardError(f"the images of {path} are {pixels.dtype} {list(pixels.shape)}; give uint8 [N, 32, 32, 3].")
    if not len(pixels):
        raise BoardError(f"{path} holds no image; give at least one.")
    if labels.shape != (len(pixels),):
        raise BoardError(f"{path} has {labels.shape} labels for {len(pixels)} images; give one per image.")
    return Images(pixels, labels.astype(np.int64), names)


def _from_folder(folder):
    try:
        from PIL import Image
    except ImportError:
        raise BoardError("Pillow is missing, which reads pictures; install it (pip install pillow) or give an .npz file.") from None
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise BoardError(f"{folder} holds no picture ({', '.join(SUFFIXES)}); name another folder.")
    pixels = []
    for file in files:
        try:
            with Image.open(file) as picture:
                if picture.size != (WIDTH, HEIGHT):
                    raise BoardError(
                        f"{file} is {picture.width}x{picture.height} pixels, the network takes {WIDTH}x{HEIGHT}; "
                        f"resize it to {WIDTH}x{HEIGHT}."
                    )
                pixels.append(np.asarray(picture.convert("RGB"), np.uint8))
        except (OSError, SyntaxError) as problem:
            raise BoardError(f"{file} is no readable picture ({problem}); remove it or save it again.") from None
    return Images(np.stack(pixels), np.full(len(pixels), -1, np.int64), [file.name for file in files])
