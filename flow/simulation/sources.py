"""Source files on their way to Verilator: in order, without duplicates, in its dialect."""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

from flow.errors import GatefoldError
from flow.simulation.dialect import FLOAT_PACKAGE, dimension_parameters, modules_of, rewrite, uses_floats

CELLS = {file.stem: file for file in (FLOAT_PACKAGE.parent / "cells").glob("*.sv")}
"""Our models of vendor cells that have no source: name -> file."""

_PACKAGE = re.compile(r"^\s*package\s+(\w+)", re.M)


def packages_first(files: Iterable[Path]) -> list[Path]:
    """Files with packages before the others, and a package before those that use it."""
    files = list(files)
    texts = {file: file.read_text(errors="replace") for file in files}
    packages = {name: file for file in files for name in _PACKAGE.findall(texts[file])}
    ordered: list[Path] = []

    def visit(file: Path, above: tuple[Path, ...] = ()) -> None:
        if file in ordered or file in above:
            return
        for name, other in packages.items():
            if other is not file and re.search(rf"\b{name}::", texts[file]):
                visit(other, (*above, file))
        ordered.append(file)

    for file in packages.values():
        visit(file)
    return ordered + [file for file in files if file not in ordered]


def readable(files: Iterable[Path], folder: Path) -> list[Path]:
    """The files as Verilator reads them: those that change lie under `folder` by content; one file per module name.

    FINN copies parts of its library from folder to folder, so that a module may come several times; one text is enough.
    Cells that the files mention and do not define come last, in our own models.

    Raises:
        GatefoldError: two modules of one name with different texts.
    """
    texts = {file: file.read_text(errors="replace") for file in files}
    dimensions: dict[str, set[str]] = {}
    for text in texts.values():
        dimensions |= dimension_parameters(text)
    chosen, modules, mentioned, floats = [], {}, set(), False
    for file, text in texts.items():
        parts = modules_of(text)
        new = {name: part for name, part in parts.items() if name not in modules}
        for name in parts.keys() - new.keys():
            if modules[name][1] != parts[name]:
                raise GatefoldError(
                    f"The design has two different modules {name}, in {modules[name][0]} and {file}; a simulation can hold "
                    f"one of them only, so run the nodes that bring them one by one."
                )
        if parts and not new:
            continue
        modules |= {name: (file, part) for name, part in new.items()}
        own = rewrite(text, str(file), dimensions)
        floats = floats or uses_floats(own)
        mentioned |= {cell for cell in CELLS if re.search(rf"\b{cell}\s*#\s*\(", text)}
        chosen.append(file if own == text else _kept(own, file.name, folder))
    cells = [CELLS[cell] for cell in sorted(mentioned - modules.keys())]
    return ([FLOAT_PACKAGE] if floats or cells else []) + chosen + cells


def relocated(files: Iterable[Path], folder: Path) -> tuple[list[Path], dict[str, Path]]:
    """Sources in which no folder of data is named, so that the same design compiles once wherever it was generated.

    An absolute path in a string (FINN's `$readmemh` images) becomes one relative to a link: returns the files, those that
    change kept under `folder` by content, and {name of the link: folder it stands for}, for the folder of the simulation.
    """
    links: dict[Path, str] = {}

    def relative(match: re.Match) -> str:
        path = Path(match[1])
        if not path.parent.is_dir() or path.parent == path:
            return match[0]
        return f'"{links.setdefault(path.parent, f"gf_data_{len(links)}")}/{path.name}"'

    result = []
    for file in files:
        text = file.read_text(errors="replace")
        own = re.sub(r'"(/[^"\n]*)"', relative, text)
        result.append(file if own == text else _kept(own, file.name, folder))
    return result, {name: path for path, name in links.items()}


def _kept(text: str, name: str, folder: Path) -> Path:
    target = folder / hashlib.sha256(text.encode()).hexdigest()[:16] / name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f"{name}.{os.getpid()}")
        scratch.write_text(text)
        os.replace(scratch, target)
    return target
