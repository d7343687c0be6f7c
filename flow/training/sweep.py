"""Several training runs that differ in their seed, side by side."""

import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import joblib
import torch

from flow.atomic import write_text
from flow.claim import claim
from flow.data import load_training
from flow.errors import GatefoldError
from flow.files import is_share, read_sealed, sealed
from flow.models import create
from flow.training.evaluate import image_size
from flow.training.methods import Method
from flow.training.trainer import CHECKPOINT, Settings, Trainer, with_mirror

RECORD = "record.json"


def train_one(
    settings: Settings,
    method: Method,
    data: str,
    folder: Path,
    command: str,
    device: str = "cpu",
    test_images: int | None = None,
    classes: Path | None = None,
) -> dict:
    """One run in its folder; goes on from a checkpoint.

    Args:
        data, classes: data set and names of its classes, as for ``flow.data.load``.
        command: the command line, for the record.
        test_images: evaluate on so many test images only (None: all).
    """
    torch.set_num_threads(1)
    with claim(folder):
        dataset = load_training(data, classes, image_size(create(settings.model)))
        trainer = Trainer(settings, method, dataset, folder, device, resume=(folder / CHECKPOINT).exists())
        if trainer.changed:
            raise _of_other_settings(folder)
        while trainer.epoch < trainer.total_epochs:
            trainer.run_epoch()
        record = trainer.finish(command, test_images)
        write_text(folder / RECORD, sealed(record))
    return record


def _of_other_settings(folder: Path) -> GatefoldError:
    return GatefoldError(f"{folder} holds a run of other settings; give another --output or delete it.")


def _ended(settings: Settings, method: Method, folder: Path) -> dict | None:
    """The record of a run that has ended; None if it has not, or its record is damaged: then it ends once more."""
    try:
        record = read_sealed(folder / RECORD, "")
    except GatefoldError:
        return None
    kinds = {"settings": dict, "data": str, "accuracy": dict}
    if not all(isinstance(record.get(key), kind) for key, kind in kinds.items()) or not all(
        map(is_share, record["accuracy"].values())
    ):
        return None
    now = settings.record(method)
    if any(now[key] != value for key, value in with_mirror(record["settings"], record["data"]).items() if key in now):
        raise _of_other_settings(folder)
    return record


def sweep(
    seeds: list[int],
    settings: Settings,
    method: Method,
    data: str,
    folder: Path,
    *others: str | int | Path | None,
    workers: Callable[[], AbstractContextManager],
) -> list[dict]:
    """Records of one run per seed, in folder/seed-N; what has ended is not run again.

    Args:
        others: the further arguments of ``train_one``.
        workers: where runs go, a call of ``flow.explore.parallel.workers``; entered only if there is something to run. (A local
            Ray that is stopped before it has run anything sometimes takes the process with it.)
    """
    runs = {seed: (replace(settings.of(method), seed=seed), method, data, folder / f"seed-{seed}", *others) for seed in seeds}
    records = {seed: _ended(run[0], method, run[3]) for seed, run in runs.items()}
    missing = [seed for seed, record in records.items() if record is None]
    if missing:
        with workers():
            records.update(zip(missing, joblib.Parallel()(joblib.delayed(train_one)(*runs[seed]) for seed in missing)))
    return list(records.values())


def summary(records: list[dict]) -> dict[str, dict[str, float]]:
    """Mode to mean and standard deviation (of the sample; 0 for one run) of the accuracy over the runs."""
    result = {}
    for mode in records[0]["accuracy"]:
        values = [record["accuracy"][mode] for record in records]
        result[mode] = {"mean": statistics.mean(values), "deviation": statistics.stdev(values) if len(values) > 1 else 0.0}
    return result
