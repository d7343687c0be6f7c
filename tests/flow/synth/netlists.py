"""Small netlists by hand, in the form of yosys' `write_json`."""

OUTPUTS = {
    "O", "CO", "Q", "Q31", "DOA", "DOB", "DOC", "DOD", "SPO", "DPO", "DOADO", "DOPADOP", "DOBDO", "DOPBDOP", "P", "PCOUT", "ACOUT", "BCOUT",
}  # fmt: skip


class Netlist:
    """Nets are named by strings; "0" and "1" are constants."""

    def __init__(self):
        self.module = {"attributes": {}, "cells": {}, "netnames": {}}
        self._nets = {}

    def cell(self, name, kind, parameters=None, outputs=OUTPUTS, **pins):
        """Add a cell; a pin is a net, or a list of nets, lowest bit first. Returns self."""
        connections = {
            port: [self._net(net) for net in (nets if isinstance(nets, list) else [nets])] for port, nets in pins.items()
        }
        values = {key: f"{value:032b}" if isinstance(value, int) else value for key, value in (parameters or {}).items()}
        directions = {port: "output" if port in outputs and (kind != "CARRY4" or port != "CI") else "input" for port in connections}
        self.module["cells"][name] = {
            "type": kind, "parameters": values, "attributes": {}, "port_directions": directions, "connections": connections,
        }  # fmt: skip
        return self

    def flip_flop(self, name, d, q, kind="FDRE", **pins):
        """A register whose clock is `clk`; enable and reset constant unless given."""
        reset = {"FDRE": "R", "FDSE": "S", "FDCE": "CLR", "FDPE": "PRE"}[kind]
        return self.cell(name, kind, **({"C": "clk", "CE": "1", "D": d, "Q": q, reset: "0"} | pins))

    def _net(self, name):
        if name in ("0", "1"):
            return name
        if name not in self._nets:
            self._nets[name] = len(self._nets) + 2
            self.module["netnames"][name] = {"hide_name": 0, "bits": [self._nets[name]], "attributes": {}}
        return self._nets[name]
