"""A wide floating-point network whose outputs are the targets of small ones (see ``views``).

It is in the manner of those that reach 94 % on CIFAR-10 within ten epochs (Jordan, arXiv:2404.00498; Page's ResNet-9): wide
convolutions, large poolings, batches of 512, a triangle for the learning rate; most epochs on small crops, which cost half.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flow.data import Dataset
from flow.data.held_out import split
from flow.errors import GatefoldError
from flow.nn.batchnorm import track
from flow.nn.fused import normalise_and_activate
from flow.training.allocator import keep_freed_memory
from flow.training.augment import Images, crop_and_flip
from flow.training.checkpoint import load_training_state, save_training_state
from flow.training.evaluate import as_input

WIDTHS = (32, 64, 256, 256)
BATCH = 512
RATE = 0.4
WEIGHT_DECAY = 5e-4
# Share of the steps until the learning rate is at its peak.
WARM_UP = 0.2
# Share of the epochs on crops of 24x24 pixels.
SMALL_CROPS = 0.6
# The gradient of a mean over this many images is what the rate is for; smaller parts of a batch fit the cache better.
PART = 128
CHECKPOINT = "checkpoint.pt"


class _Unit(nn.Module):
    """3x3 convolution, pooling 2x2 if asked for, batch normalisation, ReLU (capped at 15); maps are bfloat16."""

    def __init__(self, in_channels: int, out_channels: int, pool: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)
        self.pool = pool

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        v = F.conv2d(x, self.conv.weight.to(x.dtype), None, 1, 1)
        if self.pool:
            v = F.max_pool2d(v, 2)
        if not self.training:
            y = self.norm(v.float())
            return F.hardtanh(y if residual is None else y + residual.float(), 0.0, 15.0).to(x.dtype)
        scale = torch.ones((), device=v.device)
        y, mean, inv_std = normalise_and_activate(v, self.norm, scale, residual, quantised=False)
        track(self.norm, mean, inv_std, v.numel() // v.shape[1])
        return y


class Teacher(nn.Module):
    """Float images [N, 3, H, W] in 0..1, with H and W multiples of 8, to float logits [N, classes].

    Args:
        width: multiplies the channels of every layer.
    """

    def __init__(self, num_classes: int = 10, width: int = 1):
        super().__init__()
        widths = [width * channels for channels in WIDTHS]
        self.stem = _Unit(3, widths[0])
        pairs = list(zip(widths, widths[1:]))
        self.down = nn.ModuleList(_Unit(a, b, pool=True) for a, b in pairs)
        self.add = nn.ModuleList(_Unit(b, b) for _, b in pairs)
        self.classifier = nn.Linear(widths[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        x = ((x - 0.47) * 4).to(torch.bfloat16, memory_format=torch.channels_last)
        x = self.stem(x)
        for down, add in zip(self.down, self.add):
            x = down(x)
            x = add(x, x)
        return self.classifier(x.float().amax((2, 3))) / 4


STATE = {"model": dict, "optimiser": dict, "epoch": int}
"""What a checkpoint must hold; the rest are the run's options."""


class Teaching:
    """Trains a ``Teacher`` in a folder, epoch after epoch, with a checkpoint after each.

    Args:
        dataset: images of 32x32 pixels and labels.
        folder: checkpoints go to folder/checkpoint.pt.
        epochs: passes over the training set.
        held_out: training images that it does not see, as in ``Settings``: the same ones, so students can be judged on them.
        seed: of weights, order and augmentation.
        steps: cut every epoch short after so many steps (None: whole epochs).
        resume: continue from the folder's checkpoint.
        width: see ``Teacher``.
        device: ``"cpu"`` or ``"cuda"``.
    """

    def __init__(
        self,
        dataset: Dataset,
        folder: Path,
        epochs: int,
        held_out: int,
        seed: int,
        steps: int | None = None,
        resume: bool = False,
        width: int = 1,
        device: str = "cpu",
    ):
        if dataset.image_size != 32:
            raise GatefoldError(f"The teacher is for images of 32x32 pixels and {dataset.name} has others; train without one.")
        keep_freed_memory()
        self.dataset, self.held_x, self.held_y = split(dataset, min(held_out, len(dataset.train_x) // 10))
        self.batch = min(BATCH, len(self.dataset.train_x))
        self.folder, self.epochs, self.seed = folder, epochs, seed
        whole = len(self.dataset.train_x) // self.batch
        self.steps = min(whole, steps or whole)
        torch.manual_seed(seed)
        self.device = torch.device(device)
        self.part = PART if device == "cpu" else self.batch
        self.width = width
        torch.backends.cudnn.benchmark = True
        self.model = Teacher(dataset.num_classes, width).to(self.device)
        decayed = [p for p in self.model.parameters() if p.dim() > 1]
        others = [p for p in self.model.parameters() if p.dim() == 1]
        groups = [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.SGD(groups, lr=RATE, momentum=0.9, nesterov=True, foreach=True)
        self.epoch = 0
        if resume:
            state = load_training_state(folder / CHECKPOINT, STATE)
            if {key: state.get(key) for key in self._options()} != self._options():
                raise GatefoldError(f"The checkpoint in {folder} is of other options; use its options or another --output.")
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.epoch = state["epoch"]
        self.images = Images(self.dataset.train_x, self.device)
        self.labels = torch.from_numpy(self.dataset.train_y).to(self.device)

    def _options(self) -> dict:
        images = len(self.dataset.train_x)
        return {"data": self.dataset.name, "seed": self.seed, "epochs": self.epochs, "images": images, "width": self.width}

    def _rate(self, step: int) -> float:
        done = (self.epoch * self.steps + step + 1) / (self.epochs * self.steps)
        return RATE * min(done / WARM_UP, (1 - done) / (1 - WARM_UP))

    def run_epoch(self, on_step: Callable[[int, Tensor], None] = lambda *_: None) -> float:
        """Train one epoch and write the checkpoint; gives the accuracy on held-out images, 0..1.

        Args:
            on_step: called as on_step(step, loss) after every step.
        """
        generator = torch.Generator(self.device).manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.labels), generator=generator, device=self.device)
        size = 24 if self.epoch < SMALL_CROPS * self.epochs else 32
        self.model.train()
        for step in range(self.steps):
            index = order[step * self.batch : (step + 1) * self.batch]
            x = crop_and_flip(self.images, index, generator, size, self.dataset.mirrored)
            for group in self.optimiser.param_groups:
                group["lr"] = self._rate(step)
            self.optimiser.zero_grad(set_to_none=True)
            total = torch.zeros((), device=self.device)
            for part, y in zip(x.split(self.part), self.labels[index].split(self.part)):
                loss = F.cross_entropy(self.model(part), y) * (len(y) / len(index))
                loss.backward()
                total += loss.detach()
            self.optimiser.step()
            on_step(step + 1, total)
        self.epoch += 1
        state = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "epoch": self.epoch}
        state |= self._options()
        save_training_state(self.folder / CHECKPOINT, state)
        return self.accuracy(self.held_x, self.held_y)

    @torch.no_grad()
    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Share of correct predictions on uint8 images [N, 32, 32, 3] with labels int64 [N]."""
        self.model.eval()
        parts = [self.model(as_input(self.model, images[i : i + PART])).argmax(1) for i in range(0, len(images), PART)]
        return float((torch.cat(parts).cpu().numpy() == labels).mean()) if parts else float("nan")
