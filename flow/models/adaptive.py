"""Switches of networks with gates and early exits."""

from collections.abc import Iterator

from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.nn.batchnorm import SwitchableBatchNorm2d


class Adaptive(nn.Module):
    """What networks share that skip work image by image. They have ``layers()``.

    In training ``forward`` gives the logits of all exits, the network's own at last, if exits are on; else the own logits only.

    Attributes:
        name: of the network.
        gates: its gates, or None.
        exits: its exits by name; empty: none.
        gates_on, exits_on: what is switched on.
        soft_gates: whether gates decide by probabilities in training.
        ungated: whether it has batch normalisations of its own for gates switched off (see ``separate``).
        exit_logits: float [N, classes] of each exit for the last batch, without the network's own.
    """

    name: str
    num_classes: int
    gates: nn.Module | None
    exits: nn.ModuleDict
    gates_on: bool
    exits_on: bool
    soft_gates: bool
    ungated: bool = False
    exit_logits: list[Tensor]

    def set_gates(self, on: bool) -> None:
        """Switch the gates; without them everything runs."""
        if on and self.gates is None:
            raise GatefoldError(f"This {self.name} has no gates; create it with gates=... to switch them on.")
        self.gates_on = on
        for norm in self._norms():
            norm.ungated = not on

    def _norms(self) -> Iterator[SwitchableBatchNorm2d]:
        """The batch normalisations that see other maps when the gates are off."""
        for name, module in self.named_modules():
            if isinstance(module, SwitchableBatchNorm2d) and not name.startswith("gates."):
                yield module

    def separate(self) -> None:
        """Give the network a second set of batch normalisations, for gates switched off: without zeros among its inputs a layer
        has other statistics."""
        if self.gates is None:
            raise GatefoldError(f"This {self.name} has no gates to be switched off; create it with gates=... for that.")
        for norm in self._norms():
            norm.separate()
        self.ungated = True

    def set_exits(self, on: bool) -> None:
        """Switch the exits; without them their branches are not computed."""
        if on and not self.exits:
            raise GatefoldError(f"This {self.name} has no exits; create it with exits=True to switch them on.")
        self.exits_on = on

    def set_quantised(self, quantised: bool) -> None:
        """Switch all quantisers on or off, those of gates and exits too (off: floating-point pre-training)."""
        for module in self.modules():
            if hasattr(module, "quantised"):
                module.quantised = quantised

    def all_logits(self, logits: Tensor) -> Tensor | list[Tensor]:
        """What ``forward`` gives, from the network's own logits [N, classes]."""
        return [*self.exit_logits, logits] if self.training and self.exits_on else logits

    def load_backbone(self, backbone: nn.Module) -> None:
        """Take over the weights of the same network, those of gates and exits too where both have the same."""
        own = {spec.name: spec for spec in self.layers()}
        if own != {spec.name: spec for spec in backbone.layers()}:
            raise GatefoldError(
                f"{backbone.name} of {backbone.num_classes} classes cannot be the backbone of {self.name} of {self.num_classes}; give "
                "weights of the same network and data set."
            )
        self.load_state_dict(backbone.state_dict(), strict=False)
        if self.ungated and not getattr(backbone, "ungated", False):
            self.separate()
