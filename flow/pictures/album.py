"""All pictures of a trained network, into one folder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from torch import nn

from flow.atomic import make_folder
from flow.pictures import draw
from flow.pictures.measure import features, settings, skips


def album(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, folder: Path, on_batch: Callable[[int], None] = lambda _: None
) -> list[Path]:
    """Draw accuracy against cost; for a network with gates also skip ratios per layer, easy and hard images, feature maps.

    Args:
        model: quantised network; left in eval and in the full mode.
        images: uint8 [N, 32, 32, 3]; labels: int64 [N].
        folder: for the PNG files, made if need be.
        on_batch: called with the number of images of each batch of the evaluation.

    Returns:
        The files.
    """
    make_folder(folder)
    among = f"{model.name}, {len(images)} images"
    found = settings(model, images, labels, on_batch)
    files = [draw.accuracy_against_cost(found, among, folder / "accuracy.png")]
    if getattr(model, "gates_on", False):
        skipped = skips(model, images)
        files.append(draw.skip_ratio_per_layer(skipped, among, folder / "skip-ratio.png"))
        files.append(draw.easy_and_hard(images, skipped, f"Skip ratio of an image: {among}", folder / "images.png"))
        image = images[int(np.argsort(skipped.images, kind="stable")[len(images) // 2])]
        layers = [name for name in skipped.layers if name.endswith("conv2")]
        chosen = [layers[i] for i in sorted({0, len(layers) // 2, len(layers) - 1})]
        maps = {name: features(model, image, name) for name in chosen}
        files.append(draw.feature_maps(image, maps, f"Where skipping changes most: {model.name}", folder / "features.png"))
    return files
