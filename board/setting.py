"""One way to run frames: a mode, and what its gates and exits are told."""

import hashlib
from dataclasses import dataclass
from typing import List, Optional, Tuple

import numpy as np

from board.deploy import Deploy
from board.description import Mode
from board.driver import Order
from board.exits import Halting, halting_of
from board.summary import name_of

KEYS = ("mode", "gates", "gate_threshold", "layer_threshold", "forced", "exit", "budget_cycles", "confidence")


@dataclass(frozen=True)
class Setting:
    """A setting.

    Attributes:
        mode: of every frame.
        gates: "on", "off" or "forced"; None where the network has none.
        thresholds, forced, halting: see board.driver.Order.
        exit: number of the exit where every frame stops; None where something else decides, or there are none.
        budget_cycles, confidence: what decides.
    """

    mode: Mode
    gates: Optional[str]
    thresholds: Tuple[int, int]
    forced: Optional[np.ndarray]
    halting: Optional[Halting]
    exit: Optional[int]
    budget_cycles: Optional[int]
    confidence: Optional[str]

    @property
    def record(self) -> dict:
        """KEYS in the log."""
        gated = self.gates is not None
        return {
            "mode": self.mode.name,
            "gates": self.gates,
            "gate_threshold": self.thresholds[0] if gated else None,
            "layer_threshold": self.thresholds[1] if gated else None,
            "forced": None if self.forced is None else hashlib.sha256(bytes(self.forced)).hexdigest()[:16],
            "exit": self.exit,
            "budget_cycles": self.budget_cycles,
            "confidence": self.confidence,
        }

    @property
    def name(self) -> str:
        """In a line of text."""
        return name_of(self.record)

    def order(self, frames: int) -> Order:
        """For a batch of so many frames."""
        return Order([self.mode] * frames, self.thresholds, self.forced, self.halting)


def settings_of(
    deploy: Deploy,
    modes: List[Mode],
    thresholds: Tuple[int, int] = (0, 0),
    forced: Optional[np.ndarray] = None,
    exit: Optional[int] = None,
    budget: Optional[int] = None,
    confidence: Optional[str] = None,
) -> List[Setting]:
    """The settings of some modes, and where the network has exits and nothing says which, of every exit.

    Args:
        thresholds, forced: see board.driver.Order; they are left out in modes without gates.
        exit, budget, confidence: see board.exits.halting_of.
    """
    chosen = exit is not None or budget is not None or confidence is not None
    exits = [exit] if chosen or not deploy.exits else list(range(len(deploy.exits) + 1))
    found = []
    for mode in modes:
        gates = None if not deploy.gates else "off" if not mode.gates else "on" if forced is None else "forced"
        for number in exits:
            halting = halting_of(deploy.exits, [mode], number, budget, confidence)
            gated = mode.gates and bool(deploy.gates)
            found.append(
                Setting(
                    mode,
                    gates,
                    thresholds if gated else (0, 0),
                    forced if gated else None,
                    halting,
                    number,
                    budget,
                    confidence,
                )
            )
    return found


def build_accuracy(setting: Setting) -> Optional[float]:
    """The build's accuracy, where it is that of this setting: no early exit, and gates that decide by themselves."""
    to_the_end = setting.halting is None or setting.exit == len(setting.mode.exits)
    plain = to_the_end and setting.forced is None and setting.thresholds == (0, 0)
    return setting.mode.accuracy if plain else None
