"""SystemVerilog to a shared library with the C ABI of `cpp/harness.cpp`, through Verilator.

Compiled models are kept by a hash of all that goes into them: the text of the sources, the parameters, the options and
the versions of the tools.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flow.atomic import write_text
from flow.errors import GatefoldError
from flow.kept import kept
from flow.simulation.checks import with_checks
from flow.simulation.sources import packages_first, readable, relocated
from flow.simulation.toolchain import CPP, VERILATE, cache_folder, compile_object, content_hash, link, toolchain_key, verilate

RTL = Path(__file__).parent / "rtl"
MEMORY_IMAGES = (".mem", ".dat", ".hex")
"""Files in a source list that belong in the folder of the simulation, where `$readmemh` finds them by name."""

_PORT = re.compile(r"VL_(IN|OUT|INOUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,\d+)?\);")
_UNWRITTEN = "unwritten.txt"
_LONG = 200_000  # bytes of C++ that runs once, above which it is compiled without optimisation


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
    files = readable(with_checks(files), cache_folder() / "rewritten")
    command = [*VERILATE, "--prefix", "Vtop", "--top-module", top]
    command += ["-Wwarn-UNDRIVEN", "-Wno-STMTDLY", "-Wno-MULTIDRIVEN"]
    command += ["--x-assign", "unique" if random_power_on else "fast", "--output-split", "0", "--output-split-cfuncs", "500"]
    command += ["--trace-fst"] if trace else []
    command += [f"-D{name}" for name in defines]
    command += [f"-G{name}={_literal(value)}" for name, value in (parameters or {}).items()]

    headers = [file for folder in includes for suffix in ("*.vh", "*.svh") for file in sorted(folder.glob(suffix))]
    key = content_hash([*toolchain_key(), *command, optimise], [*files, *headers, CPP / "harness.cpp", Path(__file__)])
    command += [f"-I{folder}" for folder in includes]
    folder = cache_folder() / f"{top}-{key}"

    def make(library: Path) -> None:
        with tempfile.TemporaryDirectory(prefix=f"{top}-", dir=library.parent) as scratch:
            scratch = Path(scratch)
            said = verilate(command, files, scratch, folder / f"verilator-error-{scratch.name}.log")
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
    return relocated(files, cache_folder() / "relocated")


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
    files = readable(files, cache_folder() / "rewritten")
    names = {f"c{index}": cell for index, cell in enumerate(cells)}
    folder = cache_folder()
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
        verilate(command, [*files, probe], scratch, folder / f"verilator-error-{scratch.name}.log")
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
    """One translation unit; what runs once only is left unoptimised where it is long."""
    generated = sorted(file.name for file in folder.glob("Vtop*.cpp"))
    slow = [name for name in generated if "Slow" in name]
    apart = sum((folder / name).stat().st_size for name in slow) > _LONG
    units = {"fast": [name for name in generated if not (apart and name in slow)], "slow": slow if apart else []}
    objects = []
    for unit, names in units.items():
        if not names:
            continue
        text = "".join(f'#include "{name}"\n' for name in names) + ('#include "harness.cpp"\n' if unit == "fast" else "")
        (folder / f"{unit}.cc").write_text(text)
        objects.append(folder / f"{unit}.o")
        level = optimise if unit == "fast" else "-O0"
        compile_object(folder / f"{unit}.cc", objects[-1], level, trace, {folder: "verilated", CPP: "cpp"})
    link(objects, library, trace)
