"""Accuracy against cycles: group modes, gates and exits of trained networks, and the best front of all of them.

    .venv/bin/python bench/front.py --data cifar10.npz [--images N] [--figure FILE.svg] [NETWORK …]

NETWORK is the name of a shipped network (resnet8, resnet8-ddi …) or a weights file. Each mode runs once in the integers of the
hardware, with its gates, without them where it was trained for both, stopping at each exit, and stopping where the best logit leads the
second by what a quarter, half, three quarters of the images reach. Cycles are those of the cycle model for every image's own decisions
(equal to the RTL's, tests/hw/engine), of the engine that `gatefold build` makes for that network, averaged.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.data import load_test
from flow.engine.boards import find_board
from flow.engine.frame import frame_costs
from flow.engine.plan import plan
from flow.engine.select import choose
from flow.export.from_model import layer_graph
from flow.graph.exits import Halting
from flow.graph.integer import Result, run
from flow.graph.layers import LayerGraph
from flow.training.checkpoint import load_model

BATCH = 250
SURE = (0.25, 0.5, 0.75)
"""Shares of the images that are not sure enough at an exit."""


@dataclass(frozen=True)
class Point:
    """A setting of a network: accuracy 0…1 and mean cycles of a frame."""

    network: str
    setting: str
    accuracy: float
    cycles: float


def haltings(graph: LayerGraph, results: list[Result]) -> Iterator[tuple[str, Halting]]:
    """Name and Halting of every way to stop that is looked at."""
    count = len(graph.exits)
    yield "", Halting.nowhere(count)
    for number in range(count):
        yield f", exit {number}", Halting.at(number, count)
    for share in SURE if count else ():
        yield f", sure of {1 - share:.0%}", Halting.sure([result.exit_logits for result in results], share)


def points(name: str, images: np.ndarray, labels: np.ndarray) -> Iterator[Point]:
    """The settings of one network.

    Args:
        images: uint8 [N, H, W, 3]; labels: int [N].
    """
    model = load_model(name)
    graph = layer_graph(model)
    config = plan(graph, choose(find_board("pynq-z2"))).config
    planes = images.transpose(0, 3, 1, 2)
    shown = Path(name).stem
    for mode in (mode for mode in graph.modes if mode not in graph.ungated or model.ungated):
        results = [run(graph, planes[start : start + BATCH], mode) for start in range(0, len(planes), BATCH)]
        for setting, halting in haltings(graph, results):
            right, cycles = 0, 0
            for batch, result in enumerate(results):
                ends = [*result.exit_logits.values(), result.logits]
                for row in range(len(result.logits)):
                    costs, exit = frame_costs(graph, config, mode, result, row, halting)
                    cycles += sum(cost.cycles for cost in costs.values())
                    right += ends[exit][row].argmax() == labels[batch * BATCH + row]
            yield Point(shown, mode + setting, right / len(labels), cycles / len(labels))


def front(found: list[Point]) -> list[Point]:
    """The points that no other one beats in accuracy at as few cycles, by cycles."""
    best, kept = -1.0, []
    for point in sorted(found, key=lambda point: (point.cycles, -point.accuracy)):
        if point.accuracy > best:
            best = point.accuracy
            kept.append(point)
    return kept


def draw(found: list[Point], path: Path) -> None:
    """The points and their front, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "front"
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for network in dict.fromkeys(point.network for point in found):
        own = [point for point in found if point.network == network]
        axes.scatter([point.cycles for point in own], [100 * point.accuracy for point in own], s=22, label=network)
    best = front(found)
    axes.step([point.cycles for point in best], [100 * point.accuracy for point in best], "k:", where="post", label="front")
    axes.set_xscale("log")
    axes.set_xlabel("cycles of a frame, mean")
    axes.set_ylabel("accuracy, %")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", nargs="*", default=["resnet8", "resnet8-ddi", "resnet8-acs", "resnet20", "resnet20-acs"])
    parser.add_argument("--data", default="cifar10", help="as for `gatefold evaluate`")
    parser.add_argument("--images", type=int, default=1000, help="test images (default: %(default)s)")
    parser.add_argument("--figure", type=Path, help="draw the points to this file (.svg or .png)")
    args = parser.parse_args()
    images, labels = (part[: args.images] for part in load_test(args.data, 10))
    found: list[Point] = []
    for name in args.networks:
        found += points(name, np.asarray(images), np.asarray(labels))
        print(f"{name}: done", flush=True)
    best = set(front(found))
    print(f"| network | setting | accuracy, % of {len(labels)} images | cycles | front |\n|---|---|---|---|---|")
    for point in sorted(found, key=lambda point: point.cycles):
        mark = "•" if point in best else ""
        print(f"| {point.network} | {point.setting} | {100 * point.accuracy:.2f} | {point.cycles:,.0f} | {mark} |")
    if args.figure:
        draw(found, args.figure)


if __name__ == "__main__":
    main()
