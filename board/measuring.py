"""`board/run.py --measure`: the energy of every setting, as a table and in the log."""

import argparse
import sys
from pathlib import Path
from typing import Iterable, List, Optional, Tuple

from board.calibration import calibrate, read_calibration
from board.clocks import BoardTime, SimulatedTime
from board.command import deploy_of, gates_of, open_accelerator
from board.deploy import UNGATED, Deploy
from board.energy import Power
from board.energy_log import EnergyLog
from board.errors import BoardError
from board.images import MAX_FRAMES, load_images
from board.marker import Marker
from board.measure import Measurement, Plan
from board.meters import Meter, open_meter
from board.setting import Setting, settings_of
from board.summary import table
from board.temperature import chip_temperature

SHORTEST = 10.0  # s of a window that a meter sees: MLPerf's least, below which a meter's own time constants tell
BATCH = 256  # frames of a batch: 25 ms of resnet8, against some 1 ms that its start takes
SIMULATED_BATCH = 8
LONGEST, MOST = 3600.0, 1000


def measure(args: argparse.Namespace) -> Tuple[dict, Iterable[str]]:
    """Measures what the command line asks for; returns what --json prints, and the table as lines."""
    for name, most in (("seconds", LONGEST), ("windows", MOST)):
        if not 0 < getattr(args, name) <= most:
            raise BoardError(f"--{name} is {getattr(args, name)}; give more than 0, up to {most:g}.")
    deploy = deploy_of(args)
    settings = asked_settings(args, deploy)
    count = MAX_FRAMES if args.count is None else args.count
    if not 0 < count <= MAX_FRAMES:
        raise BoardError(f"--count is {count}; give 1 to {MAX_FRAMES} images.")
    images = load_images(args.images or deploy.samples, count, deploy.picture.shape, len(deploy.classes))
    accelerator, simulated = open_accelerator(deploy)
    meter = meter_of(args, deploy.clock_mhz)
    if meter.kind == "measured" and simulated:
        raise BoardError("the simulated board draws no power that a meter could see; give --meter model.")
    if meter.kind == "measured" and args.seconds < SHORTEST:
        raise BoardError(f"--seconds is {args.seconds:g}; a meter needs windows of {SHORTEST:g} s or more.")
    if meter.records and not args.marker:
        raise BoardError("a meter that records by itself needs marks of the windows; give --marker FILE.")
    marker = Marker(args.marker) if args.marker else lambda begins: None
    labelled = args.images is not None and bool((images.labels >= 0).any())
    batch = args.batch or (SIMULATED_BATCH if simulated else BATCH)
    log = EnergyLog(args.log)
    try:
        measurement = Measurement(
            deploy,
            accelerator,
            meter,
            settings,
            images,
            log,
            Plan(args.seconds, args.windows, batch, args.timeout, labelled, args.images or "samples"),
            {**about(deploy, simulated), "ambient_c": args.ambient, **about_meter(meter)},
            SimulatedTime(deploy.clock_mhz) if simulated else BoardTime(),
            progress,
            (lambda: None) if simulated else chip_temperature,
            marker,
        )
        if log.cut:
            progress(f"{log.path} ended in a torn record, which is cut off\n")
        if measurement.resumed:
            progress(f"going on with session {measurement.session} after {measurement.resumed} windows\n")
        results = measurement.run()
    finally:
        progress("")
        log.close()
    if not results:
        lines = [f"  all windows are in {log.path}; now, where the recording is: board/run.py --attach csv:FILE --log {log.path}\n"]
        return {"log": str(log.path), "session": measurement.session, "results": results}, lines
    lines = [*table(results, [setting.name for setting in settings]), f"  in {log.path}, session {measurement.session}\n"]
    return {"log": str(log.path), "session": measurement.session, "results": results}, lines


def meter_of(args: argparse.Namespace, clock_mhz: float) -> Meter:
    """The meter that the command line names, with its calibration."""
    if not 0 < args.idle_watts <= args.active_watts < 1000:
        raise BoardError(
            f"--idle-watts is {args.idle_watts:g} and --active-watts {args.active_watts:g}; give two powers, the first not above the second."
        )
    meter = open_meter(args.meter, Power(args.idle_watts, args.active_watts), clock_mhz)
    if args.calibration and args.calibrate is None:
        if meter.kind == "modelled":
            raise BoardError("the model has no calibration; give --idle-watts and --active-watts.")
        meter.calibration = read_calibration(Path(args.calibration), meter.name)
    return meter


def calibrate_meter(args: argparse.Namespace) -> Tuple[dict, Iterable[str]]:
    """Adds a point to the calibration file."""
    meter = meter_of(args, 100.0)
    if meter.kind == "modelled" or meter.records or not args.calibration:
        raise BoardError("--calibrate needs a --meter that answers, and --calibration FILE to write.")
    line = calibrate(Path(args.calibration), meter, args.calibrate, args.seconds)
    return {"said": line.strip()}, [line]


def asked_settings(args: argparse.Namespace, deploy: Deploy) -> List[Setting]:
    """The settings that the command line asks for: without --mode those of all modes."""
    gate, thresholds, forced = gates_of(args, deploy)
    names = args.mode
    if names is None:
        gated = [name for name, mode in deploy.modes.items() if mode.gates]
        bare = [name for name in deploy.modes if name.endswith(UNGATED)]
        names = ",".join({"on": list(deploy.modes), "off": bare, "force": gated}[gate])
    modes = deploy.mode_sequence(names, len(names.split(",")), gate)
    modes = list(dict.fromkeys(mode.name for mode in modes))
    return settings_of(deploy, [deploy.modes[name] for name in modes], thresholds, forced, args.exit, args.budget, args.confidence)


def about(deploy: Deploy, simulated: bool) -> dict:
    """What the log says of the build and the board."""
    return {
        "network": deploy.model,
        "build": deploy.build,
        "board": deploy.board,
        "clock_mhz": deploy.clock_mhz,
        "simulated": simulated,
        "image": image_version(),
    }


def about_meter(meter: Meter) -> dict:
    """What the log says of the meter."""
    calibration = None if meter.calibration is None else meter.calibration.as_json()
    return {"kind": meter.kind, "meter": {"name": meter.name, **meter.identity}, "calibration": calibration}


def image_version() -> Optional[str]:
    """Version of the PYNQ image, from the file that its build leaves, and of the library."""
    import pynq

    library = f"PYNQ {pynq.__version__}"
    try:
        lines = Path("/home/xilinx/REVISION").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return library
    return f"{library}, image {lines[0][:60]}" if lines else library


def progress(line: str) -> None:
    """A line of progress in the place of the one before, where somebody watches."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{'  ' if line else ''}{line}", end="", file=sys.stderr, flush=True)
