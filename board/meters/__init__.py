"""Meters: each a small class that gives times and watts, chosen by name."""

from pathlib import Path
from typing import Callable, Dict, Tuple

from board.energy import Power
from board.errors import BoardError
from board.meters.meter import Elsewhere, Meter
from board.meters.model import Model
from board.meters.recording import Recording
from board.meters.sysfs import named, only

CHIPS = ("ina219", "ina220", "ina226", "ina230", "ina231", "ina260")
HWMON, IIO = Path("/sys/class/hwmon"), Path("/sys/bus/iio/devices")
NAMES = f"model, {', '.join(CHIPS)}, xadc, pmbus, scpi, joulescope or recorded"


def open_meter(text: str, power: Power, clock_mhz: float) -> Meter:
    """The meter that --meter names: NAME, NAME:WHICH, and for some KEY=VALUE behind commas.

    Args:
        power, clock_mhz: of the model and of the accelerator.

    Raises:
        BoardError: there is no such meter, or it does not answer.
    """
    name, which, options = parse(text)
    if name == "model" and not which and not options:
        return Model(power, clock_mhz)
    if name == "recorded" and not which and not options:
        return Elsewhere()
    if name in CHIPS:
        _known(name, options, ())
        return _ina(name, which)
    if name == "xadc":
        from board.meters.xadc import Xadc

        keys = {"gain": "gain", "shunt": "shunt_ohm", "volts": "volt", "channel": "channel"}
        _known(name, options, tuple(keys))
        folder = only(named("iio:device*", IIO, "xadc"), which, "xadc", "load the kernel's driver (modprobe xilinx-xadc)")
        return Xadc(folder, **{keys[key]: _number(name, key, value) for key, value in options.items()})
    if name == "pmbus":
        from board.meters.pmbus import Pmbus

        _known(name, options, ())
        return Pmbus([rail for rail in which.split("+") if rail])
    if name == "scpi" and which:
        from board.meters.scpi import Scpi

        _known(name, options, ("power", "voltage", "current", "volts", "backend"))
        volt = _number(name, "volts", options.pop("volts", "0"))
        return Scpi(which, volt=volt, **options)
    if name == "joulescope":
        from board.meters.joulescope_live import JoulescopeLive

        _known(name, options, ())
        return JoulescopeLive(which)
    raise BoardError(f"--meter is {text!r:.60}; give {NAMES}.")


def open_recording(text: str) -> Recording:
    """What --attach names: csv:FILE or joulescope:FILE, and KEY=VALUE behind commas.

    Raises:
        BoardError: there is no such recording.
    """
    name, which, options = parse(text)
    if name == "joulescope" and which:
        from board.meters.joulescope import read_jls

        _known(name, options, ("marker",))
        return read_jls(Path(which), **options)
    if name == "csv" and which:
        from board.meters.csv_file import NAMES as KEYS
        from board.meters.csv_file import read_csv

        units = {f"{key}_unit": key for key in KEYS}
        _known(name, options, (*KEYS, *units, "volts"))
        scales = {units[key]: _number(name, key, value) for key, value in options.items() if key in units}
        columns = {key: value for key, value in options.items() if key in KEYS}
        return read_csv(Path(which), columns, scales, _number(name, "volts", options.get("volts", "0")))
    raise BoardError(f"--attach is {text!r:.60}; give csv:FILE or joulescope:FILE.")


def parse(text: str) -> Tuple[str, str, Dict[str, str]]:
    """Name, which one, and options of NAME:WHICH,KEY=VALUE,... (which may be left out)."""
    name, _, rest = text.partition(":")
    parts = rest.split(",")
    which = parts.pop(0) if parts and "=" not in parts[0] else ""
    options = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals or not value or key in options:
            raise BoardError(f"{part!r:.40} in {text!r:.80} is no KEY=VALUE of its own; write it as one.")
        options[key] = value
    return name, which, options


def _ina(chip: str, which: str) -> Meter:
    """From hwmon, or where that does not have it from industrial I/O."""
    from board.meters.hwmon import Hwmon
    from board.meters.iio import Iio

    remedy = "bind it: echo ina226 0x40 > /sys/bus/i2c/devices/i2c-0/new_device, with the chip's name, bus and address"
    ways: Tuple[Tuple[str, Path, Callable[[str, Path], Meter]], ...] = (("hwmon*", HWMON, Hwmon), ("iio:device*", IIO, Iio))
    found = [(folder, make) for pattern, root, make in ways for folder in named(pattern, root, chip)]
    if "/" in which and Path(which).is_dir():
        make = Hwmon if (Path(which) / "power1_input").exists() else Iio
        return make(chip, Path(which))
    folder = only([folder for folder, _ in found], which, chip, remedy)
    return dict(found)[folder](chip, folder)


def _known(name, options, keys):
    for key in options:
        if key not in keys:
            raise BoardError(f"{name} has no option {key!r:.40}; it takes {', '.join(keys) or 'none'}.")


def _number(name, key, value):
    try:
        return float(value)
    except ValueError:
        raise BoardError(f"{key} of {name} is {value!r:.40}; give a number.") from None
