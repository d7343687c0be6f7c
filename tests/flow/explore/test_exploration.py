"""Algorithm 2 against a few-line reference, the front against all pairs."""

import random

import pytest

from flow.explore.algorithm import Point, candidates, dominates, explore, pareto_front, spread, steps_at_most
from flow.nn.spec import LayerSpec

SPECS = [
    LayerSpec("stem", "conv", 3, 4, 3, 1, 8, 8, (1,), input="image"),
    LayerSpec("a", "conv", 4, 4, 3, 1, 8, 8, (1, 2, 4), input="stem"),
    LayerSpec("b", "conv", 4, 8, 3, 1, 8, 8, (1, 2, 4), input="a"),
    LayerSpec("c", "conv", 8, 8, 3, 1, 8, 8, (1, 2, 4, 8), input="b"),
]


def time_of(groups):
    return 10 / groups["a"] + 30 / groups["b"] + 20 / groups["c"] + 5


def accuracy_of(groups):
    noise = random.Random(str(sorted(groups.items()))).uniform(-0.03, 0.03)
    return 0.9 - 0.05 * sum(n**0.5 for n in groups.values()) + 0.2 + noise


def evaluate(groups, following):
    return accuracy_of(groups), [accuracy_of(vector) for vector in following]


def reference(threshold):
    """Algorithm 2, line by line."""
    counts = {spec.name: spec.group_counts for spec in SPECS}
    m = dict.fromkeys(counts, 1)
    acc, path = accuracy_of(m), [m]
    while acc > threshold:
        losses = []
        for name in counts:
            if m[name] < max(counts[name]):
                n = counts[name][counts[name].index(m[name]) + 1]
                mi = {**m, name: n}
                losses.append((time_of(mi) / accuracy_of(mi), mi))
        if not losses:
            break
        m = min(losses, key=lambda pair: pair[0])[1]
        acc = accuracy_of(m)
        path.append(m)
    return path


@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.75, 0.99])
def test_the_path_is_that_of_algorithm_2(threshold):
    taken = []
    points = explore(SPECS, time_of, evaluate, threshold, lambda step, point: taken.append((step, point.groups)))
    path = reference(threshold)
    assert taken == list(enumerate(path))
    assert len(points) == 1 + sum(len(candidates(SPECS, groups)) for groups in path[: len(path) - 1])
    assert all(point.time == time_of(point.groups) for point in points)


def test_without_a_threshold_it_ends_at_the_most_groups():
    steps = []
    explore(SPECS, time_of, evaluate, 0.0, lambda step, point: steps.append(point))
    assert steps[-1].groups == {"stem": 1, "a": 4, "b": 4, "c": 8}
    assert len(steps) == steps_at_most(SPECS) + 1


def test_accuracy_zero_is_the_last_choice():
    taken = []
    explore(SPECS, time_of, lambda g, f: (1.0, [0.0 if v["b"] > 1 else 0.5 for v in f]), 0.1,
            lambda step, point: taken.append(point))  # fmt: skip
    assert taken[1].groups["b"] == 1


def test_front_and_spread():
    rng = random.Random(0)
    points = [Point({}, rng.randrange(20), rng.randrange(20) / 20, 0) for _ in range(200)]
    front = pareto_front(points)
    beaten = [p for p in points if any(dominates(q, p) and (q.time, q.accuracy) != (p.time, p.accuracy) for q in points)]
    assert {(p.time, p.accuracy) for p in front} == {(p.time, p.accuracy) for p in points} - {(p.time, p.accuracy) for p in beaten}
    line = [Point({}, t, t / 100, 0) for t in range(100, 0, -1)]
    chosen = spread(line, 5)
    assert [p.time for p in chosen] == [100, 75, 50, 26, 1] or [p.time for p in chosen] == [100, 75, 51, 26, 1]
    assert spread(line[:3], 5) == line[:3] and spread(line, 1) == line[:1]
