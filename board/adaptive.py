"""Frames whose setting follows a budget that changes: chosen for each frame when it starts, so that none is late and none is lost."""

from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Iterable, Iterator, Optional, Sequence

import numpy as np

from board.choose import Budget, Option, choose, least
from board.driver import Accelerator, Batch


@dataclass(frozen=True)
class Choice:
    """What was chosen for a batch.

    Attributes:
        frame: number of its first frame.
        budget_mj: at that time; None: none was known.
        option: the choice.
        within: whether it is within the budget; where nothing is, the least runs.
    """

    frame: int
    budget_mj: Optional[float]
    option: Option
    within: bool

    @property
    def record(self) -> dict:
        """`choice` in the log."""
        return {"frame": self.frame, "budget_mj": self.budget_mj, "within": self.within, **self.option.record}


@dataclass(frozen=True)
class Chosen:
    """A batch that ran: what was chosen for it, and its results."""

    choice: Choice
    batch: Batch


def run_adaptively(
    accelerator: Accelerator,
    batches: Iterable[np.ndarray],
    options: Sequence[Option],
    budget: Callable[[], Optional[float]],
    timeout: float = 10.0,
    tell: Callable[[Choice], None] = lambda choice: None,
) -> Iterator[Chosen]:
    """Runs batches, each in the best setting that its budget allows when it starts.

    Args:
        batches: uint8 [N, height, width, colours] each; of one frame where the choice is to follow within one.
        budget: gives it, in mJ a frame.
        tell: is called with a choice where it, or its budget, differs from the one before.
    """
    chosen: Deque[Choice] = deque()
    frames = 0
    last: Optional[Choice] = None

    def order(count):
        nonlocal frames, last
        limit = budget()
        option = choose(options, Budget(limit))
        choice = Choice(frames, limit, option or least(options, Budget(limit)), option is not None)
        if last is None or choice.option is not last.option or limit != last.budget_mj:
            tell(choice)
        last = choice
        frames += count
        chosen.append(choice)
        return choice.option.setting.order(count)

    for batch in accelerator.stream(batches, order, timeout):
        yield Chosen(chosen.popleft(), batch)
