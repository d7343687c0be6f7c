"""Resources of the generated hardware on a 7-series part, estimated by yosys `synth_xilinx`.

An estimate before place and route: LUT counts every LUT cell and every LUT used as memory or shift register, without
the packing of two small ones into one that the placer does later.
"""

import functools
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flow.atomic import check_space, make_folder
from flow.errors import GatefoldError
from flow.kept import kept
from flow.synth.mapping import SOFT_MULTIPLIER, uses_dsp

TOP = "gatefold_top"
KINDS = ("lut", "ff", "dsp", "bram36")
# UG953 and UG474: LUTs of a slice that a primitive takes.
LUTS = {
    "SRL16E": 1,
    "SRLC32E": 1,
    "RAM32X1S": 1,
    "RAM64X1S": 1,
    "RAM32X1D": 2,
    "RAM64X1D": 2,
    "RAM128X1S": 2,
    "RAM32M": 4,
    "RAM64M": 4,
    "RAM128X1D": 4,
    "RAM256X1S": 4,
    **{f"LUT{inputs}": 1 for inputs in range(1, 7)},
}
FLIP_FLOPS = ("FDRE", "FDSE", "FDCE", "FDPE")
BLOCK_MEMORIES = {"RAMB36E1": 1.0, "RAMB18E1": 0.5}
FREE = ("CARRY4", "MUXF7", "MUXF8", "MUXF9", "INV", "VCC", "GND", "$scopeinfo")  # part of the slices, or nothing


@dataclass(frozen=True)
class Unit:
    """A module of the hardware with all that is inside it.

    Attributes:
        name: module name; "(rest)" for what the parent holds itself.
        parent: name of the module that instantiates it.
        count: instances.
        lut, ff, dsp, bram36: of all instances together.
    """

    name: str
    parent: str
    count: int
    lut: int
    ff: int
    dsp: int
    bram36: float


@dataclass(frozen=True)
class Estimate:
    """Attributes:
    total: Unit of the whole.
    units: its parts, largest first, two levels deep: the parts' `parent` is the top or a unit of the top.
    """

    total: Unit
    units: tuple[Unit, ...]


def estimate(parameters: Mapping[str, int], top: str = TOP) -> Estimate:
    """Synthesise the hardware, or take the result of an earlier run with the same sources and parameters.

    Args:
        parameters: RTL parameter name -> integer of `top`; ENGINE_HASH is ignored. With REQUANT_DSP = 0 every product is made
            of LUTs.
        top: module to synthesise: "gatefold_top", or "tile_engine" without registers and DMA.

    Returns:
        Estimate. Takes minutes when nothing is kept; results lie in build/cache/synthesis.

    Raises:
        GatefoldError: yosys refuses the design; names the log.
    """
    from flow.engine.sources import accelerator_sources
    from flow.paths import build_root

    parameters = {name: int(value) for name, value in sorted(parameters.items()) if name != "ENGINE_HASH"}
    cache = build_root() / "cache" / "synthesis"
    make_folder(cache)
    with tempfile.TemporaryDirectory(dir=cache, prefix="run-") as name:
        folder = Path(name)
        sources = accelerator_sources(folder)
        path = cache / f"{_key(sources, parameters, top)}.json"
        log = path.with_suffix(".log")
        kept(path, lambda part: os.replace(_synthesise(folder, sources, parameters, top, log), part))
    return count(json.loads(path.read_text()), top)


def count(statistics: dict, top: str) -> Estimate:
    """Estimate from what yosys' `stat -json` says of a mapped hierarchy.

    Raises:
        GatefoldError: a cell is neither a module nor a known primitive.
    """
    modules = {name.removeprefix("\\"): module["num_cells_by_type"] for name, module in statistics["modules"].items()}

    @functools.cache
    def inside(module):
        sums = dict.fromkeys(KINDS, 0)
        for cell, number in modules[module].items():
            for kind, amount in (inside(cell) if cell in modules else _primitive(cell)).items():
                sums[kind] += number * amount
        return sums

    def parts(module, parent):
        own = dict(inside(module))
        merged = {}
        for cell, number in modules[module].items():
            if cell not in modules:
                continue
            unit = merged.setdefault(_plain(cell), {"count": 0, "module": cell, **dict.fromkeys(KINDS, 0)})
            unit["count"] += number
            for kind, amount in inside(cell).items():
                unit[kind] += number * amount
                own[kind] -= number * amount
        children = [(unit.pop("module"), Unit(name=name, parent=parent, **unit)) for name, unit in merged.items()]
        return [*children, (None, Unit("(rest)", parent, 1, **own))]

    def largest_first(found):
        return sorted(found, key=lambda pair: -pair[1].lut)

    units = []
    for module, unit in largest_first(parts(top, top)):
        units.append(unit)
        if module is not None and unit.count == 1:
            deeper = largest_first(parts(module, unit.name))
            units += [part for _, part in deeper] if len(deeper) > 1 else []
    return Estimate(Unit(top, "", 1, **inside(top)), tuple(units))


def _plain(module):
    """Name in the source of a module that slang named after its first instance, or yosys after its parameters."""
    return re.sub(r"\$.*", "", module.removeprefix("$paramod\\"))


def _primitive(cell):
    if cell in LUTS:
        return {"lut": LUTS[cell]}
    if cell in FLIP_FLOPS:
        return {"ff": 1}
    if cell == "DSP48E1":
        return {"dsp": 1}
    if cell in BLOCK_MEMORIES:
        return {"bram36": BLOCK_MEMORIES[cell]}
    if cell in FREE:
        return {}
    raise GatefoldError(f"the synthesised design holds a cell {cell} of unknown size; add it to flow/synth/resources.py.")


def _key(sources, parameters, top):
    digest = hashlib.sha256()
    tools = [Path(__file__).with_name(name) for name in ("worker.py", "merge.py", "mapping.py")]
    for file in [*sources, *tools, *([] if uses_dsp(parameters) else [SOFT_MULTIPLIER])]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    digest.update(json.dumps([parameters, top, importlib.metadata.version("pyosys")]).encode())
    return digest.hexdigest()[:20]


def _synthesise(folder, sources, parameters, top, log):
    """File with what yosys' `stat -json` says; the log stays beside the cache when it fails."""
    result, job = folder / "statistics.json", folder / "job.json"
    sources = [str(file) for file in sources]
    contents = {"sources": sources, "top": top, "parameters": parameters, "dsp": uses_dsp(parameters), "result": str(result)}
    job.write_text(json.dumps(contents))
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    with log.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "flow.synth.worker", str(job)],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
    if done.returncode or not result.is_file():
        said = log.read_text(errors="replace")
        check_space(folder, said)
        errors = [line for line in said.splitlines() if "ERROR" in line]
        raise GatefoldError(
            f"yosys refuses the hardware: {errors[0] if errors else 'no message'} (all of it in {log}); correct the parameters or the RTL."
        )
    log.unlink()
    return result
