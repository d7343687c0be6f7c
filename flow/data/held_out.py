"""The part of the training set on which choices are made, so that the test set stays unseen."""

import numpy as np

from flow.data.dataset import Dataset
from flow.errors import GatefoldError


def held_out(dataset: Dataset, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The last ``count`` training images, uint8 [count, H, W, 3], and their labels, int64 [count]."""
    if not 0 < count < len(dataset.train_x):
        raise GatefoldError(f"{dataset.name} has {len(dataset.train_x)} training images; hold out between 1 and one less.")
    return dataset.train_x[-count:], dataset.train_y[-count:]
