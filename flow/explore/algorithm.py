"""Algorithm 2 of WeNet (Ma and Reda, section III-D): from the full network, one layer at a time gets more groups."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from flow.nn.spec import LayerSpec

Vector = dict[str, int]


@dataclass(frozen=True)
class Point:
    """An evaluated network.

    Attributes:
        groups: layer name to group count.
        time: inference time t, in the unit of the search.
        accuracy: 0..1, on the held-out images.
        step: 0 for the full network, then the step whose candidate it was.
    """

    groups: Vector
    time: float
    accuracy: float
    step: int

    def as_json(self) -> dict:
        """JSON-ready dictionary."""
        return asdict(self)


def candidates(specs: list[LayerSpec], groups: Vector) -> list[Vector]:
    """For each layer that can have more groups: the network with that layer's next possible group count."""
    found = []
    for spec in specs:
        larger = [n for n in spec.group_counts if n > groups[spec.name]]
        if larger:
            found.append({**groups, spec.name: min(larger)})
    return found


def steps_at_most(specs: list[LayerSpec]) -> int:
    """Steps from the full network to the one with the most groups everywhere."""
    return sum(len(spec.group_counts) - 1 for spec in specs)


def explore(
    specs: list[LayerSpec],
    time_of: Callable[[Vector], float],
    evaluate: Callable[[Vector, list[Vector]], tuple[float, list[float]]],
    threshold: float,
    on_step: Callable[[int, Point], None] = lambda *_: None,
) -> list[Point]:
    """Run Algorithm 2.

    Args:
        specs: the network's layers.
        time_of: t of a group vector.
        evaluate: (current network, its candidates) to their accuracies.
        threshold: delta; the search ends with the first network at or below this accuracy.
        on_step: called with the number of the step and the network that it took.

    Returns:
        Every evaluated network, the full one first. In each step the one with the smallest loss t/accuracy was taken; the
        first of several.
    """
    groups = {spec.name: min(spec.group_counts) for spec in specs}
    step, points, current = 0, [], None
    while True:
        following = candidates(specs, groups)
        accuracy, accuracies = evaluate(groups, following)
        if current is None:
            current = Point(groups, time_of(groups), accuracy, 0)
            points.append(current)
            on_step(0, current)
            if accuracy <= threshold:
                return points
        if not following:
            return points
        step += 1
        tried = [Point(vector, time_of(vector), acc, step) for vector, acc in zip(following, accuracies, strict=True)]
        points += tried
        current = min(tried, key=lambda point: point.time / point.accuracy if point.accuracy else float("inf"))
        groups = current.groups
        on_step(step, current)
        if current.accuracy <= threshold:
            return points


def dominates(a: Point, b: Point) -> bool:
    """Whether a is nowhere worse than b in time and accuracy."""
    return a.time <= b.time and a.accuracy >= b.accuracy


def pareto_front(points: list, time: Callable[[Any], float] = lambda point: point.time) -> list:
    """Points that no other one beats, slowest first; one of several equal ones.

    Args:
        points: ``Point``, or others that have an accuracy.
        time: cost of a point.
    """
    front = []
    best = -1.0
    for point in sorted(points, key=lambda p: (time(p), -p.accuracy)):
        if point.accuracy > best:
            front.append(point)
            best = point.accuracy
    return front[::-1]


def spread(front: list[Point], count: int) -> list[Point]:
    """At most ``count`` points of a front at even distances in time, its ends among them."""
    if len(front) <= count:
        return list(front)
    if count == 1:
        return [front[0]]
    slow, fast = front[0].time, front[-1].time
    chosen: list[Point] = []
    for i in range(count):
        wanted = slow + (fast - slow) * i / (count - 1)
        rest = [point for point in front if point not in chosen]
        chosen.append(min(rest, key=lambda point: abs(point.time - wanted)))
    return sorted(chosen, key=lambda point: -point.time)
