"""Where FINN keeps its files: the project's build folder, never the home directory."""

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from flow.errors import GatefoldError
from flow.paths import build_root
from flow.simulation.hook import hook_enabled

VARIABLE = "GATEFOLD_RTLSIM"
"""Environment variable that carries the options to worker processes; `off` switches the start-up hook off."""


@dataclass(frozen=True)
class Options:
    """How FINN's simulations run.

    Attributes:
        stream_loop: drive plain streams by the C++ loop; False keeps FINN's Python SimEngine.
        power_on: what registers and memories hold that nothing has written: `zeros`, or `random` by `seed`.
        pause: chance per cycle and stream of an idle input and of back-pressure on an output, 0 to below 1.
        seed: of the random values and pauses.
    """

    stream_loop: bool = True
    power_on: str = "zeros"
    pause: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.power_on not in ("zeros", "random"):
            raise GatefoldError(f"power_on is {self.power_on!r}; choose zeros or random.")
        if not 0 <= self.pause < 1:
            raise GatefoldError(f"pause is {self.pause}; give a chance per cycle from 0 to below 1.")
        if not 0 <= self.seed < 2**31:
            raise GatefoldError(f"seed is {self.seed}; give a whole number from 0 to 2147483647.")

    def to_text(self) -> str:
        """`name=value` joined by commas, for the environment variable."""
        return ",".join(f"{name}={value}" for name, value in asdict(self).items())

    @classmethod
    def from_text(cls, text: str) -> "Options":
        """Options of `to_text`; names that are left out, and the plain word `on`, keep the defaults."""
        kinds = {"stream_loop": lambda word: {"True": True, "False": False}[word], "power_on": str, "pause": float, "seed": int}
        values = {}
        for part in filter(None, text.split(",")):
            name, _, word = part.strip().partition("=")
            if name == "on" and not word:
                continue
            try:
                values[name] = kinds[name](word)
            except (KeyError, ValueError):
                names = ", ".join(field.name for field in fields(cls))
                raise GatefoldError(f"{VARIABLE} holds {part!r}; give off, on, or NAME=VALUE of {names}.") from None
        return cls(**values)


def options() -> Options:
    """The options of this process, from the environment."""
    return Options.from_text(os.environ.get(VARIABLE, ""))


def prepare_finn_environment() -> Path:
    """Give FINN a build folder and a settings path where the user has not; returns the build folder, which need not exist yet.

    `FINN_SETTINGS` may name a file that does not exist; unset, FINN makes `~/.finn`. FINN's workers are separate
    processes, in which Verilator is installed only with the hook (`python -m flow.simulation enable`); without it one
    worker is the default.
    """
    os.environ.setdefault("FINN_BUILD_DIR", str(build_root() / "finn"))
    folder = Path(os.environ["FINN_BUILD_DIR"])
    os.environ.setdefault("FINN_SETTINGS", str(folder / "settings.yaml"))
    if not hook_enabled():
        os.environ.setdefault("NUM_DEFAULT_WORKERS", "1")
    return folder
