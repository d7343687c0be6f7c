"""The accelerator's file list: what every tool reads to get `gatefold_top`."""

from pathlib import Path

from flow.engine.interface import write_package
from flow.errors import GatefoldError

RTL = Path(__file__).resolve().parents[2] / "hw" / "rtl"
TOP = "gatefold_top"
PACKAGE = "gatefold_pkg.sv"


def accelerator_sources(folder: str | Path) -> list[Path]:
    """SystemVerilog files of the accelerator, packages before their users.

    The package generated from `hw/interface.json` is written to `folder` (made if missing); the others lie in
    `hw/rtl`.

    Raises:
        GatefoldError: `hw/rtl` is incomplete.
    """
    package = Path(folder).resolve() / PACKAGE
    write_package(package)
    files = sorted(RTL.glob("*.sv"))
    for name in (f"{TOP}.sv", "tile_engine.sv"):
        if RTL / name not in files:
            raise GatefoldError(f"hw/rtl/{name} is missing; restore it with `git checkout hw/rtl`.")
    packages = [file for file in files if file.stem.endswith("_pkg")]
    return [package, *packages, *(file for file in files if file not in packages)]
