"""Handwritten digits that scikit-learn ships (8x8 pixels, 1797 images), enlarged to 32x32x3: works without a network."""

import numpy as np


def load_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """train_x uint8 [1437, 32, 32, 3], train_y int64 [1437], test_x [360, 32, 32, 3], test_y [360]."""
    from sklearn.datasets import load_digits as load

    digits = load()
    images = np.round(digits.images * (255 / 16)).astype(np.uint8)
    images = images.repeat(4, axis=1).repeat(4, axis=2)[..., None].repeat(3, axis=3)
    labels = digits.target.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[:1437], order[1437:]
    return images[train], labels[train], images[test], labels[test]
