"""The block design that FINN describes in Tcl for Vivado: cells, pins, interfaces and how they are joined.

Read are the commands of IP integrator that FINN writes into `make_project.tcl` up to `make_wrapper`; one that builds
the design and is not known here is refused, never passed over.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from flow.errors import GatefoldError

_PASSED_OVER = {
    "create_project", "create_bd_design", "set_msg_config", "update_ip_catalog", "save_bd_design", "validate_bd_design",
    "assign_bd_address", "exclude_bd_addr_seg", "regenerate_bd_layout", "current_bd_instance",
}  # fmt: skip


@dataclass
class BlockDesign:
    """What the commands say. Names of cells are paths without a leading slash; a pin is (cell, name).

    Attributes:
        name: of the design.
        files: source files in the order of their addition.
        cells: cell -> module.
        parameters: cell -> {parameter: value}, as written.
        hierarchies: cells that only hold other cells.
        pin_joins, interface_joins: groups of pins, of interfaces, that are one net; an external one is ("", name).
    """

    name: str = ""
    files: list[Path] = field(default_factory=list)
    cells: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    hierarchies: set[str] = field(default_factory=set)
    pin_joins: list[list[tuple[str, str]]] = field(default_factory=list)
    interface_joins: list[list[tuple[str, str]]] = field(default_factory=list)


def read_block_design(script: Path) -> BlockDesign:
    """The design of a `make_project.tcl`.

    Raises:
        GatefoldError: a command or a kind of cell that cannot be simulated; names it.
    """
    design = BlockDesign()
    for line in script.read_text().splitlines():
        words = _words(line.strip())
        if not words or words[0].startswith("#"):
            continue
        command, arguments = words[0], words[1:]
        if command == "make_wrapper":
            return design
        if command in _PASSED_OVER:
            design.name = arguments[0] if command == "create_bd_design" else design.name
            continue
        reader = _COMMANDS.get(command)
        if reader is None:
            raise GatefoldError(
                f"The block design uses {command}, which only Vivado knows; leave out the node that brings it: {line}"
            )
        reader(design, arguments, line)
    raise GatefoldError(f"{script} holds no make_wrapper; let CreateStitchedIP write it again.")


def _words(line: str) -> list[str]:
    """Words of one Tcl command: bare, in braces, in quotes, or in brackets (kept as they stand)."""
    words, at = [], 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        start = at
        if line[at] in "{[":
            closing = {"{": "}", "[": "]"}[line[at]]
            depth = 0
            while at < len(line):
                depth += (line[at] == line[start]) - (line[at] == closing)
                at += 1
                if not depth:
                    break
            words.append(line[start + 1 : at - 1] if line[start] == "{" else line[start:at])
        elif line[at] == '"':
            at = line.index('"', at + 1) + 1
            words.append(line[start + 1 : at - 1])
        else:
            while at < len(line) and not line[at].isspace():
                at += 1
            words.append(line[start:at])
    return [re.sub(r"\$::env\((\w+)\)", lambda match: _environment(match[1]), word) for word in words]


def _environment(name: str) -> str:
    if name == "FINN_RTLLIB" and name not in os.environ:
        import finn

        return str(Path(finn.__path__[0]) / "finn-rtllib")
    return os.environ.get(name, "")


def _objects(word: str, line: str) -> tuple[str, list[str]]:
    """(`get_…` command, its object names) of a bracketed word."""
    inner = _words(word[1:-1]) if word.startswith("[") else []
    if not inner or not inner[0].startswith("get_bd_") or any(word.startswith(("-", "[")) for word in inner[1:]):
        raise GatefoldError(f"The block design names its pins in a way that only Vivado understands: {line}")
    return inner[0], [name.lstrip("/") for item in inner[1:] for name in item.split()]


def _pin(path: str) -> tuple[str, str]:
    cell, _, name = path.rpartition("/")
    return cell, name


def _ends(arguments: list[str], line: str) -> list[tuple[str, str]]:
    ends = []
    for word in arguments:
        if word.startswith("["):
            kind, names = _objects(word, line)
            ends += [("", name) if "port" in kind else _pin(name) for name in names]
    return ends


def _add_files(design, arguments, line):
    for word in arguments:
        if word.startswith("/") and not Path(word).is_dir():
            design.files.append(Path(word))


def _create_cell(design, arguments, line):
    options = dict(zip(arguments, arguments[1:], strict=False))
    name = arguments[-1].lstrip("/")
    if options["-type"] == "ip":
        raise GatefoldError(
            f"{name} is an IP core ({options.get('-vlnv', 'of unknown origin')}), of which there is no RTL without Vivado or "
            f"Vitis HLS; use the RTL variant of the node (preferred_impl_style=rtl), or simulate the graph without it."
        )
    if "-reference" in options:
        design.cells[name] = options["-reference"]
    else:
        design.hierarchies.add(name)


def _set_property(design, arguments, line):
    if arguments[0] == "name":
        kind, (old,) = _objects(arguments[2], line)
        joins = design.interface_joins if "intf" in kind else design.pin_joins
        for join in joins if "port" in kind else ():
            join[:] = [("", arguments[1]) if end == ("", old) else end for end in join]
        return
    values = _words(arguments[1][1:-1])[1:] if arguments[0] == "-dict" else arguments[:2]
    if not arguments[-1].startswith("[get_bd_cells"):
        return  # clock frequencies, address segments, properties of the project
    for name in _objects(arguments[-1], line)[1]:
        for key, value in zip(values[::2], values[1::2], strict=True):
            design.parameters.setdefault(name, {})[key.removeprefix("CONFIG.")] = value


def _external(joins, arguments, line):
    options = dict(zip(arguments, arguments[1:], strict=False))
    for cell, name in _ends(arguments, line):
        chosen, number = options.get("-name", f"{name}_0"), 0
        while any(("", chosen) in join for join in joins):
            number += 1
            chosen = f"{name}_{number}"
        joins.append([("", chosen), (cell, name)])


_COMMANDS = {
    "add_files": _add_files,
    "create_bd_cell": _create_cell,
    "create_bd_pin": lambda design, arguments, line: None,
    "create_bd_intf_pin": lambda design, arguments, line: None,
    "set_property": _set_property,
    "connect_bd_net": lambda design, arguments, line: design.pin_joins.append(_ends(arguments, line)),
    "connect_bd_intf_net": lambda design, arguments, line: design.interface_joins.append(_ends(arguments, line)),
    "make_bd_pins_external": lambda design, arguments, line: _external(design.pin_joins, arguments, line),
    "make_bd_intf_pins_external": lambda design, arguments, line: _external(design.interface_joins, arguments, line),
}
