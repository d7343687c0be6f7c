"""Accuracy on a test set."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import nn

from flow.errors import GatefoldError

ANY_SIZE = 224


def batches(images: np.ndarray, size: int = 128) -> Iterator[tuple[int, np.ndarray]]:
    """(first image, images) of each batch; GatefoldError where there is none, since no share of nothing can be told."""
    if not len(images):
        raise GatefoldError("There are no images to measure on; give at least one.")
    for start in range(0, len(images), size):
        yield start, images[start : start + size]


def image_size(model: nn.Module) -> int:
    """Height and width of the images for a network: its own, or 224 where it takes any."""
    return model.image_size or ANY_SIZE


def as_input(model: nn.Module, images: np.ndarray) -> torch.Tensor:
    """uint8 [N, H, W, 3] as what the network takes: float [N, 3, H, W] in 0..1 on its device."""
    pixels = torch.from_numpy(np.asarray(images)).to(next(model.parameters()).device)
    return pixels.permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def predict(
    model: nn.Module,
    images: np.ndarray,
    mode: str | dict[str, int],
    batch: int = 128,
    on_batch: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Predicted classes in one mode.

    Args:
        model: network; left in eval and in ``mode``. Quantised networks compute with the integers of the hardware.
        images: uint8 [N, 32, 32, 3], at least one.
        mode: name of a group mode, or group count per layer name.
        on_batch: called with the number of images of each batch.

    Returns:
        int64 [N]; the lowest index wins a tie.
    """
    model.eval()
    model.set_mode(mode)
    classes = []
    for _, part in batches(images, batch):
        if model.quantised and hasattr(model, "integer_logits"):
            logits = model.integer_logits(part)
        else:
            logits = model(as_input(model, part)).cpu().numpy()
        classes.append(logits.argmax(1))
        on_batch(len(part))
    return np.concatenate(classes).astype(np.int64)


def accuracy(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, mode: str, on_batch: Callable[[int], None] = lambda _: None
) -> float:
    """Share of correct predictions in one mode, 0..1; arguments as in ``predict``."""
    return float((predict(model, images, mode, on_batch=on_batch) == labels).mean())
