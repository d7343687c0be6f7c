"""Names of the RTL for the cells of a flattened netlist: the module instance that holds a register, and what it is called there."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyosys.libyosys import Design


MEMORY = re.compile(r"(\.\d+)+$")
INTERNAL = re.compile(r"\.?\$.*")
MARK = "@instance:"


def mark(design: "Design", top: str) -> None:
    """Write the instance path of its module into the `src` of every cell, which yosys carries to what it makes of the cell.

    Names alone do not tell: a net has a name in every module that it crosses, and yosys drops most of them.

    Args:
        design: yosys' Design after `hierarchy`, as slang makes it: a module for each instance, its name MODULE$TOP.INSTANCE.
        top: name of the top module.
    """
    for module in design.modules_.values():
        _, _, path = module.name.str().removeprefix("\\").partition("$")
        instance = path.removeprefix(top).lstrip(".")
        for cell in module.cells_.values():
            cell.set_src_attribute(f"{MARK}{instance}|{cell.get_src_attribute()}")


class Names:
    """Names of the registers, memories and DSP blocks of a netlist.

    Args:
        module: the flat module of yosys' `write_json`, of a design with `mark`; without, the outermost name of a net counts.
        top: instance path that is left out in front of every name.
    """

    def __init__(self, module: dict, top: str = ""):
        self._cells, self._top = module["cells"], top
        self._scopes = {"", *(name for name, cell in self._cells.items() if cell["type"] == "$scopeinfo")}
        self._aliases = {}
        for name, net in module.get("netnames", {}).items():
            if not net["hide_name"]:
                for bit in net["bits"]:
                    self._aliases.setdefault(bit, []).append(name)

    def of(self, cell: str) -> tuple[str, str]:
        """(instance path of the module, name in it) of a cell: a flip-flop or DSP block by the name of its output."""
        contents = self._cells[cell]
        if contents["type"] == "PS7":
            return self._shown(""), cell
        plain = cell.removeprefix("$flatten").replace("\\", "")
        if contents["type"].startswith("RAM"):
            return self._split(MEMORY.sub("", plain))
        home = self._home(contents.get("attributes", {}).get("src", ""))
        nets = contents["connections"].get("Q") or contents["connections"].get("P") or []
        aliases = [(self._scope(name), name) for net in nets for name in self._aliases.get(net, ())]
        if not aliases:
            return self._shown(self._scope(plain) if home is None else home), contents["type"]
        # Inputs of modules inside are other names of the same register.
        scope, name = min(aliases, key=lambda alias: (alias[0] != home, alias[0].count("."), len(alias[1]), alias[1]))
        return self._shown(scope if home is None else home), name[len(scope) :].lstrip(".")

    def _home(self, source):
        marks = [part.removeprefix(MARK) for part in source.split("|") if part.startswith(MARK)]
        return min((home for home in marks if home in self._scopes), default=None)

    def _scope(self, name):
        while name and name not in self._scopes:
            name = name.rpartition(".")[0]
        return name

    def _split(self, name):
        plain = INTERNAL.sub("", name)
        scope = self._scope(plain)
        return self._shown(scope), plain[len(scope) :].lstrip(".") or "memory"

    def _shown(self, scope):
        return scope.removeprefix(self._top).lstrip(".") or "top"


def collapsed(path: str) -> str:
    """Instance path with `[*]` for every index: what many equal instances have in common."""
    return re.sub(r"\[\d+\]", "[*]", path)
