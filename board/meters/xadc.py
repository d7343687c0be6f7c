"""A shunt at the Zynq's own XADC, through the kernel's industrial I/O tree: 12 bits over 1 V.

Bare, a step at the ZedBoard's 10 mΩ (J21) is 24 mA, or 0.29 W at 12 V: ±8 % at 0.3 A. An amplifier before it makes that small; `gain`
says by how much.
"""

from pathlib import Path

from board.errors import BoardError
from board.meters.polled import Polled
from board.meters.sysfs import number

VP_VN = 8  # channel of the dedicated input; auxiliary inputs 0 to 15 follow (drivers/iio/adc/xilinx-xadc)
INTERVAL_S = 1e-3
ZEDBOARD = {"shunt_ohm": 0.01, "volt": 12.0}


class Xadc(Polled):
    """A voltage across a shunt, times the supply's.

    Args:
        folder: e.g. /sys/bus/iio/devices/iio:device0.
        gain: of the amplifier between shunt and XADC; 1: none.
        shunt_ohm: of the shunt; volt: of the supply.
        channel: of in_voltageN_raw.
        timing: clock and sleep, see Polled.

    Raises:
        BoardError: there is no such channel.
    """

    name = "xadc"

    def __init__(
        self,
        folder: Path,
        gain: float = 1.0,
        shunt_ohm: float = ZEDBOARD["shunt_ohm"],
        volt: float = ZEDBOARD["volt"],
        channel: int = VP_VN,
        **timing: object,
    ):
        super().__init__(INTERVAL_S, **timing)
        if not (gain > 0 and shunt_ohm > 0 and volt > 0):
            raise BoardError(f"gain {gain:g}, shunt {shunt_ohm:g} and volts {volt:g} of the xadc are to be more than 0.")
        base = str(folder / f"in_voltage{channel:.0f}_")
        try:
            scale = number(base + "scale")  # mV
            number(base + "raw")
        except (OSError, ValueError) as problem:
            raise BoardError(f"{base}raw gives no voltage ({problem}); name the channel that the shunt is wired to.") from None
        self._path = base + "raw"
        self._unit = scale * 1e-3 / gain / shunt_ohm * volt
        self.step_w = self._unit
        self.identity = {"path": str(folder), "channel": int(channel), "gain": gain, "shunt_ohm": shunt_ohm, "volt": volt}
        self.identity["step_w"] = self.step_w

    def read(self) -> float:
        """One reading in W."""
        return number(self._path) * self._unit
