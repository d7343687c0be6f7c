"""Pictures of a folder as 8-bit RGB or grey: upright, 16-bit grey scaled, and none with anything that RGB cannot hold."""

import warnings
from pathlib import Path
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from board.errors import BoardError, reading

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".webp")
FORMATS = ("PNG", "JPEG", "MPO", "BMP", "PPM", "WEBP")  # MPO: a JPEG with further pictures, from cameras
GREY, RGB = 1, 3  # colours that a picture can be had in


def list_pictures(folder: Path) -> List[Path]:
    """The pictures of a folder, by name.

    Raises:
        BoardError: there is none.
    """
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise BoardError(f"{folder} holds no picture ({', '.join(SUFFIXES)}); name another folder.")
    return files


def read_pictures(files: Sequence[Path], shape: Tuple[int, int, int], chunk: int) -> Iterator[np.ndarray]:
    """Pictures in order: uint8 [n, *shape], n up to `chunk`.

    Args:
        shape: (height, width, colours); 3 colours are RGB, one is grey.

    Raises:
        BoardError: one is not readable, not of that size, or not to be had in those colours.
    """
    if shape[2] not in (GREY, RGB):
        raise BoardError(f"the network takes images of {shape[2]} colours, which no picture has; give an .npz file.")
    for at in range(0, len(files), chunk):
        yield np.stack([_read(file, shape) for file in files[at : at + chunk]])


def _read(file, shape):
    height, width, colours = shape
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise BoardError("Pillow is missing, which reads pictures; install it (pip install pillow) or give an .npz file.") from None
    if not file.is_file():
        raise BoardError(f"{file} is no file; remove it, or name another folder.")
    with reading(file, "picture", "remove it or save it again"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sizes that are told below
        with Image.open(file) as picture:
            picture.verify()  # the checksums of a PNG, which are not looked at otherwise
        with Image.open(file) as picture:
            if picture.format not in FORMATS:
                raise BoardError(f"{file} holds {picture.format}; save it as PNG.")
            if picture.size != (width, height):
                raise BoardError(
                    f"{file} is {picture.width}x{picture.height} pixels, the network takes {width}x{height}; "
                    f"resize it to {width}x{height}."
                )
            pixels = _rgb(ImageOps.exif_transpose(picture), file)
    if pixels.shape[:2] != (height, width):
        raise BoardError(f"{file} lies on its side; save it upright, {width}x{height} pixels.")
    if colours == RGB:
        return pixels
    if (pixels != pixels[:, :, :1]).any():
        raise BoardError(f"{file} has colours and the network takes grey pictures; convert it.")
    return pixels[:, :, :1]


def _rgb(picture, file):
    """uint8 [height, width, 3] of a picture of any mode."""
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow's convert would clip
        grey = np.asarray(picture).astype(np.int64)
        if grey.min() < 0 or grey.max() > 0xFFFF:
            raise BoardError(f"{file} has values from {grey.min()} to {grey.max()}; save it with 8 or 16 bits a pixel.")
        return np.repeat((grey >> 8).astype(np.uint8)[:, :, None], 3, axis=2)  # the upper byte, as Pillow does with 16-bit colours
    if picture.mode == "F":
        raise BoardError(f"{file} has values in floating point; save it with 8 or 16 bits a pixel.")
    if picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        if (np.asarray(picture.convert("RGBA"))[:, :, 3] < 255).any():
            raise BoardError(f"{file} is transparent in places; lay it on a background and save it without transparency.")
    return np.asarray(picture.convert("RGB"), np.uint8)
