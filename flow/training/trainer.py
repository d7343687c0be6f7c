"""Training in phases: the full network alone in floating point, on small crops, because that is cheap; then Algorithm 1 of
WeNet in floating point; then Algorithm 1 with 4-bit weights and activations. One cosine schedule spans them all. At last the
full network may be refined in what no group mode uses (see ``refine``).
"""

import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from flow.data import Dataset
from flow.errors import GatefoldError
from flow.models import create
from flow.models.initialise import calibrate
from flow.models.requantisation import limit_multipliers
from flow.models.resnet import IMAGE_SIZE
from flow.nn.batchnorm import SwitchableBatchNorm2d
from flow.nn.modes import MODES
from flow.training import augment
from flow.training.allocator import keep_freed_memory
from flow.training.checkpoint import load_training_state, save_model, save_training_state
from flow.training.evaluate import accuracy
from flow.training.refine import freeze_shared_statistics, keep_own_gradients, keep_weight_scales, weight_bounds
from flow.training.sampling import accumulate_gradients, sample_networks
from flow.training.schedule import cosine

CHECKPOINT = "checkpoint.pt"
# Crops of the first phase: 24x24 pixels cost 0.56 of 32x32 ones.
SMALL_CROP = 24
WARM_UP = 0.08
# Learning rate of the refinement, as a share of the peak.
REFINE_RATE = 0.4
# Steps between two checks of the requantisation multipliers, which drift slowly.
LIMIT_STEPS = 20
MONITOR_IMAGES = 1000
CALIBRATION_BATCHES = 16


@dataclass(frozen=True)
class Settings:
    """Choices of one run; they are recorded beside the weights.

    Attributes:
        full_epochs, float_epochs, epochs: passes over the training set with the full network alone, with Algorithm 1 in
            floating point, and with Algorithm 1 on 4-bit numbers.
        refine_epochs: then so many epochs of the full network's own weights.
        samples: s of Algorithm 1, sampled networks per step.
        batch: images per step.
        lr: peak learning rate for the sum of the s gradients.
        weight_decay: on weights of convolutions and of the classifier.
        seed: of weights, order, augmentation and sampling.
        steps: cut every epoch short after so many steps (None: whole epochs).
    """

    model: str
    full_epochs: int = 8
    float_epochs: int = 2
    epochs: int = 6
    refine_epochs: int = 0
    samples: int = 3
    batch: int = 128
    lr: float = 0.1
    weight_decay: float = 5e-4
    seed: int = 0
    steps: int | None = None


class Trainer:
    """One training run in a folder.

    Args:
        settings: see ``Settings``.
        dataset: images and labels.
        folder: checkpoints go to folder/checkpoint.pt, weights to folder/MODEL.safetensors.
        device: ``"cpu"`` or ``"cuda"``.
        resume: continue from the folder's checkpoint.
    """

    def __init__(self, settings: Settings, dataset: Dataset, folder: Path, device: str = "cpu", resume: bool = False):
        if settings.batch > len(dataset.train_x):
            raise GatefoldError(
                f"The data set has {len(dataset.train_x)} training images, fewer than one batch; lower --batch below that."
            )
        keep_freed_memory()
        self.settings = settings
        self.dataset = dataset
        self.folder = Path(folder)
        self.device = torch.device(device)
        torch.manual_seed(settings.seed)
        self.model = create(settings.model, dataset.num_classes, float=True).to(self.device)
        self.epoch = 0
        self.seconds = 0.0
        self.history: list[dict] = []
        self.optimiser = self._new_optimiser()
        if resume:
            self._restore()
        self.padded = augment.pad(torch.from_numpy(dataset.train_x)).to(self.device)
        self.labels = torch.from_numpy(dataset.train_y).to(self.device)

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases."""
        return self._refined_from + self.settings.refine_epochs

    @property
    def _refined_from(self) -> int:
        return self._quantised_from + self.settings.epochs

    @property
    def _quantised_from(self) -> int:
        return self.settings.full_epochs + self.settings.float_epochs

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch."""
        steps = len(self.dataset.train_x) // self.settings.batch
        return min(steps, self.settings.steps or steps)

    def _new_optimiser(self, decay: bool = True) -> torch.optim.Optimizer:
        decayed, others = [], []
        for name, parameter in self.model.named_parameters():
            (decayed if name.endswith(("conv.weight", "classifier.weight")) else others).append(parameter)
        groups = [{"params": decayed, "weight_decay": self.settings.weight_decay * decay}, {"params": others, "weight_decay": 0.0}]
        return torch.optim.SGD(groups, lr=self.settings.lr, momentum=0.9, nesterov=True)

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint; the one before stays until the new one is whole."""
        state = {
            "settings": asdict(self.settings),
            "data": self.dataset.name,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "epoch": self.epoch,
            "seconds": self.seconds,
            "history": self.history,
        }
        save_training_state(self.folder / CHECKPOINT, state)

    def _restore(self) -> None:
        state = load_training_state(self.folder / CHECKPOINT)
        for key, value in (("model", self.settings.model), ("seed", self.settings.seed)):
            if state["settings"][key] != value:
                raise GatefoldError(
                    f"The checkpoint in {self.folder} is of {key} {state['settings'][key]}, not {value}; "
                    "use its value or another --output."
                )
        self.model.load_state_dict(state["model"])
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]
        self.model.set_quantised(self.epoch > self._quantised_from)
        self.optimiser = self._new_optimiser(self.epoch <= self._refined_from)  # loading has replaced the learned scales by new parameters
        self.optimiser.load_state_dict(state["optimiser"])

    # -- training -----------------------------------------------------------------------------------------------------

    def _rate(self, step: int) -> float:
        s, per_epoch = self.settings, self.steps_per_epoch
        if self.epoch >= self._refined_from:
            done = (self.epoch - self._refined_from) * per_epoch + step
            return s.lr * REFINE_RATE * cosine(done, s.refine_epochs * per_epoch)
        steps = self._refined_from * per_epoch
        return s.lr * cosine(self.epoch * per_epoch + step, steps, warm_up=max(1, int(WARM_UP * steps)))

    def _enter_phase(self) -> tuple[int, int]:
        """Prepare the model for the coming epoch; (networks per step, pixels of the crops)."""
        s = self.settings
        if self.epoch < s.full_epochs:
            return 1, SMALL_CROP
        if self.epoch == s.full_epochs and s.full_epochs > 0:
            for module in self.model.modules():
                if isinstance(module, SwitchableBatchNorm2d):
                    module.copy_full()
        self.model.set_quantised(self.epoch >= self._quantised_from)
        if self.epoch >= self._refined_from:
            if self.epoch == self._refined_from:
                self.optimiser = self._new_optimiser(decay=False)
            return 1, IMAGE_SIZE
        return s.samples, IMAGE_SIZE

    def run_epoch(self, on_step: Callable[[int, int, float], None] = lambda *_: None) -> dict:
        """Train one epoch, measure, write the checkpoint.

        Args:
            on_step: called as on_step(step, steps, loss of the full network) after every step.

        Returns:
            Record of the epoch: epoch, phase, loss per sampled network, accuracy of the modes in training on the first test images.
        """
        s = self.settings
        start = time.monotonic()
        samples, size = self._enter_phase()
        refining = self.epoch >= self._refined_from
        bounds = weight_bounds(self.model) if refining else {}
        # Seeds depend on the epoch alone, so that a resumed run repeats an uninterrupted one.
        generator = torch.Generator().manual_seed(s.seed * 1_000_003 + self.epoch)
        rng = random.Random(s.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.labels), generator=generator)
        steps = self.steps_per_epoch
        flip = self.dataset.name != "digits"
        sums = [0.0] * samples
        self.model.train()
        if refining:
            freeze_shared_statistics(self.model)
        for step in range(steps):
            index = order[step * s.batch : (step + 1) * s.batch]
            x = augment.crop_and_flip(self.padded, index, generator, size, flip, move=not refining)
            y = self.labels[index.to(self.device)]
            for group in self.optimiser.param_groups:
                group["lr"] = self._rate(step)
            self.optimiser.zero_grad(set_to_none=True)
            losses = accumulate_gradients(self.model, x, y, sample_networks(self.model, samples, rng))
            if not all(math.isfinite(loss) for loss in losses):
                raise GatefoldError(
                    f"The loss is no longer a number in epoch {self.epoch + 1}; the last checkpoint is intact: continue with "
                    f"--resume and a smaller --lr than {s.lr}."
                )
            if refining:
                keep_own_gradients(self.model)
            self.optimiser.step()
            if refining:
                keep_weight_scales(self.model, bounds)
            if self.model.quantised and (step % LIMIT_STEPS == 0 or step == steps - 1):
                limit_multipliers(self.model)
            sums = [total + loss for total, loss in zip(sums, losses)]
            on_step(step + 1, steps, losses[0])
        self.epoch += 1
        record = {
            "epoch": self.epoch,
            "phase": "4-bit" if self.model.quantised else "float" if samples > 1 else "full",
            "loss": [round(total / steps, 4) for total in sums],
            "accuracy": self._monitor(),
        }
        self.seconds += time.monotonic() - start
        record["seconds"] = round(self.seconds)
        self.history.append(record)
        self.save()
        return record

    def _monitor(self) -> dict[str, float]:
        x, y = self.dataset.test_x[:MONITOR_IMAGES], self.dataset.test_y[:MONITOR_IMAGES]
        modes = ("full", "1/4", "1/16") if self.epoch > self.settings.full_epochs else ("full",)
        return {mode: accuracy(self.model, x, y, mode) for mode in modes}

    def finish(self, command: str, test_images: int | None = None, on_batch: Callable[[int], None] = lambda _: None) -> dict:
        """Measure the statistics of the named modes, evaluate them on the test set, write the weights.

        Args:
            command: the command line, for the record.
            test_images: evaluate on so many test images only (None: all).
            on_batch: called with the number of images of each evaluated batch.

        Returns:
            The record that is written beside the weights.
        """
        generator = torch.Generator().manual_seed(self.settings.seed)
        order = torch.randperm(len(self.labels), generator=generator)
        batch = self.settings.batch
        chosen = [order[i * batch : (i + 1) * batch] for i in range(min(CALIBRATION_BATCHES, len(order) // batch))]
        batches = [augment.crop_and_flip(self.padded, index, generator, flip=False) for index in chosen]
        # Refinement has trained with the full network alone, so its running statistics are already those of that mode.
        calibrate(self.model, batches, full=self.epoch <= self._refined_from)
        if self.model.quantised:
            limit_multipliers(self.model)
        x, y = self.dataset.test_x[:test_images], self.dataset.test_y[:test_images]
        record = {
            "data": self.dataset.name,
            "accuracy": {mode: accuracy(self.model, x, y, mode, on_batch) for mode in MODES},
            "test_images": len(y),
            "command": command,
            "settings": asdict(self.settings),
            "epochs_done": self.epoch,
            "seconds": round(self.seconds),
            "device": self.device.type,
        }
        self.model.set_mode("full")
        save_model(self.model, self.folder / f"{self.model.name}.safetensors", record)
        return record
