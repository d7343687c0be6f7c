"""Looks over the netlist that goes to place and route: nothing undefined, the processing system, memories with their contents."""

from collections import Counter

from flow.errors import GatefoldError
from flow.synth.names import Names, collapsed
from flow.synth.primitives import known

CLOCKED = ("AREG", "BREG", "CREG", "MREG", "PREG")


def check(module, dsp, prefix=""):
    """Refuse a netlist that the tools would take and that would not work.

    Args:
        module: the flat module, of yosys' `write_json`.
        dsp: whether the build has DSP blocks.
        prefix: instance path that names leave out.

    Returns:
        Lines for people: cells of each kind, and of the DSP blocks of every module the registers in use.

    Raises:
        GatefoldError: a cell that is no primitive, none or several PS7, a block memory whose contents are undefined or all alike, DSP
            blocks in a build without.
    """
    kinds = Counter(cell["type"] for cell in module["cells"].values() if cell["type"] != "$scopeinfo")
    foreign = sorted(kind for kind in kinds if not known(kind))
    if foreign:
        raise GatefoldError(
            f"the netlist holds {', '.join(foreign)}, which no primitive of the part is; correct the RTL or the mapping."
        )
    if kinds["PS7"] != 1:
        raise GatefoldError(f"the netlist holds {kinds['PS7']} PS7 where one is needed; without it the chip would stop Linux.")
    if kinds["DSP48E1"] and not dsp:
        raise GatefoldError(f"the netlist holds {kinds['DSP48E1']} DSP48E1 in a build without DSP blocks; correct the mapping.")
    for name, cell in module["cells"].items():
        if cell["type"] in ("RAMB18E1", "RAMB36E1") and not _written(cell) and not _filled(cell):
            raise GatefoldError(f"the block memory {name} has no contents and is never written; look for its image ($readmemh).")
    names, blocks = Names(module, prefix), Counter()
    for name, cell in module["cells"].items():
        if cell["type"] == "DSP48E1":
            registers = tuple(int(cell["parameters"].get(register, "1"), 2) for register in CLOCKED)
            blocks[collapsed(names.of(name)[0]), registers] += 1
    lines = [f"{count:7} {kind}" for kind, count in sorted(kinds.items())]
    for (unit, registers), count in sorted(blocks.items()):
        lines.append(
            f"{count:7} DSP48E1 of {unit}: " + " ".join(f"{name}={value}" for name, value in zip(CLOCKED, registers, strict=True))
        )
    return lines


def _filled(cell):
    contents = [
        value
        for name, value in cell["parameters"].items()
        if name.startswith("INIT_") and name not in ("INIT_A", "INIT_B", "INIT_FILE")
    ]
    return any("1" in value for value in contents)


def _written(cell):
    enables = [bit for port in ("WEA", "WEBWE") for bit in cell["connections"].get(port, ())]
    return any(bit not in ("0", "x") for bit in enables)
