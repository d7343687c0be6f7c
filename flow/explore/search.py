"""A resumable search in a folder, and the modes that it leaves behind."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
from torch import nn

from flow.atomic import write_text
from flow.build.steps import digest
from flow.errors import GatefoldError
from flow.explore.algorithm import Point, Vector, dominates, explore, pareto_front, spread
from flow.explore.evaluator import Evaluator
from flow.explore.times import Table, total
from flow.files import is_share, read_sealed, sealed
from flow.nn.modes import MODES, group_vector

PROGRESS = "progress.json"
RESULT = "search.json"
PREFIX = "pareto-"


@dataclass
class Result:
    """What a search found.

    Attributes:
        points: every evaluated network, in order.
        front: those that no other one beats, slowest first.
        modes: name to point: ``pareto-1`` (slowest) and so on, chosen from the front.
        uniform: mode name to point of the named group modes, for comparison.
    """

    points: list[Point]
    front: list[Point]
    modes: dict[str, Point]
    uniform: dict[str, Point]

    @property
    def dominated(self) -> dict[str, bool]:
        """Mode name to whether some point of the front is nowhere worse than that uniform mode."""
        return {name: any(dominates(point, mode) for point in self.front) for name, mode in self.uniform.items()}


class Search:
    """Algorithm 2 on held-out images, with all accuracies kept in the folder's progress.json.

    Args:
        model: quantised network.
        images, labels: held-out images uint8 [N, H, W, 3] and labels int64 [N].
        calibration: other training images uint8 [M, H, W, 3], for the statistics of every network.
        table: times from ``time_table``.
        folder: progress.json and search.json go here.
        jobs: workers of ``joblib``: threads, unless ``joblib.parallel_config`` names another back end, such as a cluster.
    """

    def __init__(
        self,
        model: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        calibration: np.ndarray,
        table: Table,
        folder: Path,
        jobs: int = 1,
    ):
        if not hasattr(model, "integer_layer"):
            raise GatefoldError(f"{model.name} has no integer model, which the search evaluates; choose a CIFAR ResNet.")
        self.model = model
        self.specs = model.layers()
        self.time_of = total(table)
        self.folder = Path(folder)
        self.jobs = jobs
        self._evaluator = Evaluator(model, images, labels, calibration)
        weights = [model.integer_layer(spec.name).weight.tobytes() for spec in self.specs]
        affine = [
            value.tobytes()
            for spec in self.specs
            if spec.kind == "conv"
            for n in spec.group_counts
            for value in model.integer_layer(spec.name).affine(n, MODES[0])
        ]
        self._key = digest(model.name, *weights, *affine, images.tobytes(), labels.tobytes(), calibration.tobytes())
        self._known: dict[str, float] = {}

    def resume(self) -> int:
        """Take over the accuracies of an interrupted search; returns how many."""
        path = self.folder / PROGRESS
        if not os.path.lexists(path):
            return 0
        remedy = "search with --overwrite instead of --resume"
        progress = read_sealed(path, remedy)
        known = progress.get("accuracy")
        if not isinstance(known, dict) or not all(is_share(value) for value in known.values()):
            raise GatefoldError(f"{path} is damaged; {remedy}.")
        if progress.get("key") != self._key:
            raise GatefoldError(f"{path} belongs to other weights or images; {remedy}.")
        self._known = known
        return len(self._known)

    def run(self, threshold: float, count: int = 8, on_step: Callable[[int, Point], None] = lambda *_: None) -> Result:
        """Search, evaluate the uniform modes, choose at most ``count`` modes from the front."""
        points = explore(self.specs, self.time_of, self._evaluate, threshold, on_step)
        uniform = {}
        for mode in MODES:
            vector = group_vector(self.model, mode)
            (accuracy,) = self._accuracies([vector])
            uniform[mode] = Point(vector, self.time_of(vector), accuracy, 0)
        self._save()
        front = pareto_front(points)
        # Networks at or below the threshold end the search; they are no modes.
        usable = [point for point in front if point.accuracy > threshold] or front[:1]
        modes = {f"{PREFIX}{i + 1}": point for i, point in enumerate(spread(usable, count))}
        return Result(points, front, modes, uniform)

    def add_modes(self, result: Result) -> None:
        """Give the model the modes of a result, with their statistics."""
        for name, point in result.modes.items():
            self.model.add_mode(name, point.groups)
            for layer, state in self._evaluator.rebase(point.groups).states.items():
                self.model.get_submodule(layer).norm.norms[name].load_state_dict(state)

    def _evaluate(self, groups: Vector, following: list[Vector]) -> tuple[float, list[float]]:
        if any(self._name(vector) not in self._known for vector in (groups, *following)):
            self._known[self._name(groups)] = self._evaluator.rebase(groups).accuracy
        accuracies = self._accuracies(following)
        self._save()
        return self._known[self._name(groups)], accuracies

    def _accuracies(self, vectors: list[Vector]) -> list[float]:
        missing = [vector for vector in vectors if self._name(vector) not in self._known]
        if self.jobs == 1 or len(missing) < 2:
            found = _accuracies_of(self._evaluator, missing)
        else:
            shares = [missing[i :: self.jobs] for i in range(self.jobs)]
            tasks = (joblib.delayed(_accuracies_of)(self._evaluator, share) for share in shares if share)
            by_share = joblib.Parallel(n_jobs=self.jobs, prefer="threads")(tasks)
            found = [by_share[i % self.jobs][i // self.jobs] for i in range(len(missing))]
        self._known.update({self._name(vector): accuracy for vector, accuracy in zip(missing, found)})
        return [self._known[self._name(vector)] for vector in vectors]

    def _name(self, vector: Vector) -> str:
        return "-".join(str(vector[spec.name]) for spec in self.specs)

    def _save(self) -> None:
        write_text(self.folder / PROGRESS, sealed({"key": self._key, "accuracy": self._known}))


def _accuracies_of(evaluator: Evaluator, vectors: list[Vector]) -> list[float]:
    return [evaluator.evaluate(vector).accuracy for vector in vectors]


def write_result(path: Path, model_name: str, result: Result, record: dict) -> None:
    """Write search.json: the record, the modes, the front, the uniform modes and all points."""
    contents = {
        "model": model_name,
        **record,
        "modes": {name: point.as_json() for name, point in result.modes.items()},
        "front": [point.as_json() for point in result.front],
        "uniform": {name: point.as_json() for name, point in result.uniform.items()},
        "points": [point.as_json() for point in result.points],
    }
    write_text(path, json.dumps(contents, indent=1) + "\n")
