"""Training of gates on pooled sums (``flow.nn.gates.pooled``): the steps of DDI, with the engine's cycles for the cost."""

from dataclasses import dataclass

from flow.training.methods.ddi import Ddi


@dataclass(frozen=True)
class Pooled(Ddi):
    """Options of a run: those of ``Ddi``, with another gate and cost, and without exits unless they are asked for."""

    gates: str = "pooled"
    exit_epochs: int = 0
    unit: str = "cycles"
    name = "pooled"
