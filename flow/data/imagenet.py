"""ImageNet (ILSVRC 2012): 1000 classes; its validation images serve as test images. Read from the published archives, in place.

Training images are cut to 256 pixels, of which training takes moving crops, test images to 224.
"""

import hashlib
import io
import re
import tarfile
from functools import partial
from pathlib import Path

import numpy as np

from flow.atomic import write_atomically
from flow.data.archive import cache_folder
from flow.data.jpegs import SHORTER_SIDE, Jpegs
from flow.data.npz import read_npz
from flow.errors import GatefoldError

TRAIN, TEST, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
CHECKSUMS = {
    TRAIN: "1d675b47d978889d74fa0da5fadfb00e",
    TEST: "29b22e2961454d5413ddabcf34fc5622",
    DEVKIT: "fa75699e90414af021442c21a62c3abf",
}
"""MD5 sums."""
INDEX = "index.npz"
TEST_SIZE = 224


def load_imagenet() -> tuple[Jpegs, np.ndarray, Jpegs, np.ndarray]:
    """train_x [1281167, 256, 256, 3], train_y int64 [1281167], test_x [50000, 224, 224, 3], test_y int64 [50000].

    Classes are numbered in the order of their WordNet names. The first call checks the archives and notes where their pictures
    are, which takes some minutes.
    """
    folder = cache_folder() / "imagenet"
    missing = [name for name in CHECKSUMS if not (folder / name).is_file()]
    if missing:
        raise GatefoldError(
            f"ImageNet lacks {', '.join(missing)}: it needs an account at image-net.org and cannot be downloaded from here; "
            f"put its archives into {folder}."
        )
    index = _index(folder)
    train, test = Jpegs(str(folder / TRAIN), index["train"], SHORTER_SIDE), Jpegs(str(folder / TEST), index["test"], TEST_SIZE)
    return train, index["train_y"], test, index["test_y"]


def _index(folder: Path) -> dict[str, np.ndarray]:
    """Where pictures are in the archives, and their classes; kept beside the archives while these do not change."""
    state = np.array([[(folder / name).stat().st_size, (folder / name).stat().st_mtime_ns] for name in CHECKSUMS])
    kept = folder / INDEX
    try:
        index = read_npz(kept, ("state", "train", "train_y", "test", "test_y"), "")
        if len(index) == 5 and np.array_equal(index["state"], state):
            return index
    except GatefoldError:
        pass  # there is none yet, or it is damaged: it is made again
    for name, checksum in CHECKSUMS.items():
        _check(folder / name, checksum)
    names, truth = _devkit(folder / DEVKIT)
    classes = {name: i for i, name in enumerate(sorted(names.values()))}
    train, train_y = _training(folder / TRAIN, classes)
    test = _test(folder / TEST)
    if len(test) != len(truth):
        raise GatefoldError(f"{folder / TEST} holds {len(test)} pictures for {len(truth)} labels; fetch the archives again.")
    index = {"train": train, "train_y": train_y, "test": test, "test_y": np.array([classes[names[i]] for i in truth], np.int64)}

    def write(path):
        with path.open("wb") as file:
            np.savez(file, state=state, **index)

    write_atomically(kept, write, "type the command again")
    return index


def _check(path: Path, checksum: str) -> None:
    from rich.progress import wrap_file

    with path.open("rb") as raw, wrap_file(raw, path.stat().st_size, description=f"checking {path.name}", transient=True) as file:
        digest = hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False))
    if digest.hexdigest() != checksum:
        raise GatefoldError(f"{path} is damaged or of another version; fetch it again.")


def _devkit(path: Path) -> tuple[dict[int, str], list[int]]:
    """(number of a class in the archives to its WordNet name, those numbers of the test images)."""
    from scipy.io import loadmat

    with tarfile.open(path) as archive:
        files = {Path(member.name).name: member for member in archive.getmembers()}
        synsets = loadmat(io.BytesIO(archive.extractfile(files["meta.mat"]).read()), squeeze_me=True)["synsets"]
        truth = archive.extractfile(files["ILSVRC2012_validation_ground_truth.txt"]).read().split()
    leaves = np.atleast_1d(synsets)
    return {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in leaves if int(s["num_children"]) == 0}, [int(line) for line in truth]


def _training(path: Path, classes: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """The archive holds one archive per class."""
    from rich.progress import track

    places, labels = [], []
    with tarfile.open(path, "r:") as outer:
        for member in track(outer.getmembers(), f"reading {path.name}", transient=True):
            with tarfile.open(fileobj=outer.extractfile(member), mode="r:") as inner:
                found = [(member.offset_data + picture.offset_data, picture.size) for picture in inner if picture.isfile()]
            places += found
            labels += [classes[Path(member.name).stem]] * len(found)
    return np.array(places, np.int64), np.array(labels, np.int64)


def _test(path: Path) -> np.ndarray:
    with tarfile.open(path, "r:") as archive:
        pictures = [member for member in archive if member.isfile()]
    pictures.sort(key=lambda member: int(re.findall(r"\d+", Path(member.name).stem)[-1]))
    return np.array([(member.offset_data, member.size) for member in pictures], np.int64)
