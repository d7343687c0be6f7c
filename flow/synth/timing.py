"""The clock that the generated hardware can take, estimated before placing: yosys' flat netlist, delays.py, longest paths.

Not a sign-off: nets are a model, nothing is placed, clock skew and jitter are left out, and Vivado maps differently.
"""

import gzip
import hashlib
import importlib.metadata
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from flow.errors import GatefoldError
from flow.kept import is_kept, kept
from flow.synth.delays import NET, NET_DOUBLING, SPEED_GRADE
from flow.synth.mapping import SOFT_MULTIPLIER, uses_dsp
from flow.synth.names import Names, collapsed
from flow.synth.paths import LUT_MEMORIES, LUTS, Arrivals, Graph

LABEL = "estimated before placing"
MODEL = f"cells of the Artix-7 fabric {SPEED_GRADE} (prjxray), a net {NET} ns + {NET_DOUBLING} ns per doubling of its fan-out"
TOP = "zynq_top"
ENGINE = "gatefold_0.top"
"""Instance of `gatefold_top` in it; left out of names."""
SHELL = Path(__file__).resolve().parents[2] / "hw" / "shell"
BIN_NS = 0.01


@dataclass(frozen=True)
class Worst:
    """The slowest path from one module to another.

    Attributes:
        from_module, to_module: instance paths; `[*]` stands for every index.
        from_name, to_name: register, memory or DSP block that it leaves, and at which it ends (with the pin, where that is not data).
        ns: from clock edge to clock edge; routing_ns: share of the nets.
        luts, carries, muxes, dsps, memories: cells on the way.
        bins: {hundredths of a ns, rounded down: end points of the module whose slowest path from `from_module` takes that}.
    """

    from_module: str
    from_name: str
    to_module: str
    to_name: str
    ns: float
    routing_ns: float
    luts: int
    carries: int
    muxes: int
    dsps: int
    memories: int
    bins: dict[str, int]

    def over(self, ns: float) -> int:
        """End points whose slowest path takes more than that, to a hundredth of a ns."""
        return sum(count for bin, count in self.bins.items() if int(bin) * BIN_NS >= ns - 1e-9)


@dataclass(frozen=True)
class Timing:
    """Attributes:
    end_points: number of pins at which a path ends.
    paths: Worst of every pair of modules, slowest first.
    """

    end_points: int
    paths: tuple[Worst, ...]

    @property
    def worst_ns(self) -> float:
        """Slowest path, ns."""
        return self.paths[0].ns

    @property
    def clock_mhz(self) -> float:
        """Fastest clock, rounded down to a tenth."""
        return math.floor(1e4 / self.worst_ns) / 10

    def carries(self, clock_mhz: float) -> bool:
        """Whether the slowest path keeps to that clock."""
        return self.worst_ns <= 1e3 / clock_mhz


def estimate(parameters: Mapping[str, int]) -> Timing:
    """Timing of the accelerator in the shell of the open tools, or of an earlier run with the same sources and parameters.

    Args:
        parameters: RTL parameter name -> integer of gatefold_top; ENGINE_HASH is ignored. With REQUANT_DSP = 0 there are no DSP
            blocks.

    Returns:
        Timing. Takes minutes when nothing is kept; netlists and results lie in build/cache/timing.

    Raises:
        GatefoldError: yosys refuses the design; names the log.
    """
    cache = _cache()
    cache.mkdir(parents=True, exist_ok=True)
    with _design(parameters, cache) as (folder, sources, parameters, key):
        netlist, log = cache / f"{key}.netlist.json.gz", cache / f"{key}.log"

        def write(part):
            kept(netlist, lambda file: _synthesise(folder, sources, parameters, file, log))
            with gzip.open(netlist, "rt") as file:
                timing = analyse(json.load(file)["modules"][TOP], ENGINE)
            part.write_text(json.dumps(asdict(timing)))

        return _read(kept(_result(cache, key), write))


def known_estimate(parameters: Mapping[str, int]) -> Timing | None:
    """What `estimate` would return, where an earlier run has kept it; else None, at once."""
    with _design(parameters) as (_, _, _, key):
        result = _result(_cache(), key)
        return _read(result) if is_kept(result) else None


def _cache():
    from flow.paths import build_root

    return build_root() / "cache" / "timing"


@contextmanager
def _design(parameters, place=None):
    """(temporary folder in `place`, sources, parameters, key) of what is to be timed."""
    from flow.engine.sources import accelerator_sources
    from flow.engine.top import top_text

    parameters = {name: int(value) for name, value in sorted(parameters.items()) if name != "ENGINE_HASH"}
    with tempfile.TemporaryDirectory(dir=place, prefix="run-") as name:
        folder = Path(name)
        top = folder / "accelerator.sv"
        top.write_text(top_text(parameters))
        sources = [*accelerator_sources(folder), top, SHELL / "axi3_lite_bridge.sv", SHELL / f"{TOP}.sv"]
        yield folder, sources, parameters, _key(sources, parameters)


def _result(cache, key):
    digest = _digest(Path(__file__).with_name(f"{module}.py") for module in _ANALYSIS)
    return cache / f"{key}-{digest}.json"


def _read(result):
    read = json.loads(result.read_text())
    return Timing(read["end_points"], tuple(Worst(**path) for path in read["paths"]))


_ANALYSIS = ("delays", "primitives", "paths", "names", "timing")


def _digest(files):
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _key(sources, parameters):
    tools = [Path(__file__).with_name("mapping.py"), SHELL / "synthesise.py", *([] if uses_dsp(parameters) else [SOFT_MULTIPLIER])]
    settings = json.dumps([parameters, importlib.metadata.version("pyosys")])
    return hashlib.sha256((_digest([*sources, *tools]) + settings).encode()).hexdigest()[:20]


def _synthesise(folder, sources, parameters, target, log):
    """Write the netlist, compressed; the log stays when yosys fails."""
    job, result = folder / "job.json", folder / "netlist.json"
    contents = {"sources": [str(file) for file in sources], "dsp": uses_dsp(parameters), "netlist": str(result)}
    job.write_text(json.dumps(contents))
    environment = {**os.environ, "PYTHONPATH": str(SHELL.parents[1])}
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, SHELL / "synthesise.py", job], cwd=folder, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    if done.returncode or not result.is_file():
        errors = [line for line in log.read_text(errors="replace").splitlines() if "ERROR" in line]
        raise GatefoldError(
            f"yosys refuses the hardware: {errors[0] if errors else 'no message'} (all of it in {log}); correct the parameters or the RTL."
        )
    log.unlink()
    with gzip.open(target, "wb", compresslevel=3) as file:
        file.write(result.read_bytes())


def analyse(module: dict, prefix: str = "") -> Timing:
    """Timing of a flat netlist.

    Args:
        module: the module, of yosys' `write_json`.
        prefix: instance path that names leave out.

    Raises:
        GatefoldError: a cell without delays, a loop without a register, or no path at all.
    """
    graph, names = Graph(module), Names(module, prefix)
    known = {}

    def name(index):
        if index not in known:
            scope, local = names.of(graph.names[index])
            known[index] = collapsed(scope), local
        return known[index]

    starts = {}
    groups = [starts.setdefault(name(pin.cell)[0], len(starts)) for _, _, pin in graph.launches]
    paths = _inner(graph, name)
    arrivals = Arrivals(graph, groups)
    times = arrivals.ends()
    ends = {}
    for index, (_, _, pin, _) in enumerate(graph.ends):
        ends.setdefault(name(pin.cell)[0], []).append(index)
    paths += [
        _worst(graph, arrivals, name, source, target, group, indices, times[indices, group])
        for target, indices in ends.items()
        for source, group in starts.items()
        if times[indices, group].max() > -np.inf
    ]
    if not paths:
        raise GatefoldError("the netlist holds no path between registers; give a design with a clock.")
    return Timing(len(graph.ends), tuple(sorted(paths, key=lambda path: (-path.ns, path.from_module, path.to_module))))


def _worst(graph, arrivals, name, source, target, group, indices, times):
    path = arrivals.path(indices[int(times.argmax())], group)
    kinds = Counter(graph.kinds[cell] for cell in path.cells)
    reached = times[times > -np.inf]
    bins, counts = np.unique(np.floor(reached / BIN_NS + 1e-9).astype(int), return_counts=True)
    pin = "" if path.end.port in ("D", "C", "A", "B", "P", "PCIN") else f".{path.end.port}"
    return Worst(
        from_module=source,
        from_name=name(path.start.cell)[1],
        to_module=target,
        to_name=name(path.end.cell)[1] + pin,
        ns=round(path.ns, 3),
        routing_ns=round(path.routing_ns, 3),
        luts=sum(kinds[kind] for kind in LUTS),
        carries=kinds["CARRY4"],
        muxes=kinds["MUXF7"] + kinds["MUXF8"],
        dsps=kinds["DSP48E1"],
        memories=sum(kinds[kind] for kind in LUT_MEMORIES),
        bins={str(bin): int(count) for bin, count in zip(bins, counts, strict=True)},
    )


def _inner(graph, name):
    """Ways between two registers of one DSP block, the slowest of every module."""
    slowest = {}
    for cell, ns in graph.inner.items():
        module, local = name(cell)
        if ns > slowest.get(module, (0.0, ""))[0]:
            slowest[module] = ns, local
    return [
        Worst(
            module, local, module, f"{local} (inside its DSP block)", round(ns, 3), 0.0, 0, 0, 0, 0, 0, {str(int(ns / BIN_NS)): 1}
        )
        for module, (ns, local) in slowest.items()
    ]


def contents(timing: Timing, clock_mhz: float, placed: tuple[str, float] | None = None) -> dict:
    """The part `timing` of the report.

    Args:
        timing: Timing.
        clock_mhz: clock that is asked for.
        placed: what `placed` returns.

    Returns:
        JSON-ready dictionary: label, model; clock_mhz (fastest), worst_ns, asked_mhz, carried (whether the fastest reaches
        what is asked), placed (None, or tool and clock_mhz after routing), end_points, limit (a sentence); paths, slowest first, each with from_module, from, to_module,
        to, ns, routing_ns, luts, carries, muxes, dsps, memories, over (end points that miss the clock asked for).
    """
    period = 1e3 / clock_mhz
    return {
        "label": LABEL,
        "model": MODEL,
        "clock_mhz": timing.clock_mhz,
        "worst_ns": timing.worst_ns,
        "asked_mhz": clock_mhz,
        "carried": timing.carries(clock_mhz),
        "placed": {"tool": placed[0], "clock_mhz": placed[1]} if placed else None,
        "end_points": timing.end_points,
        "limit": limit(timing),
        "paths": [
            {
                "from_module": path.from_module, "from": path.from_name, "to_module": path.to_module, "to": path.to_name,
                "ns": path.ns, "routing_ns": path.routing_ns, "luts": path.luts, "carries": path.carries, "muxes": path.muxes,
                "dsps": path.dsps, "memories": path.memories, "over": path.over(period) if path.ns > period else 0,
            }
            for path in timing.paths
        ],
    }  # fmt: skip


def placed(model: str) -> tuple[str, float] | None:
    """What a tool said of the clock after placing and routing the build of a model.

    Returns:
        (tool, MHz) of Vivado's timing report or of nextpnr's log, whichever was last; None where nothing was implemented.
    """
    from flow.paths import build_root

    folder = build_root() / model / "implementation"
    found = {}
    for tool, file, read in (("Vivado", "record.json", _by_vivado), ("nextpnr", "openxc7/nextpnr.log", routed)):
        try:
            path = folder / file
            clock = read(path.read_text(errors="replace"))
        except (OSError, ValueError, KeyError):
            continue
        if clock:
            found[path.stat().st_mtime] = tool, clock
    return found[max(found)] if found else None


def _by_vivado(text):
    record = json.loads(text)
    return math.floor(1e4 / (1e3 / record["clock_mhz"] - record["slack_ns"])) / 10


def routed(log: str) -> float | None:
    """The clock in MHz that nextpnr's log names last; None where it names none."""
    said = re.findall(r"Max frequency for clock[^:]*: *([\d.]+) MHz", log)
    return float(said[-1]) if said else None


def limit(timing: Timing) -> str:
    """What limits the clock, in a sentence."""
    path = timing.paths[0]
    return (
        f"{path.from_module}.{path.from_name} to {path.to_module}.{path.to_name} takes {path.ns:.1f} ns ({_way(path)}) "
        f"and limits the clock to {timing.clock_mhz:g} MHz, {LABEL}"
    )


def carried(timing: Timing, clock_mhz: float) -> str:
    """Whether a clock is carried, in a sentence."""
    if timing.carries(clock_mhz):
        return f"{clock_mhz:g} MHz is carried: {timing.clock_mhz:g} MHz, {LABEL}"
    return f"{clock_mhz:g} MHz is not carried: {limit(timing)}; build with a lower --clock"


def _way(path):
    counts = {
        "LUT": path.luts,
        "carry": path.carries,
        "multiplexer": path.muxes,
        "DSP block": path.dsps,
        "LUT memory": path.memories,
    }
    shown = [f"{count} × {kind}" for kind, count in counts.items() if count]
    return ", ".join(shown) or "nothing between"


def check_clock(parameters: Mapping[str, int], clock_mhz: float) -> Timing:
    """Refuse a clock that the estimate does not carry.

    Raises:
        GatefoldError: says what limits it.
    """
    timing = estimate(parameters)
    if not timing.carries(clock_mhz):
        raise GatefoldError(f"{clock_mhz:g} MHz is not carried: {limit(timing)}; choose a lower --clock, or --clock-anyway.")
    return timing
