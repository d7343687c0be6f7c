"""Images and labels of .npz and .npy files, which may be damaged, foreign or larger than memory.

The format is numpy's (numpy.lib.format). What a header claims is checked before anything of that size is read, and an array
is read to its end, where the archive's checksum stands.
"""

import contextlib
import io
import math
import warnings
import zipfile
from pathlib import Path
from typing import Iterator, Tuple

import numpy as np

from board.errors import BoardError, reading

MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000  # bytes, as in numpy
KEYS = ("x", "test_x")
REMEDY = "save it again with numpy.savez(file, x=images, y=labels)"


def read_labels(path: Path, shape: Tuple[int, int, int], classes: int, most: int) -> np.ndarray:
    """Labels of the images of a file, int64 [N], -1 where unknown.

    Args:
        shape: (height, width, colours) that its images have to have.
        most: images that a file may hold.

    Raises:
        BoardError: no images, wrong ones or too many, wrong labels, or the file is not readable.
    """
    with reading(path, "array file", REMEDY):
        count, label_key = _check_pixels(path, shape, most)
        if label_key is None:
            return np.full(count, -1, np.int64)
        with _array(path, label_key) as (shape, dtype, _, stream):
            if shape != (count,) or dtype.kind not in "iu":
                raise BoardError(
                    f"the labels of {path} are {dtype} {list(shape)} for {count} images; give one whole number per image."
                )
            labels = np.frombuffer(_exactly(stream, count * dtype.itemsize), dtype)
            _end(stream)
    low, high = int(labels.min()), int(labels.max())
    if low == 1 and high == classes:
        raise BoardError(f"the labels of {path} go from 1 to {classes}; subtract 1, the classes are 0 to {classes - 1}.")
    if low < -1 or high >= classes:
        raise BoardError(
            f"the labels of {path} go from {low} to {high}; the network's classes are 0 to {classes - 1} (-1: unknown)."
        )
    return labels.astype(np.int64)


def read_pixels(path: Path, image_shape: Tuple[int, int, int], chunk: int) -> Iterator[np.ndarray]:
    """The images of a file in order: uint8 [n, *image_shape], n up to `chunk`.

    Raises:
        BoardError: not readable.
    """
    with reading(path, "array file", REMEDY), _array(path, _image_key(path)) as (shape, _, _, stream):
        for at in range(0, shape[0], chunk):
            count = min(chunk, shape[0] - at)
            yield np.frombuffer(_exactly(stream, count * math.prod(image_shape)), np.uint8).reshape(count, *image_shape)
        _end(stream)


def _check_pixels(path, image_shape, most):
    """(number of images, key of their labels or None)."""
    key = _image_key(path)
    with _array(path, key) as (shape, dtype, fortran_order, _):
        if dtype != np.uint8 or len(shape) != 4 or shape[1:] != image_shape or shape[0] < 0:
            wanted = ", ".join(map(str, image_shape))
            raise BoardError(f"the images of {path} are {dtype} {list(shape)}; give uint8 [N, {wanted}].")
        if not shape[0]:
            raise BoardError(f"{path} holds no image; give at least one.")
        if shape[0] > most:
            raise BoardError(f"{path} holds {shape[0]:,} images; give at most {most:,}.")
        if fortran_order:
            raise BoardError(f"the images of {path} lie in Fortran's order; save numpy.ascontiguousarray(x).")
    if key is None:
        return shape[0], None
    label_key = key.replace("x", "y")
    return shape[0], label_key if label_key in _members(path) else None


def _is_npy(path):
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _members(path):
    """Keys of an .npz."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            archive.open(member).close()  # its name stands in two places: they must agree, or labels might get lost
        return [name[: -len(".npy")] for name in archive.namelist() if name.endswith(".npy")]


def _image_key(path):
    """Key of the images of an .npz; None for an .npy, which has only the images."""
    if _is_npy(path):
        return None
    key = next((key for key in KEYS if key in _members(path)), None)
    if key is None:
        raise BoardError(
            f"{path} has no key x; save the images with numpy.savez(file, x=images), uint8 [N, height, width, colours]."
        )
    return key


@contextlib.contextmanager
def _array(path, key):
    """(shape, dtype, whether in Fortran's order, stream of the data) of one array; key None: of an .npy."""
    with contextlib.ExitStack() as stack:
        if key is None:
            stream = stack.enter_context(path.open("rb"))
        else:
            archive = stack.enter_context(zipfile.ZipFile(path))
            member = archive.getinfo(f"{key}.npy")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"compression {member.compress_type} is none of numpy's")  # others unpack without bounds
            stream = stack.enter_context(archive.open(member))
        yield (*_header(stream), stream)


def _header(stream):
    """(shape, dtype, whether in Fortran's order) that an .npy stream begins with."""
    head = _exactly(stream, len(MAGIC) + 2)
    version = head[len(MAGIC) :]
    if head[: len(MAGIC)] != MAGIC or version not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError("it is no .npy of version 1 or 2")
    head += _exactly(stream, 2 if version == b"\x01\x00" else 4)
    length = int.from_bytes(head[len(MAGIC) + 2 :], "little")
    if length > LONGEST_HEADER:
        raise ValueError(f"its header has {length:,} bytes")
    file = io.BytesIO(head + _exactly(stream, length))
    np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == b"\x01\x00" else np.lib.format.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        shape, fortran_order, dtype = read(file)
    return shape, dtype, fortran_order


def _exactly(stream, size):
    data = stream.read(size)
    if len(data) < size:
        raise ValueError("it ends too early")
    return data


def _end(stream):
    """The stream must end here; at its end an archive compares its checksum."""
    if stream.read(1):
        raise ValueError("it holds more than its header says")
