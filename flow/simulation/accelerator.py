"""SystemVerilog of the accelerator to a shared library with the C interface of `hw/sim/accelerator_sim.h`.

Each object is kept by a hash of all that goes into it, so that engines that differ in a parameter or two share most of
them; what network an engine runs is no part of it. The board program loads the library through ctypes.
"""

import shutil
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flow.engine.interface import INTERFACE_FILE, load_interface
from flow.engine.sources import TOP
from flow.errors import GatefoldError
from flow.kept import clear, kept, replace_file
from flow.simulation.checks import CHECKS, with_checks
from flow.simulation.toolchain import CPP, VERILATE, cache_folder, compile_object, content_hash, link, toolchain_key, verilate

SIM = Path(__file__).resolve().parents[2] / "hw" / "sim"
_FOLDERS = {SIM: "sim", CPP: "cpp"}
_VERILATE = [
    *VERILATE,
    "--prefix",
    f"V{TOP}",
    "--top-module",
    TOP,
    "--x-assign",
    "fast",
    "-Werror-USERERROR",
    "--output-split",
    "20000",
]

IMAGE_SHAPE = {"IMAGE_SIZE": 32, "PLANES": 3}
"""Defaults of `gatefold_top`'s parameters that say what a frame is."""


def compile_accelerator(
    build_dir: str | Path,
    out_so: str | Path,
    parameters: Mapping[str, int],
    rtl_files: Iterable,
    trace: bool = False,
    *,
    mapped: bool = False,
    jobs: int = 1,
) -> Path:
    """Compile `gatefold_top`, with the contracts of `hw/checks`, into the shared library `out_so` and return its path.

    Args:
        build_dir: folder for what is generated on the way, in its sub-folder `verilated`; gone when it ends well.
        out_so: the library; written last and in one step, so an interrupted build leaves none or the old one.
        parameters: parameters of `gatefold_top` that differ from their defaults, name -> integer.
        rtl_files: SystemVerilog files, packages before their users (`sources.accelerator_sources`).
        trace: able to write FST waveforms (slower).
        mapped: the lanes as synthesis takes them, in LUTs and DSP blocks, instead of their definition (slower).
        jobs: C++ compilers at work at a time.

    Raises:
        GatefoldError: a file or a tool is missing, or Verilator or g++ refuses the design; names the log.
    """
    build_dir, out_so = Path(build_dir).resolve(), Path(out_so).resolve()
    files = with_checks(Path(file).resolve() for file in rtl_files)
    for file in files:
        if not file.is_file():
            raise GatefoldError(f"RTL source {file} does not exist; run the build again from its start.")
    options = [f"-G{name}=32'd{int(value)}" for name, value in sorted(parameters.items())]
    options += ["--trace-fst", str(SIM / "trace.vlt")] if trace else []
    options += ["-DSYNTHESIS"] if mapped else []

    key = content_hash([*toolchain_key(), *_VERILATE, *options], [*files, *simulation_files()])
    cache, folder = cache_folder() / "accelerator", build_dir / "verilated"

    def make(library: Path) -> None:
        clear(folder)
        folder.mkdir(parents=True)
        remedy = "; correct the parameters or the RTL"
        verilate([*_VERILATE, *options], _linked(files, folder), folder, folder / "verilator.log", remedy)
        _write_interface(folder / "interface.h", parameters)
        _compile(folder, cache, library, trace, jobs)
        clear(folder)

    library = kept(cache / f"{TOP}-{key}.so", make)
    replace_file(out_so, lambda part: shutil.copyfile(library, part))
    return out_so


def simulation_files() -> list[Path]:
    """What every library is made of beside the RTL: the memory's model, the contracts and the register map."""
    return [*sorted(SIM.iterdir()), *sorted(CHECKS.iterdir()), *sorted(CPP.rglob("*.h")), INTERFACE_FILE]


def _linked(files: list[Path], folder: Path) -> list[Path]:
    """The files by names within `folder`: what the design's errors are told by, so that no other folder gets into the library."""
    (folder / "rtl").mkdir()
    for file in files:
        (folder / "rtl" / file.name).symlink_to(file)
    return [Path("rtl") / file.name for file in files]


def _write_interface(path: Path, parameters: Mapping[str, int]) -> None:
    interface = load_interface()
    names = {name: parameters.get(name, value) for name, value in IMAGE_SHAPE.items()}
    names |= {f"REG_{name}": offset for name, offset in interface.registers.items()}
    names |= {f"{name}_{part}": field.mask for name, fields in interface.fields.items() for part, field in fields.items()}
    rows = [f"constexpr uint32_t {name.upper()} = {value};" for name, value in names.items()]
    path.write_text("#pragma once\n#include <cstdint>\n" + "\n".join(rows) + "\n")


def _compile(folder: Path, cache: Path, library: Path, trace: bool, jobs: int) -> None:
    # What Verilator calls slow runs once.
    work = [
        (file, "-O0" if "Slow" in file.name else "-O1") for file in [*sorted(folder.glob("*.cpp")), SIM / "accelerator_sim.cpp"]
    ]
    headers = content_hash(toolchain_key(), [*sorted(folder.glob("*.h")), *sorted(SIM.glob("*.h"))])

    def compile_one(job: tuple[Path, str]) -> Path:
        source, level = job
        name = f"{source.stem}{'-trace' if trace else ''}-{content_hash([headers, level], [source])}.o"
        return kept(
            cache / name,
            lambda target: compile_object(source, target, level, trace, {folder: "verilated", **_FOLDERS}),
        )

    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        objects = list(pool.map(compile_one, sorted(work, key=lambda job: -job[0].stat().st_size)))
    link(objects, library, trace)
