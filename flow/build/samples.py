"""Sample images that need no download: squares of the photographs that scikit-learn ships, and its digits; or random ones."""

from collections.abc import Sequence

import numpy as np

Samples = tuple[list[str], np.ndarray]
"""Names, and images: uint8 [N, height, width, colours]."""
SIZE = 32
SAMPLE_SHAPE = (SIZE, SIZE, 3)
"""Height, width and colours of `sample_images`."""
_SQUARES = {
    # photograph: (top, left, edge in pixels); the edge is a multiple of 32
    "china.jpg": [(0, 0, 384), (40, 200, 352), (100, 60, 256), (150, 330, 256)],
    "flower.jpg": [(20, 100, 384), (60, 200, 256), (100, 240, 192), (0, 320, 320)],
}


def sample_images(count: int = 16) -> Samples:
    """Pictures of 32×32 pixels, half photographs, half digits; repeated where more are wanted than there are."""
    names, images = [], []
    for (photo_name, photo), (digit_name, digit) in zip(_photographs(), _digits(), strict=False):
        names += [photo_name, digit_name]
        images += [photo, digit]
    index = np.arange(count) % len(images)
    return [names[i] for i in index], np.stack(images)[index]


def random_images(shape: Sequence[int], count: int) -> Samples:
    """Pictures for a network whose own are not known, every pixel drawn for itself, always the same ones.

    Args:
        shape: (height, width, colours).
    """
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8)
    return [f"random{number}" for number in range(count)], images


def _photographs():
    from sklearn.datasets import load_sample_image

    for file, squares in _SQUARES.items():
        photograph = load_sample_image(file)
        for number, (top, left, edge) in enumerate(squares):
            square = photograph[top : top + edge, left : left + edge].astype(np.float64)
            step = edge // SIZE
            mean = square.reshape(SIZE, step, SIZE, step, 3).mean(axis=(1, 3))
            yield f"{file.removesuffix('.jpg')}{number}", np.rint(mean).astype(np.uint8)


def _digits():
    from flow.data import load_test

    images, labels = load_test("digits")
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        yield f"digit{number}_{label}", image
