"""All pictures of a trained network, into one folder."""

from pathlib import Path

import numpy as np
from torch import nn

from flow.atomic import make_folder
from flow.pictures import draw
from flow.pictures.measure import Setting, Skips, features


def album(model: nn.Module, images: np.ndarray, found: list[Setting], skipped: Skips | None, folder: Path) -> list[Path]:
    """Draw accuracy against cost; for a network with gates also skip ratios per layer, easy and hard images, feature maps.

    Args:
        model: quantised network; left in eval and in the full mode.
        images: uint8 [N, 32, 32, 3].
        found, skipped: what `settings` and `skips` measured on them; skipped: None without gates.
        folder: for the PNG files, made if need be.

    Returns:
        The files.
    """
    make_folder(folder)
    among = f"{model.name}, {len(images)} images"
    files = [draw.accuracy_against_cost(found, among, folder / "accuracy.png")]
    if skipped is not None:
        files.append(draw.skip_ratio_per_layer(skipped, among, folder / "skip-ratio.png"))
        files.append(draw.easy_and_hard(images, skipped, f"Skip ratio of an image: {among}", folder / "images.png"))
        image = images[int(np.argsort(skipped.images, kind="stable")[len(images) // 2])]
        layers = [name for name in skipped.layers if name.endswith("conv2")]
        chosen = [layers[i] for i in sorted({0, len(layers) // 2, len(layers) - 1})]
        maps = {name: features(model, image, name) for name in chosen}
        files.append(draw.feature_maps(image, maps, f"Where skipping changes most: {model.name}", folder / "features.png"))
    return files
