"""Data augmentation on uint8 images: random crop after zero padding, random flip."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from flow.data.jpegs import Jpegs

PADDING = 4


def pad(images: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] to [N, H+8, W+8, 3], zeros around; done once."""
    return F.pad(images, (0, 0, PADDING, PADDING, PADDING, PADDING))


class Images:
    """Training images, padded, from which batches are taken.

    Args:
        images: uint8 [N, H, W, 3]; an array goes to the device at once, ``Jpegs`` are decoded batch by batch.
        device: where batches go.
    """

    def __init__(self, images: np.ndarray | Jpegs, device: torch.device):
        self.size = images.shape[1]
        self.device = device
        self._images = images
        self._padded = pad(torch.from_numpy(images)).to(device) if isinstance(images, np.ndarray) else None

    def __len__(self) -> int:
        return len(self._images)

    def take(self, index: Tensor) -> Tensor:
        """uint8 [B, H+8, W+8, 3] of the images ``index``, int64 [B]."""
        if self._padded is not None:
            return self._padded[index.to(self.device)]
        return pad(torch.from_numpy(np.asarray(self._images[index.cpu().numpy()]))).to(self.device)


def crop_and_flip(
    images: Images,
    index: Tensor,
    generator: torch.Generator,
    size: int,
    flip: bool = True,
    move: bool = True,
    share: Callable[[Tensor], Tensor] = lambda batch: batch,
) -> Tensor:
    """Augmented batch.

    Args:
        images: where they come from.
        index: int64 [B], the images of the batch.
        generator: source of the random offsets, of this device or the processor.
        size: height and width of the crops; crops smaller than the images are taken inside of them, without padding.
        move: whether crops are taken at random places, or in the centre.
        flip: whether left and right may be exchanged (not for digits).
        share: picks the images that are wanted, [B, ...] to [b, ...]; the random numbers are drawn for the whole batch.

    Returns:
        float32 [b, 3, size, size] in 0..1, channels last.
    """
    b = len(index)
    first, choices = (0, 2 * PADDING + 1) if size == images.size else (PADDING, images.size - size + 1)
    offset = first + torch.randint(0, choices, (2, b), generator=generator, device=generator.device).to(images.device)
    if not move:
        offset = torch.full_like(offset, first + choices // 2)
    mirrored = (torch.rand(b, generator=generator, device=generator.device) < 0.5).to(images.device) & flip
    return cut(images, share(index), share(offset.t()).t(), share(mirrored), size)


def cut(images: Images, index: Tensor, offset: Tensor, mirrored: Tensor, size: int) -> Tensor:
    """Given crops of the padded images.

    Args:
        images: where they come from.
        index: int64 [B].
        offset: int64 [2, B], first row and column of each crop.
        mirrored: bool [B], whether left and right are exchanged.
        size: height and width of the crops.

    Returns:
        float32 [B, 3, size, size] in 0..1, channels last.
    """
    line = torch.arange(size, device=images.device)
    rows = offset[0][:, None] + line
    columns = offset[1][:, None] + torch.where(mirrored[:, None], line.flip(0), line)
    padded = images.take(index)
    every = torch.arange(len(index), device=images.device)
    batch = padded[every[:, None, None], rows[:, :, None], columns[:, None, :]]
    return batch.permute(0, 3, 1, 2).float().mul_(1 / 255)


def as_in_training(images: np.ndarray, flip: bool, seed: int = 0) -> np.ndarray:
    """Images as training sees them, for statistics of batch normalisation: the zeros around moved crops are part of what it measured.

    Args:
        images: uint8 [N, H, W, C].
        flip: whether left and right may be exchanged.
        seed: of the crops.

    Returns:
        uint8 [N, H, W, C].
    """
    generator = torch.Generator().manual_seed(seed)
    batch = crop_and_flip(Images(images, torch.device("cpu")), torch.arange(len(images)), generator, images.shape[1], flip)
    return batch.mul_(255).round_().to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
