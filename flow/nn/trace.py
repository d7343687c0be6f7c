"""What a network executed for each image: the one record from which all costs are taken."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Use:
    """One layer in one forward pass of N images.

    While training with soft gates the values lie between 0 and 1 and carry gradients; otherwise they are exactly 0 or 1.

    Attributes:
        name: name of the layer (``LayerSpec.name``).
        n: its active group count.
        executed: [N], whether the layer ran; None: always.
        inputs: [N, Ci], which input channels were active, in the order in which the layer reads them; None: all.
        outputs: [N, Co], which output channels were active; None: all.
    """

    name: str
    n: int = 1
    executed: Tensor | None = None
    inputs: Tensor | None = None
    outputs: Tensor | None = None


class Trace(list[Use]):
    """The ``Use`` of every layer, gate layers included, in execution order."""
