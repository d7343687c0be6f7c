"""Data augmentation on uint8 images in memory: random crop after zero padding, random flip."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

PADDING = 4


def pad(images: Tensor) -> Tensor:
    """uint8 [N, H, W, 3] to [N, H+8, W+8, 3], zeros around; done once."""
    return F.pad(images, (0, 0, PADDING, PADDING, PADDING, PADDING))


def crop_and_flip(
    padded: Tensor,
    index: Tensor,
    generator: torch.Generator,
    size: int = 32,
    flip: bool = True,
    move: bool = True,
    share: Callable[[Tensor], Tensor] = lambda batch: batch,
) -> Tensor:
    """Augmented batch.

    Args:
        padded: uint8 [N, H+8, W+8, 3] from ``pad``.
        index: int64 [B], the images of the batch.
        generator: source of the random offsets.
        size: height and width of the crops; crops smaller than the images are taken inside of them, without padding.
        move: whether crops are taken at random places, or in the centre.
        flip: whether left and right may be exchanged (not for digits).
        share: picks the images that are wanted, [B, ...] to [b, ...]; the random numbers are drawn for the whole batch.

    Returns:
        float32 [b, 3, size, size] in 0..1, channels last.
    """
    b = len(index)
    image = padded.shape[1] - 2 * PADDING
    first, choices = (0, 2 * PADDING + 1) if size == image else (PADDING, image - size + 1)
    offset = first + torch.randint(0, choices, (2, b), generator=generator).to(padded.device)
    if not move:
        offset = torch.full_like(offset, first + choices // 2)
    mirrored = (torch.rand(b, generator=generator) < 0.5).to(padded.device) & flip
    index, offset, mirrored = share(index), share(offset.t()).t(), share(mirrored)
    line = torch.arange(size, device=padded.device)
    rows = offset[0][:, None] + line
    columns = offset[1][:, None] + torch.where(mirrored[:, None], line.flip(0), line)
    batch = padded[index.to(padded.device)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return batch.permute(0, 3, 1, 2).float().mul_(1 / 255)
