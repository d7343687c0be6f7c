"""Fixed views of the training images with a teacher's outputs for them: targets of distillation (Hinton et al., arXiv:1503.02531).

A view is a crop of the padded image, mirrored or not. Teacher and student see the same pixels, which a student needs (Beyer et
al., arXiv:2106.05237), and the teacher runs once for all students. In one epoch a student sees one view of every image; images
are mirrored in every other view (alternating flip: Jordan, arXiv:2404.00498).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from flow.atomic import write_atomically
from flow.errors import GatefoldError
from flow.training.augment import PADDING, Images, cut

PART = 128


@dataclass(frozen=True)
class Targets:
    """What the networks of a step are to give: labels int64 [N], and the teacher's logits [N, classes].

    The loss is (1 - share) * cross-entropy of the labels + share * T^2 * Kullback-Leibler divergence from the teacher's
    probabilities at temperature T, but for a constant (eq. (4) and section 2 of Hinton et al.).
    """

    labels: Tensor
    logits: Tensor
    temperature: float
    share: float

    def loss(self, logits: Tensor) -> Tensor:
        """Of a network's logits [N, classes]."""
        t = self.temperature
        soft = F.kl_div(F.log_softmax(logits / t, 1), F.log_softmax(self.logits / t, 1), reduction="batchmean", log_target=True)
        return (1 - self.share) * F.cross_entropy(logits, self.labels) + self.share * t * t * soft


def target_loss(logits: Tensor, y: Tensor | Targets) -> Tensor:
    """Loss of logits [N, classes]: mean cross-entropy of labels int64 [N], or that of ``Targets``."""
    return y.loss(logits) if isinstance(y, Targets) else F.cross_entropy(logits, y)


class Views:
    """Views of N images.

    Args:
        offsets: uint8 [V, 2, N], first row and column of the crop in the padded image.
        mirrored: bool [V, N].
        logits: float16 [V, N, classes].
        data: name of the data set.
    """

    def __init__(self, offsets: Tensor, mirrored: Tensor, logits: Tensor, data: str):
        self.offsets, self.mirrored, self.logits, self.data = offsets, mirrored, logits, data

    def take(self, images: Images, index: Tensor, epoch: int) -> tuple[Tensor, Tensor]:
        """Float images [B, 3, H, W] and the teacher's logits [B, classes] of the images ``index`` [B] in an epoch."""
        view = epoch % len(self.logits)
        x = cut(images, index, self.offsets[view][:, index].long(), self.mirrored[view][index], images.size)
        return x, self.logits[view][index].float()

    def save(self, path: Path) -> None:
        """Write a .safetensors file."""
        tensors = {"offsets": self.offsets, "mirrored": self.mirrored.to(torch.uint8), "logits": self.logits}
        tensors = {name: tensor.cpu() for name, tensor in tensors.items()}
        write_atomically(path, lambda temporary: temporary.write_bytes(save(tensors, {"data": self.data})))

    @staticmethod
    def load(path: str | Path, data: str, images: int, classes: int, device: torch.device | str = "cpu") -> "Views":
        """Read what ``save`` wrote, to a device; GatefoldError unless it is of so many training images of the named data set."""
        try:
            with safe_open(path, "pt") as file:
                offsets, mirrored, logits = (file.get_tensor(key) for key in ("offsets", "mirrored", "logits"))
                named = (file.metadata() or {}).get("data")
        except (OSError, SafetensorError) as error:
            raise GatefoldError(f"{path} cannot be read as a teacher's outputs; make it with `gatefold teach`.") from error
        if named != data or logits.shape[1:] != (images, classes):
            raise GatefoldError(
                f"{path} is of {logits.shape[1]} images of {named}, and training is on {images} of {data}; run `gatefold teach` with "
                "this --data and --held-out."
            )
        return Views(offsets.to(device), mirrored.to(device).bool(), logits.to(device), named)


@torch.no_grad()
def make_views(
    teacher: Callable[[Tensor], Tensor],
    images: Images,
    views: int,
    data: str,
    flip: bool,
    seed: int,
    on_batch: Callable[[int], None] = lambda _: None,
) -> Views:
    """Random views of all images and the teacher's outputs for them.

    Args:
        teacher: float images [B, 3, H, W] to logits, in eval.
        views: of each image; flip: whether images may be mirrored.
        on_batch: called with the number of views of each batch.
    """
    count = len(images)
    generator = torch.Generator(images.device).manual_seed(seed)
    offsets = torch.randint(0, 2 * PADDING + 1, (views, 2, count), generator=generator, device=images.device).to(torch.uint8)
    first = torch.rand(count, generator=generator, device=images.device) < 0.5
    mirrored = torch.stack([(first ^ bool(view % 2)) & flip for view in range(views)])
    logits = []
    for view in range(views):
        for index in torch.arange(count, device=images.device).split(PART if images.device.type == "cpu" else PART * 16):
            x = cut(images, index, offsets[view][:, index].long(), mirrored[view][index], images.size)
            logits.append(teacher(x).half())
            on_batch(len(index))
    return Views(offsets, mirrored, torch.cat(logits).view(views, count, -1), data)
