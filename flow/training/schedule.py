"""Learning rate over a training run."""

import math


def cosine(step: int, steps: int, warm_up: int = 0) -> float:
    """Factor 0..1 of the peak rate: linear over ``warm_up`` steps, then half a cosine down to zero at ``steps``."""
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))
