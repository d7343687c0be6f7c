"""Longest paths through a mapped, flattened netlist: from every register, memory or DSP block to every other.

Nodes are nets, and one hub for each multi-bit output that several inputs reach, so that a product of 30 by 18 bits is
48 edges and not 2304. The longest path to every node is taken level by level in arrays, for every group of starting
points at once.
"""

from dataclasses import dataclass

import numpy as np

from flow.errors import GatefoldError
from flow.synth.delays import LUT_AS_WIRE, net_delay
from flow.synth.primitives import cell as primitive

LUTS = frozenset({*(f"LUT{inputs}" for inputs in range(1, 7)), "INV"})
LUT_MEMORIES = frozenset({
    "SRL16E", "SRLC32E", "RAM32M", "RAM64M", "RAM32X1S", "RAM64X1S", "RAM128X1S", "RAM256X1S", "RAM32X1D", "RAM64X1D", "RAM128X1D",
})  # fmt: skip
FLIP_FLOPS = frozenset({"FDRE", "FDSE", "FDCE", "FDPE"})
CASCADES = {"ACIN": "ACOUT", "BCIN": "BCOUT", "PCIN": "PCOUT", "CARRYCASCIN": "CARRYCASCOUT", "MULTSIGNIN": "MULTSIGNOUT"}


@dataclass(frozen=True)
class Pin:
    """A cell's pin: index of the cell, port, bit."""

    cell: int
    port: str
    bit: int


@dataclass(frozen=True)
class Path:
    """Attributes:
    ns: from clock edge to clock edge, set-up included.
    start, end: Pin: the output that it leaves, the input at which it ends.
    cells: indices of the cells between, in order.
    routing_ns: share of the nets.
    """

    ns: float
    start: Pin
    end: Pin
    cells: tuple[int, ...]
    routing_ns: float


class Graph:
    """The timing graph of one flat module.

    Args:
        module: a module of yosys' `write_json`.

    Attributes:
        names, kinds: of the cells, by index.
        launches: [(net, ns, Pin)], ends: [(net, ns with net and set-up, Pin, ns of the net)].
        inner: {cell index: ns} of ways inside a cell.
        drivers: net -> Pin.
    """

    def __init__(self, module: dict):
        self.names = list(module["cells"])
        self.kinds = [cell["type"] for cell in module["cells"].values()]
        self.launches, self.ends, self.inner, self.drivers = [], [], {}, {}
        self._edges = []  # source, target, ns, ns of the net, cell
        cells = list(module["cells"].values())
        nets = (bit for cell in cells for bits in cell["connections"].values() for bit in bits if isinstance(bit, int))
        self.nodes = 1 + max(nets, default=0)
        directions = [cell["port_directions"] for cell in cells]
        sinks = self._connect(cells, directions)
        routes = self._routes(sinks)
        for index, cell in enumerate(cells):
            self._time(index, cell, directions[index], routes)

    def _connect(self, cells, directions):
        """Drivers, and net -> [Pin] of its loads."""
        sinks = {}
        for index, cell in enumerate(cells):
            for port, bits in cell["connections"].items():
                output = directions[index][port] == "output"
                for bit, net in enumerate(bits):
                    if isinstance(net, str):
                        continue
                    if output:
                        self.drivers[net] = Pin(index, port, bit)
                    else:
                        sinks.setdefault(net, []).append(Pin(index, port, bit))
        return sinks

    def _routes(self, sinks):
        """Pin -> ns from the net's driver to it."""
        routes = {}
        for net, pins in sinks.items():
            driver = self.drivers.get(net)
            routed = net_delay(len(pins))
            partner = min((pin for pin in pins if self._same_slice(driver, pin)), key=self._preference, default=None)
            for pin in pins:
                if pin is partner or self._cascade(driver, pin):
                    routes[pin] = 0.0
                elif self._wants_lut(pin):
                    routes[pin] = routed + LUT_AS_WIRE
                else:
                    routes[pin] = routed
        return routes

    def _cascade(self, driver, pin):
        if driver is None:
            return False
        if pin.port == "CI":
            return self.kinds[pin.cell] == "CARRY4" and (driver.port, driver.bit) == ("CO", 3)
        return self.kinds[pin.cell] == "DSP48E1" and CASCADES.get(pin.port) == driver.port

    def _same_slice(self, driver, pin):
        """Whether a placer can put the load beside its driver. Only one load of a net can have that."""
        if driver is None:
            return False
        source, load = self.kinds[driver.cell], self.kinds[pin.cell]
        if load in FLIP_FLOPS:
            return pin.port == "D" and (source in LUTS or source in LUT_MEMORIES or source in ("CARRY4", "MUXF7", "MUXF8"))
        if load == "CARRY4":
            return pin.port == "S" and source in LUTS
        if load == "MUXF7":
            return pin.port != "S" and (source in LUTS or source in LUT_MEMORIES)
        return load == "MUXF8" and pin.port != "S" and source == "MUXF7"

    def _preference(self, pin):
        return self.kinds[pin.cell] in FLIP_FLOPS, pin.cell, pin.port, pin.bit

    def _wants_lut(self, pin):
        return (self.kinds[pin.cell] == "CARRY4" and pin.port == "S") or (self.kinds[pin.cell] == "MUXF7" and pin.port != "S")

    def _time(self, index, cell, directions, routes):
        connections = cell["connections"]
        live = {port: directions[port] for port, bits in connections.items() if not all(isinstance(bit, str) for bit in bits)}
        what = primitive(cell["type"], cell.get("parameters", {}), live)
        if what.inner:
            self.inner[index] = what.inner

        def pins(pin):
            port, wanted = pin
            for bit, net in enumerate(connections.get(port, ())):
                if not isinstance(net, str) and (wanted is None or wanted == bit):
                    yield net, Pin(index, port, bit)

        hubs = {}
        for start, end, delay in what.arcs:
            outputs = list(pins(end))
            if not outputs:
                continue
            target, extra = outputs[0][0], delay
            if len(outputs) > 1:
                if end not in hubs:
                    hubs[end] = self.nodes
                    self.nodes += 1
                    self._edges += [(hubs[end], net, 0.0, 0.0, -1) for net, _ in outputs]
                target = hubs[end]
            for net, pin in pins(start):
                self._edges.append((net, target, routes[pin] + extra, routes[pin], index))
        for output, delay in what.launches:
            self.launches += [(net, delay, pin) for net, pin in pins(output)]
        for entry, setup in what.setups:
            self.ends += [(net, routes[pin] + setup, pin, routes[pin]) for net, pin in pins(entry)]

    def levels(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges in order of the level of their target, and where each level begins.

        Raises:
            GatefoldError: a loop without a register.
        """
        edges = np.array([edge[:2] for edge in self._edges], dtype=np.int64).reshape(-1, 2)
        waiting = np.bincount(edges[:, 1], minlength=self.nodes)
        by_source = np.argsort(edges[:, 0], kind="stable")
        first = np.searchsorted(edges[by_source, 0], np.arange(self.nodes + 1))
        level = np.zeros(self.nodes, dtype=np.int64)
        ready, depth = np.flatnonzero(waiting == 0), 0
        while len(ready):
            level[ready] = depth
            depth += 1
            spans = [by_source[first[node] : first[node + 1]] for node in ready]
            targets = edges[np.concatenate(spans), 1]
            np.subtract.at(waiting, targets, 1)
            targets = np.unique(targets)
            ready = targets[waiting[targets] == 0]
        if (waiting > 0).any():
            pin = self.drivers.get(int(np.flatnonzero(waiting > 0)[0]))
            where = f"at {self.names[pin.cell]}" if pin else "in it"
            raise GatefoldError(f"the netlist holds a loop without a register {where}; break it with a register.")
        order = np.lexsort((edges[:, 1], level[edges[:, 1]]))
        return order, np.searchsorted(level[edges[order, 1]], np.arange(1, depth + 1))


class Arrivals:
    """The longest way to every node, from each group of starting points.

    Args:
        graph: Graph.
        groups: int per launch of the graph: its group, 0…n-1.
    """

    def __init__(self, graph: Graph, groups: list[int]):
        self.graph, count = graph, max(groups, default=0) + 1
        self.times = np.full((graph.nodes, count), -np.inf)
        nets = np.array([net for net, _, _ in graph.launches], dtype=np.int64)
        self._groups = np.asarray(groups, dtype=np.int64)
        np.maximum.at(self.times, (nets, self._groups), np.array([delay for _, delay, _ in graph.launches]))
        order, bounds = graph.levels()
        edges = graph._edges
        self.source = np.array([edges[index][0] for index in order], dtype=np.int64)
        self.target = np.array([edges[index][1] for index in order], dtype=np.int64)
        self.delay = np.array([edges[index][2] for index in order])
        self._order = order
        for begin, end in zip(bounds[:-1], bounds[1:], strict=True):
            targets, starts = np.unique(self.target[begin:end], return_index=True)
            reached = np.maximum.reduceat(self.times[self.source[begin:end]] + self.delay[begin:end, None], starts, axis=0)
            self.times[targets] = np.maximum(self.times[targets], reached)
        self._by_target = np.argsort(self.target, kind="stable")
        self._first = np.searchsorted(self.target[self._by_target], np.arange(graph.nodes + 1))
        self._launches = {}
        for number, (net, _, _) in enumerate(graph.launches):
            self._launches.setdefault(net, []).append(number)

    def ends(self) -> np.ndarray:
        """float [end points, groups]: the slowest path of each group to each end point, -inf where there is none."""
        nets = np.array([end[0] for end in self.graph.ends], dtype=np.int64)
        return self.times[nets] + np.array([end[1] for end in self.graph.ends])[:, None]

    def path(self, end: int, group: int) -> Path:
        """Path to the end point of that index from the group."""
        net, last, pin, routing = self.graph.ends[end]
        node, cells = net, []
        while True:
            edges = self._by_target[self._first[node] : self._first[node + 1]]
            ways = self.times[self.source[edges], group] + self.delay[edges]
            if not len(ways) or ways.max() < self.times[node, group] - 1e-9:
                break
            edge = edges[np.argmax(ways)]
            _, _, _, net_share, cell = self.graph._edges[self._order[edge]]
            routing += net_share
            if cell >= 0:
                cells.append(cell)
            node = int(self.source[edge])
        starts = [number for number in self._launches[node] if self._groups[number] == group]
        start = max(starts, key=lambda number: self.graph.launches[number][1])
        return Path(float(self.times[net, group] + last), self.graph.launches[start][2], pin, tuple(reversed(cells)), routing)
