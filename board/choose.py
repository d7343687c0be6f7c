"""The setting with the best accuracy under a budget of energy, time or power."""

from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np

from board.deploy import Deploy
from board.energy import Power
from board.errors import BoardError
from board.setting import KEYS, Setting, build_accuracy


@dataclass(frozen=True)
class Option:
    """A setting and what it costs.

    Attributes:
        accuracy: 0…1.
        energy_mj, latency_ms, power_w: of a frame, of a frame, and of the board while it runs such frames.
        kind: of energy and power, "measured" or "modelled".
    """

    setting: Setting
    accuracy: float
    energy_mj: float
    latency_ms: float
    power_w: float
    kind: str

    @property
    def record(self) -> dict:
        """In the log."""
        return {
            **self.setting.record,
            "energy_mj": self.energy_mj,
            "latency_ms": self.latency_ms,
            "power_w": self.power_w,
            "accuracy": self.accuracy,
            "kind": self.kind,
        }


@dataclass(frozen=True)
class Budget:
    """What a frame may take at most; None: as much as it likes.

    Attributes:
        energy_mj, latency_ms, power_w: see Option.
    """

    energy_mj: Optional[float] = None
    latency_ms: Optional[float] = None
    power_w: Optional[float] = None

    def excess(self, option: Option) -> float:
        """By what factor an option is beyond the budget, where it is most; up to 1 where it is within."""
        factors = [0.0]
        for name in ("energy_mj", "latency_ms", "power_w"):
            most = getattr(self, name)
            if most is not None:
                factors.append(getattr(option, name) / most if most > 0 else float("inf"))
        return max(factors)


def choose(options: Sequence[Option], budget: Budget) -> Optional[Option]:
    """The option with the best accuracy within a budget, of two alike the one with less energy; None where none is within."""
    within = [option for option in options if budget.excess(option) <= 1]
    return max(within, key=lambda option: (option.accuracy, -option.energy_mj)) if within else None


def least(options: Sequence[Option], budget: Budget) -> Option:
    """The option that is nearest to a budget which none is within; of two alike, or without a limit that says which, the one with less energy."""
    return min(options, key=lambda option: (budget.excess(option), option.energy_mj))


def options_of(deploy: Deploy, settings: Sequence[Setting], log: Sequence[dict], power: Power) -> List[Option]:
    """What some settings cost: by a log, or where that has nothing of this build, by the model.

    Where the log has measured energies of the build, only settings that were measured are options, for measured and modelled do not
    compare. Modelled without a log, a frame takes its most cycles and tiles, all gates open.

    Args:
        log: records of an energy log.

    Raises:
        BoardError: no setting has a known accuracy.
    """
    mine = [record for record in log if record["record"] == "result" and record["build"] == deploy.build]
    measured = [record for record in mine if record["kind"] == "measured"]
    known = {tuple(record[key] for key in KEYS): record for record in measured or mine}  # the last of each counts
    options = []
    for setting in settings:
        record = known.get(tuple(setting.record.values()))
        if record is not None:
            option = Option(
                setting,
                record["accuracy"],
                record["energy_per_inference_mj"]["mean"],
                record["latency_ms"],
                record["power_w"],
                record["kind"],
            )
        elif measured:
            continue
        else:
            option = _modelled(deploy, setting, power)
        if option.accuracy is not None:
            options.append(option)
    if not options:
        raise BoardError(
            f"no accuracy of {deploy.model}'s settings is known; measure with labelled images first: "
            "board/run.py --measure --images FILE.npz."
        )
    return options


def _modelled(deploy, setting, power):
    exits, last = setting.mode.exits, len(deploy.exits)
    if setting.exit is None:  # where something else decides, no frame takes longer than the longest way
        cycles = max([setting.mode.cycles, *(cycles for cycles, _ in exits)]) if exits else setting.mode.cycles
        stopped = last
    else:
        stopped = setting.exit
        cycles = setting.mode.cycles if stopped == last else exits[stopped][0]
    ones = np.ones((1, sum(gate.count for gate in deploy.gates)), np.uint8)
    decisions = ones if setting.forced is None else np.asarray(setting.forced, np.uint8)[None]
    tiles = sum(
        int(counts[0]) for counts in deploy.layer_tiles([setting.mode], decisions, np.array([stopped]), setting.halting).values()
    )
    seconds = cycles / (deploy.clock_mhz * 1e6)
    joules = power.joules(seconds, tiles, deploy.clock_mhz)
    return Option(setting, build_accuracy(setting), 1e3 * joules, 1e3 * seconds, joules / seconds, "modelled")
