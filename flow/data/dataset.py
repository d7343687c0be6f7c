"""Choosing and reading a data set."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.data.cifar10 import load_cifar10
from flow.data.digits import load_digits
from flow.data.imagenet import load_imagenet
from flow.data.jpegs import Jpegs
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
# Mirrored digits are no digits.
NOT_MIRRORED = ("digits", "svhn")


@dataclass(frozen=True)
class Dataset:
    """Images uint8 [N, 32, 32, 3] and labels int64 [N], for training and for testing.

    Tiny ImageNet has images of 64x64; those of ImageNet are decoded by ``np.asarray``, 256x256 and 224x224.
    """

    name: str
    train_x: np.ndarray | Jpegs
    train_y: np.ndarray
    test_x: np.ndarray | Jpegs
    test_y: np.ndarray

    @property
    def image_size(self) -> int:
        """Height and width of the images that a network sees."""
        return self.test_x.shape[1]

    @property
    def num_classes(self) -> int:
        """Number of classes: the largest label plus one."""
        return int(max(self.train_y.max(), self.test_y.max())) + 1

    @property
    def mirrored(self) -> bool:
        """Whether a mirrored image is still one of its class."""
        return self.name not in NOT_MIRRORED


def _checked(path: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (32, 32, 3):
        raise GatefoldError(
            f"{path} holds images of type {images.dtype} and shape {list(images.shape)}; save them as uint8 [N, 32, 32, 3]."
        )
    if labels.shape != (len(images),):
        raise GatefoldError(f"{path} holds {len(images)} images but labels of shape {list(labels.shape)}; save one each.")
    if not len(labels):
        raise GatefoldError(f"{path} holds no images; save at least one to train on and one to test with.")
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise GatefoldError(f"{path} holds labels of type {labels.dtype} from {labels.min()} on; save integers from 0 on.")
    return images, labels.astype(np.int64)


def _open(path: str) -> dict[str, np.ndarray]:
    try:
        with np.load(path) as file:
            return dict(file)
    except FileNotFoundError:
        raise GatefoldError(f"There is no file {path}; give --data an .npz file or one of {', '.join(PUBLISHED)}.") from None
    except (OSError, ValueError, EOFError, KeyError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error):
        raise GatefoldError(f"{path} cannot be read as an .npz file; save it again with numpy.savez.") from None


def load(source: str = "cifar10") -> Dataset:
    """Read a data set for training.

    Args:
        source: ``"cifar10"``, ``"svhn"``, ``"tiny-imagenet"`` (downloaded once), ``"imagenet"`` (from archives in the cache),
            ``"digits"`` (part of scikit-learn) or the path of an .npz file with train_x, train_y, test_x, test_y.
    """
    if source in PUBLISHED:
        return Dataset(source, *PUBLISHED[source]())
    arrays = _open(source)
    missing = [key for key in ("train_x", "train_y", "test_x", "test_y") if key not in arrays]
    if missing:
        raise GatefoldError(f"{source} lacks {', '.join(missing)}; training needs train_x, train_y, test_x, test_y.")
    train = _checked(source, arrays["train_x"], arrays["train_y"])
    test = _checked(source, arrays["test_x"], arrays["test_y"])
    return Dataset(Path(source).stem, *train, *test)


def load_test(source: str = "cifar10") -> tuple[np.ndarray, np.ndarray]:
    """Read (images, labels) for evaluation; an .npz file may hold x, y or test_x, test_y."""
    if source in PUBLISHED:
        dataset = load(source)
        return dataset.test_x, dataset.test_y
    arrays = _open(source)
    for x, y in (("x", "y"), ("test_x", "test_y")):
        if x in arrays and y in arrays:
            return _checked(source, arrays[x], arrays[y])
    raise GatefoldError(f"{source} lacks images and labels; save them as x and y, or as test_x and test_y.")
