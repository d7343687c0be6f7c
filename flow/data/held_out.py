"""The part of the training set on which choices are made, so that the test set stays unseen."""

from dataclasses import replace

import numpy as np

from flow.data.dataset import Dataset
from flow.errors import GatefoldError


def split(dataset: Dataset, count: int) -> tuple[Dataset, np.ndarray, np.ndarray]:
    """The data set without ``count`` training images; these, uint8 [count, H, W, 3]; their labels, int64 [count].

    Which images they are depends on nothing but the number of training images; a smaller count gives some of them.
    """
    total = len(dataset.train_x)
    if not 0 <= count < total:
        raise GatefoldError(f"{dataset.name} has {total} training images; hold out between 0 and one less.")
    order = np.random.default_rng(0).permutation(total)
    held, kept = order[:count], np.sort(order[count:])
    rest = replace(dataset, train_x=dataset.train_x[kept], train_y=dataset.train_y[kept])
    return rest, dataset.train_x[held], dataset.train_y[held]


def draw(images: np.ndarray, count: int) -> np.ndarray:
    """``count`` of the images, at most all, always the same: the first ones of a set may all be of one class."""
    return images[np.random.default_rng(0).permutation(len(images))[:count]]
