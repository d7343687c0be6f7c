"""Algorithm 1 of WeNet (Ma and Reda): full network, smallest, s-2 random ones; gradients accumulated, one step."""

import random
from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from flow.nn.modes import MODES, group_vector
from flow.training.graphs import Eager
from flow.training.views import Targets, target_loss


def sample_networks(model: nn.Module, samples: int, rng: random.Random, uniform: float = 0.0) -> Iterator[dict[str, int]]:
    """Group vectors of one training step, layer name to group count.

    Args:
        model: network with ``layers()``.
        samples: s, at least 1: the first is the full network, the second the smallest, the others random per layer.
        rng: source of the random ones.
        uniform: share of those others that are one of the named modes between the two instead, which are what is used later.
    """
    specs = model.layers()
    for i in range(samples):
        if i == 0:
            yield {spec.name: min(spec.group_counts) for spec in specs}
        elif i == 1:
            yield {spec.name: max(spec.group_counts) for spec in specs}
        elif uniform and rng.random() < uniform:
            yield group_vector(model, rng.choice(MODES[1:-1]))
        else:
            yield {spec.name: rng.choice(spec.group_counts) for spec in specs}


def sample_settings(model: nn.Module, samples: int, rng: random.Random) -> Iterator[tuple[dict[str, int], bool]]:
    """(group vector, gates on) of a step: those of ``sample_networks``; if they are several, one of them once more with the
    gates off."""
    vectors = list(sample_networks(model, samples, rng))
    for vector in vectors:
        yield vector, True
    if samples > 1:
        yield rng.choice(vectors), False


def accumulate_gradients(
    model: nn.Module, x: Tensor, y: Tensor | Targets, vectors: Iterable[str | dict[str, int]], record: Eager | None = None
) -> list[Tensor]:
    """Forward and backward through every sampled network.

    Args:
        x: float images [N, 3, 32, 32]; y: labels int64 [N], or ``Targets``.
        vectors: group vectors from ``sample_networks``, or names of modes.
        record: does the work; None: as it is.

    Returns:
        The loss (see ``target_loss``) of every sampled network; the parameters' ``grad`` holds the sum of their gradients.
    """
    record = record or Eager()

    def pass_through() -> Tensor:
        loss = target_loss(model(x), y)
        loss.backward()
        return loss.detach()

    losses = []
    with record.held(model).used(record):
        for vector in vectors:
            model.set_mode(vector)
            key = vector if isinstance(vector, str) else tuple(vector.values())
            losses.append(record(key, pass_through))
    return losses
