"""Arrays from an .npz file that may be damaged, foreign or giant."""

import math
import os
import zipfile
from pathlib import Path

import numpy as np

from flow.errors import GatefoldError
from flow.files import check_file

# Deflate makes at most 1032 bytes of one.
LARGEST_RATIO = 1032


def read_npz(path: str | Path, keys: tuple[str, ...], remedy: str) -> dict[str, np.ndarray]:
    """Those of the named arrays that a file holds; the others in it are not read.

    Nothing is allocated before the header of an array agrees with the space that it takes in the file.

    Args:
        remedy: for the sentence where there is no such file.

    Raises:
        GatefoldError: it cannot be read, or holds more than the memory of this machine.
    """
    check_file(path, remedy)
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = {key: members[key] for key in keys if key in members}
            needed = sum(_bytes(archive, info) for info in wanted.values())
            if needed > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
                raise GatefoldError(f"{path} holds {needed / 1e9:.0f} GB, more than the memory of this machine; give a part of it.")
            return {key: _read(archive, info) for key, info in wanted.items()}
    except GatefoldError:
        raise
    except (Exception, MemoryError):  # zipfile and numpy raise many kinds for a damaged file
        raise GatefoldError(f"{path} cannot be read as an .npz file; save it again with numpy.savez.") from None


def _bytes(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Size of an array; ValueError where its header and the file disagree about that."""
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
        start = file.tell()
    size = math.prod(shape) * dtype.itemsize
    held = info.compress_size * (1 if info.compress_type == zipfile.ZIP_STORED else LARGEST_RATIO)
    if dtype.hasobject or min(shape, default=0) < 0 or size != info.file_size - start or size > held:
        raise ValueError(info.filename)
    return size


def _read(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as file:
        array = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):  # reads to the end, where the checksum is compared
            raise ValueError(info.filename)
    return array
