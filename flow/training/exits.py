"""Early exits of DDI (Wang et al., JSTSP 2020, section III-B): their loss, and where inference halts."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from flow.costs import Accounting
from flow.nn.trace import Trace
from flow.training.evaluate import as_input, batches


def joint_loss(logits: list[Tensor], labels: Tensor) -> Tensor:
    """Eq. (4): the sum of the cross-entropies of the network and of all exits, logits [N, classes] each."""
    return sum(F.cross_entropy(output, labels) for output in logits)


def exit_costs(accounting: Accounting, trace: Trace, images: int) -> Tensor:
    """Cost of halting at each exit, and last at the network's own classifier: float64 [N, exits + 1].

    An exit's cost is that of all that was executed up to and including it, exits before it too.
    """
    ends = [i + 1 for i, use in enumerate(trace) if use.name.endswith("classifier")]
    return torch.stack([accounting.of(Trace(trace[:end])).expand(images) for end in ends], 1)


def halt_by_budget(costs: Tensor, budget: float | Tensor) -> Tensor:
    """Last exit whose cost fits the budget, int64 [N]; the first one where none does, since an answer is due.

    Args:
        costs: [N, exits + 1]; budget: one for all, or [N].
    """
    return ((costs <= torch.as_tensor(budget).reshape(-1, 1)).sum(1) - 1).clamp(min=0)


def halt_by_margin(logits: list[Tensor], margin: float | list[float]) -> Tensor:
    """First exit that is sure, int64 [N]: the largest logit leads the second by at least ``margin``; else the last.

    Args:
        logits: [N, classes] of the exits, the network's own at last; margin: one for all exits, or one each.
    """
    best = torch.stack(logits, 1).topk(2, dim=2).values
    sure = best[..., 0] - best[..., 1] >= torch.as_tensor(margin)
    sure[:, -1] = True
    return sure.int().argmax(1)


@torch.no_grad()
def _batches(model, images: np.ndarray) -> Iterator[tuple[int, list[Tensor]]]:
    """(first image, logits [n, classes] of the exits and of the network's own classifier) of each batch; leaves it in eval."""
    model.eval()
    for start, part in batches(images):
        final = model(as_input(model, part))
        yield start, [*model.exit_logits, final]


def evaluate_exits(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, accounting: Accounting, halt: Callable[[list[Tensor], Tensor], Tensor]
) -> tuple[float, float, np.ndarray]:
    """Halt every image where ``halt(logits, costs)`` says.

    Args:
        model: network with exits; left in eval, in its mode. A quantised one computes with the hardware's integers.
        images: uint8 [N, 32, 32, 3]; labels: int64 [N].

    Returns:
        Accuracy 0..1, mean cost of an image in the unit of ``accounting``, and the share of images per exit.
    """
    correct, spent = 0, 0.0
    taken = np.zeros(len(model.exits) + 1, np.int64)
    for start, logits in _batches(model, images):
        costs = exit_costs(accounting, model.trace, len(logits[-1]))
        at = halt(logits, costs)[:, None]
        chosen = torch.stack(logits, 1).take_along_dim(at[..., None], 1)[:, 0]
        correct += int((chosen.argmax(1).cpu().numpy() == labels[start : start + len(chosen)]).sum())
        spent += float(costs.take_along_dim(at, 1).sum())
        taken += np.bincount(at[:, 0].cpu().numpy(), minlength=len(taken))
    return correct / len(images), spent / len(images), taken / len(images)


def exit_accuracies(
    model: nn.Module, images: np.ndarray, labels: np.ndarray, accountings: list[Accounting]
) -> list[tuple[float, list[float]]]:
    """Accuracy 0..1 and mean cost of an image, in each unit, of halting every image at each exit, the last one at last.

    Args:
        model, images, labels: see ``evaluate_exits``.
    """
    exits = range(len(model.exits) + 1)
    correct, spent = np.zeros(len(exits)), np.zeros((len(exits), len(accountings)))
    for start, logits in _batches(model, images):
        truth = labels[start : start + len(logits[-1])]
        correct += [(logits[i].argmax(1).cpu().numpy() == truth).sum() for i in exits]
        spent += np.stack([exit_costs(a, model.trace, len(truth)).sum(0).cpu().numpy() for a in accountings], 1)
    return [(float(correct[i] / len(images)), (spent[i] / len(images)).tolist()) for i in exits]
