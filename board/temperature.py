"""The temperature of the chip, from the Zynq's XADC through the kernel's IIO tree."""

from pathlib import Path
from typing import Optional

DEVICES = Path("/sys/bus/iio/devices")


def chip_temperature(devices: Path = DEVICES) -> Optional[float]:
    """In °C; None where the kernel shows none. The scale is in thousandths of a degree (kernel ABI, sysfs-bus-iio, in_tempX)."""
    for device in sorted(devices.glob("iio:device*")):
        try:
            if (device / "name").read_text().strip() != "xadc":
                continue
            raw, offset, scale = (float((device / f"in_temp0_{name}").read_text()) for name in ("raw", "offset", "scale"))
        except (OSError, ValueError):
            continue
        return (raw + offset) * scale / 1e3
    return None
