"""INA219 and INA226 through the kernel's industrial I/O tree (sysfs-bus-iio): raw values, and scales to mW."""

from pathlib import Path

from board.errors import BoardError
from board.meters.polled import Polled
from board.meters.sysfs import number, optional

FASTEST_S = 1e-3


class Iio(Polled):
    """A power monitor in a folder of /sys/bus/iio/devices.

    Args:
        chip: its name in the kernel, e.g. "ina226".
        folder: e.g. /sys/bus/iio/devices/iio:device0.
        timing: clock and sleep, see Polled.

    Raises:
        BoardError: it has no power channel.
    """

    def __init__(self, chip: str, folder: Path, **timing: object):
        rate = optional(folder / "in_sampling_frequency") or optional(folder / "sampling_frequency")
        super().__init__(max(FASTEST_S, 1 / rate if rate else 0), **timing)
        self.name = chip
        channels = sorted(folder.glob("in_power*_raw"))
        try:
            self._path = str(channels[0])
            scale = number(self._path[: -len("raw")] + "scale")
        except (IndexError, OSError, ValueError):
            raise BoardError(f"{folder} has no channel in_power; check the wiring of the {chip} and its driver.") from None
        self._unit = scale * 1e-3
        self.step_w = self._unit
        self.identity = {"chip": chip, "path": str(folder), "interface": "iio"}
        shunt = optional(folder / "in_shunt_resistor")  # ohm
        if shunt:
            self.identity["shunt_ohm"] = shunt

    def read(self) -> float:
        """One reading in W."""
        return number(self._path) * self._unit
