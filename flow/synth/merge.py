"""Finds the modules of an elaborated design that take the same area, so that each is synthesised once.

slang names every instance's module apart (`engine_lane$...pixel[7].lane`), although 128 lanes are one circuit.
"""

import hashlib
import json


def equal_modules(netlist: dict) -> dict[str, str]:
    """Groups the modules of a design that have the same ports, cells, parameters and constants.

    Wiring between cells is not compared: enough for an area, not for a netlist.

    Args:
        netlist: what yosys' `write_json` wrote for an elaborated hierarchy, parsed.

    Returns:
        dict module name -> name of the first module of its group; instances are compared by what they instantiate.
    """
    modules = netlist["modules"]
    digests, first = {}, {}

    def digest(name):
        if name not in digests:
            digests[name] = _digest(modules[name], lambda kind: digest(kind) if kind in modules else kind)
        return digests[name]

    for name in sorted(modules):
        first.setdefault(digest(name), name)
    return {name: first[digest(name)] for name in modules}


def _digest(module, resolve):
    def shape(connection):
        # Constants count, wires only by their number: yosys numbers and orders them differently in equal modules.
        return [bit if isinstance(bit, str) else 0 for bit in connection]

    ports = sorted((name, port["direction"], len(port["bits"])) for name, port in module["ports"].items())
    # MEMID is a running name; the memory's contents are in the other parameters.
    cells = sorted(
        json.dumps(
            [
                resolve(cell["type"]),
                sorted(item for item in cell["parameters"].items() if item[0] != "MEMID"),
                sorted((pin, shape(connection)) for pin, connection in cell["connections"].items()),
            ]
        )
        for cell in module["cells"].values()
    )
    return hashlib.sha256(json.dumps([ports, cells]).encode()).hexdigest()
