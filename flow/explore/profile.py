"""Time of a whole network per group mode."""

from collections.abc import Callable

import torch
from torch import nn

from flow.explore.times import REPEATS, check_batch, median_seconds


@torch.no_grad()
def profile(
    model: nn.Module,
    modes: list[str],
    batches: list[int],
    device: str,
    repeats: int = REPEATS,
    on_mode: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, float]]:
    """Median seconds per batch in floating point with real grouped convolutions.

    Args:
        model: network; left in eval, on the device and in the last mode.
        modes: names of modes.
        batches: images per run.
        device: ``"cpu"`` or ``"cuda"``.

    Returns:
        Mode name to batch size (as text, as JSON has it) to seconds.
    """
    check_batch(model.layers(), max(batches))
    model.set_quantised(False)
    if hasattr(model, "set_grouped"):  # a DenseNet has no groups
        model.set_grouped(True)
    model.to(device).eval()
    size = model.layers()[0].in_size
    images = {batch: torch.rand(batch, 3, size, size, device=device) for batch in batches}
    seconds: dict[str, dict[str, float]] = {}
    for name in modes:
        model.set_mode(name)
        seconds[name] = {}
        for batch, x in images.items():
            seconds[name][str(batch)] = median_seconds(lambda x=x: model(x), device, repeats)
            on_mode()
    return seconds
