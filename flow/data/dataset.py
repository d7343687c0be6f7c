"""Choosing and reading a data set."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flow.data.cifar10 import CLASSES, load_cifar10
from flow.data.classes import names_in, read_names
from flow.data.digits import load_digits
from flow.data.folder import is_divided, load_folder, load_folder_test
from flow.data.imagenet import load_imagenet
from flow.data.jpegs import Jpegs
from flow.data.npz import read_npz
from flow.data.svhn import load_svhn
from flow.data.tiny_imagenet import load_tiny_imagenet
from flow.errors import GatefoldError

PUBLISHED = {
    "cifar10": load_cifar10,
    "digits": load_digits,
    "svhn": load_svhn,
    "tiny-imagenet": load_tiny_imagenet,
    "imagenet": load_imagenet,
}
# A mirrored picture of these is still one of its class; a mirrored digit is none, and of own data nobody knows.
MIRRORED = ("cifar10", "tiny-imagenet", "imagenet")
ARRAYS = ("train_x", "train_y", "test_x", "test_y")
NAMES = "class_names"
KINDS = f"give --data an .npz file, a folder of pictures or one of {', '.join(PUBLISHED)}"
LARGEST_LABEL = 2**31 - 1
SHAPE = (32, 32, 3)
"""Height, width and colours of images in a file, unless a network asks for others."""


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [N, 32, 32, 3] and labels int64 [N], for training and for testing.

    Folders of pictures give images of the size that is asked for, Tiny ImageNet has images of 64x64; those of ImageNet are
    decoded by ``np.asarray``, 256x256 and 224x224.

    Attributes:
        class_names: one for each class, or none at all.
        division: how test images were chosen, where that is a choice of ours.
    """

    name: str
    train_x: np.ndarray | Jpegs
    train_y: np.ndarray
    test_x: np.ndarray | Jpegs
    test_y: np.ndarray
    class_names: tuple[str, ...] = ()
    division: str = ""

    @property
    def image_size(self) -> int:
        """Height and width of the images that a network sees."""
        return self.test_x.shape[1]

    @property
    def num_classes(self) -> int:
        """Number of classes: as many as have a name, else the largest label plus one."""
        return len(self.class_names) or _classes(self.train_y, self.test_y)

    @property
    def mirrored(self) -> bool:
        """Whether a mirrored image is known to be still one of its class."""
        return self.name in MIRRORED


def _classes(*labels: np.ndarray) -> int:
    return int(max(each.max() for each in labels)) + 1


def _checked(
    path: str, images: np.ndarray, labels: np.ndarray, shape: tuple[int, int, int] = SHAPE
) -> tuple[np.ndarray, np.ndarray]:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != shape:
        raise GatefoldError(
            f"{path} holds images of type {images.dtype} and shape {list(images.shape)}; save them as uint8 "
            f"[N, {', '.join(map(str, shape))}]."
        )
    if labels.shape != (len(images),):
        raise GatefoldError(f"{path} holds {len(images)} images but labels of shape {list(labels.shape)}; save one each.")
    if not len(labels):
        raise GatefoldError(f"{path} holds no images; save at least one to train on and one to test with.")
    if labels.dtype.kind not in "iu":
        raise GatefoldError(f"{path} holds labels of type {labels.dtype}; save integers from 0 on, the numbers of the classes.")
    if labels.min() < 0 or labels.max() > LARGEST_LABEL:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise GatefoldError(f"{path} holds the label {wrong}; save integers from 0 on, the numbers of the classes.")
    return images, labels.astype(np.int64)


def load(source: str = "cifar10", classes: Path | None = None, size: int = 32) -> Dataset:
    """Read a data set.

    Args:
        source: ``"cifar10"``, ``"svhn"``, ``"tiny-imagenet"`` (downloaded once), ``"imagenet"`` (from archives in the cache),
            ``"digits"`` (part of scikit-learn), the path of an .npz file with train_x, train_y, test_x, test_y and, if the
            classes are to have names, class_names, or that of a folder (see ``flow.data.folder``).
        classes: text file with a class name in each line, instead of class_names.
        size: height and width of the images of a folder.
    """
    if source in PUBLISHED:
        dataset = Dataset(source, *PUBLISHED[source](), CLASSES if source == "cifar10" else ())
    elif os.path.isdir(source):
        if classes:
            raise GatefoldError(f"{source} names its classes by their folders; leave --classes out.")
        path = Path(source)
        division = "" if is_divided(path) else "a fixed fifth of the pictures of each class"
        *arrays, names = load_folder(path, (size, size, 3))
        dataset = Dataset(path.resolve().name, *arrays, names, division)
    else:
        arrays = read_npz(source, (*ARRAYS, NAMES), KINDS)
        missing = [key for key in ARRAYS if key not in arrays]
        if missing:
            raise GatefoldError(f"{source} lacks {', '.join(missing)}; training needs {', '.join(ARRAYS)}.")
        train = _checked(source, arrays["train_x"], arrays["train_y"])
        test = _checked(source, arrays["test_x"], arrays["test_y"])
        names = names_in(source, arrays[NAMES]) if NAMES in arrays and not classes else ()
        dataset = Dataset(Path(source).stem, *train, *test, names)
    if classes:
        dataset = replace(dataset, class_names=read_names(classes))
    count, named = _classes(dataset.train_y, dataset.test_y), len(dataset.class_names)
    if named and named < count:
        raise GatefoldError(f"{source} has labels up to {count - 1} and {classes or NAMES} {named} names; give one for each class.")
    return dataset


def load_training(source: str, classes: Path | None = None, size: int = 32) -> Dataset:
    """``load``, for a network that is to be trained from the beginning: every class without a name must have images."""
    dataset = load(source, classes, size)
    seen = np.unique(dataset.train_y)
    if not dataset.class_names and len(seen) < dataset.num_classes:
        absent = int(np.setdiff1d(np.arange(len(seen) + 1), seen)[0])
        raise GatefoldError(
            f"{source} has labels from {seen[0]} to {dataset.num_classes - 1} and no image of class {absent} to train on; number the "
            "classes from 0 on, or name all of them with --classes."
        )
    return dataset


def load_test(
    source: str = "cifar10",
    num_classes: int | None = None,
    names: list[str] | None = None,
    size: int = 32,
    shape: tuple[int, int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read (images, labels) for evaluation; an .npz file may hold x, y or test_x, test_y; of a folder they are its test images.

    Args:
        num_classes: of the network that is to be evaluated; a larger label is refused.
        names: of its classes, as far as they are known; others in the file are refused.
        size: height and width of the images of a folder.
        shape: (height, width, colours) of the images that the network takes, where they are not (size, size, 3).
    """
    if source in PUBLISHED:
        dataset = load(source)
        images, labels, own = dataset.test_x, dataset.test_y, ()
        if shape and images.shape[1:] != tuple(shape):
            raise GatefoldError(
                f"The images of {source} are {list(images.shape[1:])} and the network takes {list(shape)}; resize them."
            )
    elif os.path.isdir(source):
        images, labels, own = load_folder_test(Path(source), tuple(shape) if shape else (size, size, 3))
    else:
        arrays = read_npz(source, ("x", "y", *ARRAYS[2:], NAMES), KINDS)
        pair = next(((x, y) for x, y in (("x", "y"), ARRAYS[2:]) if x in arrays and y in arrays), None)
        if pair is None:
            raise GatefoldError(f"{source} lacks images and labels; save them as x and y, or as test_x and test_y.")
        images, labels = _checked(source, *(arrays[key] for key in pair), tuple(shape or SHAPE))
        own = names_in(source, arrays[NAMES]) if NAMES in arrays else ()
    if num_classes is not None and labels.max() >= num_classes:
        raise GatefoldError(
            f"{source} has labels up to {labels.max()} and the network tells {num_classes} classes apart, from 0 on; give the data that "
            "it was trained for."
        )
    if names and own and list(names) != list(own):
        raise GatefoldError(
            f"{source} names other classes than the network, or in another order; give the data that it was trained for."
        )
    return images, labels
