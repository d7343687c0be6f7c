"""Drawing with matplotlib, into PNG files."""

from pathlib import Path

import matplotlib
import numpy as np

from flow.atomic import write_atomically
from flow.explore.algorithm import pareto_front
from flow.pictures.measure import UNITS, Setting, Skips

matplotlib.use("Agg")
from matplotlib import pyplot as plt

LABELS = {
    "macs": "multiply-accumulates an image",
    "cycles": "cycles of the engine an image",
    "energy": "energy an image, modelled, share of the costliest",
}
SHOWN = 8
"""Images in a row, and channels of a feature map."""


def _save(figure, path: Path) -> Path:
    def write(temporary):
        figure.savefig(temporary, dpi=150, bbox_inches="tight", format="png")

    try:
        write_atomically(path, write, "draw again")
    finally:
        plt.close(figure)
    return path


def accuracy_against_cost(found: list[Setting], title: str, path: Path) -> Path:
    """All settings, one panel per unit of cost, with the line of those that no other one beats."""
    figure, panels = plt.subplots(1, len(UNITS), figsize=(5 * len(UNITS), 4), sharey=True)
    for unit, panel in zip(UNITS, panels):
        whole = max(s.costs[unit] for s in found) if unit == "energy" else 1.0
        for setting in found:
            place = (setting.costs[unit] / whole, 100 * setting.accuracy)
            panel.plot(*place, "o", color="tab:blue")
            panel.annotate(setting.name, place, xytext=(4, -9), textcoords="offset points", fontsize=7)
        best = pareto_front(found, lambda setting: setting.costs[unit])
        panel.plot([s.costs[unit] / whole for s in best], [100 * s.accuracy for s in best], "-", color="tab:orange", zorder=0)
        panel.set_xlabel(LABELS[unit])
        panel.set_xlim(left=0)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("accuracy, %")
    figure.suptitle(title)
    return _save(figure, path)


def skip_ratio_per_layer(found: Skips, title: str, path: Path) -> Path:
    """Bars in execution order; the first layer of a stage is hatched (DDI, Fig. 15)."""
    figure, panel = plt.subplots(figsize=(max(5, 0.35 * len(found.layers)), 3.5))
    stages: set[str] = set()
    for i, (name, ratio) in enumerate(found.layers.items()):
        stage = name.split(".")[0]
        panel.bar(i, ratio, color="tab:blue", hatch=None if stage in stages else "///", edgecolor="black", linewidth=0.5)
        stages.add(stage)
    panel.set_xticks(range(len(found.layers)), list(found.layers), rotation=90, fontsize=7)
    panel.set_ylim(0, 1)
    panel.set_ylabel("skip ratio")
    panel.set_title(title, fontsize=9)
    return _save(figure, path)


def easy_and_hard(images: np.ndarray, found: Skips, title: str, path: Path) -> Path:
    """The images of which most and least is skipped, with their skip ratios (DDI, Fig. 13)."""
    order = np.argsort(-found.images, kind="stable")
    count = min(SHOWN, len(order))
    rows = {"most skipped": order[:count], "least skipped": order[::-1][:count]}
    figure, panels = plt.subplots(2, count, figsize=(1.2 * count, 3.2), squeeze=False)
    for row, (label, chosen) in zip(panels, rows.items()):
        for panel, index in zip(row, chosen):
            panel.imshow(images[index])
            panel.set_title(f"{found.images[index]:.2f}", fontsize=8)
            panel.set_xticks([])
            panel.set_yticks([])
        row[0].set_ylabel(label, fontsize=8)
    figure.suptitle(title, fontsize=9)
    return _save(figure, path)


def feature_maps(image: np.ndarray, maps: dict[str, tuple[np.ndarray, np.ndarray]], title: str, path: Path) -> Path:
    """Some channels of layers with skipping on and off (DDI, Fig. 14).

    Args:
        image: uint8 [32, 32, 3]; maps: layer name to its output [C, H, W], gates on and off.
    """
    figure, panels = plt.subplots(2 * len(maps), SHOWN + 1, figsize=(1.1 * (SHOWN + 1), 2.4 * len(maps)), squeeze=False)
    for i, (layer, pair) in enumerate(maps.items()):
        most = np.argsort(-np.abs(pair[0] - pair[1]).sum((1, 2)), kind="stable")[:SHOWN]
        for row, (label, values) in zip(panels[2 * i :], zip(("skipping on", "skipping off"), pair)):
            row[0].imshow(image)
            row[0].set_ylabel(f"{layer}\n{label}", fontsize=6)
            for panel, channel in zip(row[1:], most):
                panel.imshow(values[channel], cmap="gray", vmin=0, vmax=15)
                panel.set_title(f"channel {channel}", fontsize=6)
            for panel in row:
                panel.set_xticks([])
                panel.set_yticks([])
    figure.suptitle(title, fontsize=9, y=0.93)
    return _save(figure, path)
