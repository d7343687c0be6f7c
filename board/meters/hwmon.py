"""INA219, INA226, INA260 and their like through the kernel's hwmon (Documentation/hwmon/ina2xx): power1_input in µW."""

from pathlib import Path

from board.errors import BoardError
from board.meters.polled import Polled
from board.meters.sysfs import number, optional

# Step of the power register: 20 or 25 steps of the current register, which is 10 or 2.5 µV at the shunt (data sheets); the INA260's is 10 mW.
STEP_VOLT = {"ina219": 20 * 10e-6, "ina220": 20 * 10e-6, "ina226": 25 * 2.5e-6, "ina230": 25 * 2.5e-6, "ina231": 25 * 2.5e-6}
STEP_W = {"ina260": 10e-3}
FASTEST_S = 1e-3


class Hwmon(Polled):
    """A power monitor in a folder of /sys/class/hwmon.

    Args:
        chip: its name in the kernel, e.g. "ina226".
        folder: e.g. /sys/class/hwmon/hwmon0.
        timing: clock and sleep, see Polled.

    Raises:
        BoardError: it has no power1_input.
    """

    def __init__(self, chip: str, folder: Path, **timing: object):
        interval = optional(folder / "update_interval")  # ms
        super().__init__(max(FASTEST_S, (interval or 0) * 1e-3), **timing)
        self.name = chip
        self._path = str(folder / "power1_input")
        try:
            number(self._path)
        except (OSError, ValueError) as problem:
            raise BoardError(
                f"{self._path} gives no power ({problem}); check the wiring of the {chip} and its shunt_resistor."
            ) from None
        shunt = optional(folder / "shunt_resistor")  # µΩ
        self.identity = {"chip": chip, "path": str(folder), "interface": "hwmon"}
        self.step_w = STEP_W.get(chip, 0.0)
        if shunt:
            self.identity["shunt_ohm"] = shunt * 1e-6
            self.step_w = self.step_w or STEP_VOLT.get(chip, 0.0) / (shunt * 1e-6)

    def read(self) -> float:
        """One reading in W."""
        return number(self._path) * 1e-6
