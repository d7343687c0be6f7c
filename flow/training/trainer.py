"""One training run: the phases of a method, epoch after epoch, with a checkpoint after each."""

import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from flow.atomic import make_folder
from flow.data import Dataset
from flow.data.held_out import split
from flow.errors import GatefoldError
from flow.models import name_of
from flow.models.network import Network
from flow.models.slimmable import SlimmableResNet
from flow.models.user import in_words
from flow.nn.modes import mode_names
from flow.training import augment, distributed
from flow.training.allocator import keep_freed_memory
from flow.training.checkpoint import REMEDY, load_training_state, save_model, save_training_state
from flow.training.evaluate import accuracy
from flow.training.graphs import Eager, Graphs
from flow.training.methods import Method
from flow.training.phase import Phase
from flow.training.schedule import cosine
from flow.training.views import Targets, Views
from flow.training.work import Work, exit_table

CHECKPOINT = "checkpoint.pt"
CALIBRATION_BATCHES = 16
PRECISIONS = ("float32", "bfloat16")
# On a CUDA device, where epochs are short and looking at a number stops the work: steps between two looks at the loss, and
# seconds between two epochs whose accuracy is measured and whose checkpoint is written.
LOOK = 64
INTERVAL = 60.0


@dataclass(frozen=True)
class Settings:
    """What all methods have in common; recorded beside the weights.

    Attributes:
        model: name of the network.
        batch: images per step.
        lr: peak learning rate.
        weight_decay: on weights of convolutions and of linear layers; None: that of the method.
        seed: of weights, order, augmentation and sampling.
        steps: cut every epoch short after so many steps (None: whole epochs).
        held_out: training images that are kept out of training, for choices such as those of a search; at most a tenth of them.
        mirror: whether images are exchanged left to right at random; None: as the checkpoint says that is gone on with, else
            whether the data set is known to allow it.
        teacher: file of ``Views`` whose targets the group modes learn from (see ``Targets``), or None: labels alone.
        temperature, share: see ``Targets``.
        precision: of the maps in training, one of ``PRECISIONS``; weights, their sums and evaluation do not depend on it.
    """

    model: str
    batch: int = 128
    lr: float = 0.1
    weight_decay: float | None = None
    seed: int = 0
    steps: int | None = None
    held_out: int = 1000
    mirror: bool | None = None
    precision: str = "float32"
    teacher: str | None = None
    temperature: float = 4.0
    share: float = 0.9

    def of(self, method: Method) -> "Settings":
        """With the weight decay of the method if there is none."""
        return replace(self, weight_decay=method.weight_decay) if self.weight_decay is None else self

    def record(self, method: Method) -> dict:
        """These and the method's options by name, as they stand in checkpoints and beside weights."""
        return {"method": method.name, **asdict(self), **asdict(method)}


def with_mirror(settings: dict, data: str) -> dict:
    """The recorded settings of a run on a data set, old ones too: before there was a choice, all images but digits were mirrored."""
    return {"mirror": data not in ("digits", "svhn"), **settings}


class Trainer:
    """One training run in a folder: stochastic gradient descent with Nesterov's momentum of 0.9 and cosines of the learning rate.

    Args:
        settings: see ``Settings``.
        method: what to train, for example ``WeNet()``.
        dataset: images and labels.
        folder: checkpoints go to folder/checkpoint.pt, weights to folder/MODEL.safetensors.
        device: ``"cpu"`` or ``"cuda"``.
        resume: continue from the folder's checkpoint.

    Attributes:
        changed: options that are others than in the checkpoint, each with its old and new value.
    """

    def __init__(
        self, settings: Settings, method: Method, dataset: Dataset, folder: Path, device: str = "cpu", resume: bool = False
    ):
        self.device = distributed.join(device)
        if self.device.type == "cuda":
            torch.cuda.set_stream(torch.cuda.Stream(self.device))  # the default one cannot be recorded
            torch.backends.cudnn.benchmark = True
            torch.backends.cudnn.allow_tf32 = False
        self.device_name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        if settings.batch % distributed.size():
            raise GatefoldError(
                f"A batch of {settings.batch} cannot be shared by {distributed.size()} processes; give a multiple as --batch."
            )
        rest, self.held_x, self.held_y = split(dataset, min(settings.held_out, len(dataset.train_x) // 10))
        if settings.batch > len(rest.train_x):
            raise GatefoldError(
                f"The data set has {len(rest.train_x)} images to train on, fewer than one batch; lower --batch below that."
            )
        keep_freed_memory()
        self.settings = settings.of(method)
        self.method = method
        self.phases = [phase for phase in method.phases() if phase.epochs]
        self.dataset = rest
        self.folder = Path(folder)
        torch.manual_seed(settings.seed)
        self.model = method.create(settings.model, dataset.num_classes).to(self.device)
        if self.model.image_size not in (None, dataset.image_size):
            raise GatefoldError(
                f"{settings.model} takes images of {self.model.image_size}x{self.model.image_size} pixels and {dataset.name} has "
                f"{dataset.image_size}x{dataset.image_size}; choose another of them."
            )
        self._set_precision(settings.precision)
        self.epoch = 0
        self.seconds = 0.0
        self.history: list[dict] = []
        self.changed: dict[str, tuple] = {}
        self.record = Eager()
        self._written = 0.0
        self.optimiser = self._new_optimiser(self.phases[0])
        if resume:
            self._restore()
        if self.settings.mirror is None:
            self.settings = replace(self.settings, mirror=dataset.mirrored)
        make_folder(self.folder)
        self.images = augment.Images(rest.train_x, self.device)
        self.labels = torch.from_numpy(rest.train_y).to(self.device)
        self.views = self._load_views(settings.teacher)

    def _set_precision(self, precision: str) -> None:
        if precision == "float32":
            return
        if not isinstance(self.model, Network) or isinstance(self.model, SlimmableResNet):
            raise GatefoldError(f"{self.model.name} cannot be trained in {precision} like this; train with --precision float32.")
        if distributed.size() > 1:
            raise GatefoldError(f"Training in {precision} is for one process; train with --precision float32.")
        self.model.set_fused(torch.bfloat16)

    def _load_views(self, path: str | None) -> Views | None:
        if path is None:
            return None
        if self.method.name != "wenet" or distributed.size() > 1:
            raise GatefoldError("A teacher is for the method wenet in one process; train without --teacher.")
        return Views.load(path, self.dataset.name, len(self.labels), self.model.num_classes, self.device)

    @property
    def total_epochs(self) -> int:
        """Epochs of all phases."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in one epoch."""
        steps = len(self.dataset.train_x) // self.settings.batch
        return min(steps, self.settings.steps or steps)

    def _locate(self, epoch: int) -> tuple[int, int]:
        """(index of the phase of an epoch that is not the end, first epoch of that phase)."""
        start = 0
        for i, phase in enumerate(self.phases):
            if epoch < start + phase.epochs:
                return i, start
            start += phase.epochs
        raise ValueError(f"epoch {epoch} is beyond the last phase")

    def _span(self, index: int) -> tuple[Phase, int, int]:
        """(phase that started the cosine that covers phase ``index``, first epoch of it, epochs in it)."""
        first = max(i for i in range(index + 1) if i == 0 or self.phases[i].restart)
        end = next((i for i in range(first + 1, len(self.phases)) if self.phases[i].restart), len(self.phases))
        epochs = [phase.epochs for phase in self.phases]
        return self.phases[first], sum(epochs[:first]), sum(epochs[first:end])

    def _new_optimiser(self, phase: Phase) -> torch.optim.Optimizer:
        decayed, others = [], []
        for name, parameter in phase.parameters(self.model):
            (decayed if name.endswith("weight") and parameter.dim() > 1 else others).append(parameter)
        decay = self.settings.weight_decay * phase.decay
        groups = [{"params": decayed, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
        if self.device.type == "cuda":
            lr = torch.tensor(self.settings.lr, device=self.device)
            return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=True)
        return torch.optim.SGD(groups, lr=self.settings.lr, momentum=0.9, nesterov=True, foreach=True)

    # -- checkpoints --------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint; the one before stays until the new one is whole."""
        if distributed.rank() > 0:
            return
        state = {
            "settings": self.settings.record(self.method),
            "data": self.dataset.name,
            "layers": self._layers(),
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "phases": [phase.state_dict() for phase in self.phases],
            "epoch": self.epoch,
            "seconds": self.seconds,
            "device": self.device_name,
            "history": self.history,
        }
        save_training_state(self.folder / CHECKPOINT, state)

    def _layers(self) -> list[str]:
        """The layers of a user's network, which may change between two runs; none of others."""
        return in_words(self.model.layers()) if getattr(self.model, "source", None) else []

    def _restore(self) -> None:
        state = load_training_state(self.folder / CHECKPOINT)
        saved = {**with_mirror(state["settings"], state["data"]), "data": state["data"]}
        wanted = {"method": self.method.name, "model": self.settings.model, "seed": self.settings.seed, "data": self.dataset.name}
        if self._layers() != state.get("layers", []):
            raise GatefoldError(
                f"The checkpoint in {self.folder} is of a {self.model.name} with other layers; restore its file, or use another --output."
            )
        for key, value in wanted.items():
            same = name_of(str(saved.get(key))) == name_of(value) if key == "model" else saved.get(key) == value
            if not same:
                raise GatefoldError(
                    f"The checkpoint in {self.folder} is of {key} {saved.get(key)}, not {value}; use its value or another --output."
                )
        if self.settings.mirror is None:
            self.settings = replace(self.settings, mirror=saved["mirror"])
        now = self.settings.record(self.method)
        self.changed = {key: (old, now[key]) for key, old in saved.items() if key in now and old != now[key]}
        if state["epoch"] > self.total_epochs:
            raise GatefoldError(
                f"The checkpoint in {self.folder} has {state['epoch']} epochs behind it and the options ask for {self.total_epochs}; "
                "ask for as many or more, or use another --output."
            )
        try:
            self.model.load_state_dict(state["model"])
        except (RuntimeError, TypeError, AttributeError):
            raise GatefoldError(
                f"The checkpoint in {self.folder} is of a {self.settings.model} with other gates, exits or classes; use its options "
                "or another --output."
            ) from None
        self.epoch, self.seconds, self.history = state["epoch"], state["seconds"], state["history"]
        if self.epoch == self.total_epochs:  # nothing is left to train here
            self.device_name = state.get("device", self.device_name)
        index, _ = self._locate(max(self.epoch, 1) - 1)
        self.model.set_quantised(self.phases[index].quantised)
        # Made after loading, which replaces the learned scales by new parameters.
        self.optimiser = self._new_optimiser(self._span(index)[0])
        try:
            for phase, kept in zip(self.phases, state["phases"]):
                phase.load_state_dict(dict(kept))
            own = [{key: group[key] for key in ("lr", "foreach", "fused")} for group in self.optimiser.param_groups]
            self.optimiser.load_state_dict(state["optimiser"])
            for group, of_this_device in zip(self.optimiser.param_groups, own):
                group.update(of_this_device)
        except (ValueError, KeyError, TypeError, AttributeError, RuntimeError):
            raise GatefoldError(f"The checkpoint in {self.folder} is damaged or of other phases; {REMEDY}.") from None

    # -- training -----------------------------------------------------------------------------------------------------

    def _rate(self, index: int, step: int) -> float:
        leader, first, epochs = self._span(index)
        steps = epochs * self.steps_per_epoch
        done = (self.epoch - first) * self.steps_per_epoch + step
        return self.settings.lr * leader.rate * cosine(done, steps, warm_up=math.ceil(leader.warm_up * steps))

    def _pass_over_unwanted(self) -> None:
        while self.epoch < self.total_epochs:
            index, start = self._locate(self.epoch)
            if self.epoch > start or self.phases[index].wanted():
                return
            self.epoch += self.phases[index].epochs

    def _enter_phase(self) -> tuple[int, Phase]:
        index, start = self._locate(self.epoch)
        phase = self.phases[index]
        self.model.set_quantised(phase.quantised)
        if self.epoch == start:
            phase.begin(self.model)
            if index > 0 and phase.restart:
                self.optimiser = self._new_optimiser(phase)
        if phase.record is not self.record:
            # Only fused maps leave everything on the device.
            graphs = phase.recordable and self.device.type == "cuda" and self.settings.precision == "bfloat16"
            phase.record = self.record = Graphs() if graphs else Eager()
        self.model.train()
        phase.enter(self.model)
        return index, phase

    def _examples(self, phase: Phase, batch: Tensor, generator: torch.Generator, size: int) -> tuple[Tensor, Tensor | Targets]:
        """Images and what they are to give; a teacher has no outputs for crops of another size, nor for those in the centre."""
        labels = self.labels[distributed.share(batch).to(self.device)]
        if self.views is None or size != self.dataset.image_size or not phase.move:
            mirror = self.settings.mirror
            x = augment.crop_and_flip(self.images, batch, generator, size, mirror, phase.move, distributed.share)
            return self.record.fixed("x", x), self.record.fixed("labels", labels)
        x, logits = self.views.take(self.images, batch, self.epoch)
        return self.record.fixed("x", x), Targets(
            self.record.fixed("labels", labels), self.record.fixed("logits", logits), self.settings.temperature, self.settings.share
        )

    def _set_rate(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def run_epoch(self, on_step: Callable[[int, int, float], None] = lambda *_: None) -> dict:
        """Train one epoch, measure, write the checkpoint.

        Args:
            on_step: called as on_step(step, steps, first of the phase's losses) after every step.

        Returns:
            Record of the epoch: epoch, phase, mean losses, accuracy of the modes in training on held-out images.
        """
        s = self.settings
        start = time.monotonic()
        index, phase = self._enter_phase()
        # Seeds depend on the epoch alone, so that a resumed run repeats an uninterrupted one.
        generator = torch.Generator(self.device).manual_seed(s.seed * 1_000_003 + self.epoch)
        rng = random.Random(s.seed * 1_000_003 + self.epoch)
        torch.manual_seed(s.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.labels), generator=generator, device=generator.device)
        steps = self.steps_per_epoch
        size = round(phase.crop * self.dataset.image_size)
        sums, looks = None, 0
        for step in range(steps):
            batch = order[step * s.batch : (step + 1) * s.batch]
            x, y = self._examples(phase, batch, generator, size)
            self._set_rate(self._rate(index, step))
            self.record.clear(list(self.model.parameters()))
            losses = phase.losses(self.model, x, y, rng)
            look = self.device.type == "cpu" or step % LOOK == 0 or step == steps - 1
            if look:
                losses = distributed.average([float(loss) for loss in losses])
                if not all(math.isfinite(loss) for loss in losses):
                    raise GatefoldError(
                        f"The loss is no longer a number in epoch {self.epoch + 1}; the last checkpoint is intact: continue with "
                        f"--resume and a smaller --lr than {s.lr}."
                    )
                sums = [total + loss for total, loss in zip(sums or [0.0] * len(losses), losses)]
                looks += 1
            distributed.average_gradients(self.model.parameters())
            if phase.largest_norm is not None:
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), phase.largest_norm)
            self.record("step", self.optimiser.step)
            phase.after_step(self.model, step)
            if look:
                on_step(step + 1, steps, losses[0])
        phase.leave(self.model)
        self.epoch += 1
        done = self.epoch
        self._pass_over_unwanted()
        record = {
            "epoch": done,
            "phase": phase.name,
            "loss": [round(total / looks, 4) for total in sums],
            "accuracy": {},
            "processes": distributed.size(),
        }
        last = done == self.total_epochs or self._locate(done)[0] != index
        due = last or self.device.type == "cpu" or time.monotonic() - self._written > INTERVAL
        if due:
            record["accuracy"] = self._monitor(self.method.monitored(phase))
            self._written = time.monotonic()
        self.seconds += time.monotonic() - start
        record["seconds"] = round(self.seconds)
        self.history.append(record)
        if due:
            self.save()
        distributed.wait()
        return record

    def _monitor(self, modes: list[str]) -> dict[str, float]:
        return {mode: accuracy(self.model, self.held_x, self.held_y, mode) for mode in modes if len(self.held_x)}

    def _calibration_batches(self, move: bool = False) -> list[torch.Tensor]:
        """Training images as inference sees them: the zeros around moved crops shift the statistics, and with them the gates.

        Args:
            move: as training sees them instead, and twice as many, which networks without gates do better with.
        """
        generator = torch.Generator(self.device).manual_seed(self.settings.seed)
        order = torch.randperm(len(self.labels), generator=generator, device=generator.device)
        batch, size, flip = self.settings.batch, self.dataset.image_size, move and self.settings.mirror
        count = min(CALIBRATION_BATCHES * (2 if move else 1), len(order) // batch)
        chosen = [order[i * batch : (i + 1) * batch] for i in range(count)]
        return [augment.crop_and_flip(self.images, index, generator, size, flip=flip, move=move) for index in chosen]

    def finish(self, command: str, test_images: int | None = None, on_batch: Callable[[int], None] = lambda _: None) -> dict:
        """Finish as the method says, evaluate the modes on the test set (if they were trained with the gates off, that
        too), write the weights.

        Args:
            command: the command line, for the record.
            test_images: evaluate on so many test images only (None: all).
            on_batch: called with the number of images of each evaluated batch of a mode.

        Returns:
            The record that is written beside the weights.
        """
        index, _ = self._locate(self.epoch - 1)
        if self.settings.precision != "float32":
            self.model.set_fused(None)
        self.method.finish(self.model, self._calibration_batches, self.phases[: index + 1])
        self.model.to("cpu")  # the integers of the hardware are computed on a processor
        x, y = self.dataset.test_x[:test_images], self.dataset.test_y[:test_images]
        reached, work = {}, {}
        for mode in mode_names(self.model):
            measured = Work(self.model)
            reached[mode] = accuracy(self.model, x, y, mode, lambda n: (measured.add(n), on_batch(n)))
            work[mode] = measured.record()
        self.model.set_mode("full")
        exits = exit_table(self.model, x, y)
        ungated = {}
        if getattr(self.model, "ungated", False):
            self.model.set_gates(False)
            ungated = {mode: accuracy(self.model, x, y, mode) for mode in mode_names(self.model)}
            self.model.set_gates(True)
            self.model.set_mode("full")
        record = {
            "data": self.dataset.name,
            **({"class_names": list(self.dataset.class_names)} if self.dataset.class_names else {}),
            "accuracy": reached,
            **({"work": work} if work["full"] else {}),
            **({"exits": exits} if exits else {}),
            **({"ungated": ungated} if ungated else {}),
            "test_images": len(y),
            "held_out": len(self.held_x),
            "command": command,
            "settings": self.settings.record(self.method),
            "epochs_done": self.epoch,
            "seconds": round(self.seconds),
            "device": self.device_name,
            "processes": distributed.size(),
        }
        if distributed.rank() == 0:
            save_model(self.model, self.folder / f"{self.model.name}.safetensors", record)
        return record
