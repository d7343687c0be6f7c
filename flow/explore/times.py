"""The t of Algorithm 2: time of a group vector as the sum over its layers."""

import math
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from flow.costs import Accounting
from flow.engine.config import Folding
from flow.errors import GatefoldError
from flow.files import read_json
from flow.nn.spec import LayerSpec

MODELS = ("cycles", "macs", "energy")
DEVICES = ("cpu", "cuda")
REPEATS = 15

Table = dict[str, dict[int, float]]


def time_table(model: nn.Module, by: str, folding: Folding | None = None, batch: int = 1) -> Table:
    """Time of every layer with every group count it has.

    Args:
        model: network with ``layers()``.
        by: ``"cycles"`` (of a tile engine of this ``folding``), ``"macs"``, ``"energy"``, ``"cpu"`` or ``"cuda"`` (measured here, in
            seconds for ``batch`` images), or the path of a measured table (see ``read_table``).
    """
    specs = model.layers()
    if by in DEVICES:
        check_batch(specs, batch)
        return {spec.name: {n: layer_seconds(spec, n, by, batch) for n in spec.group_counts} for spec in specs}
    if by not in MODELS:
        return read_table(Path(by), specs)
    accounting = Accounting(model, by, folding)
    table: Table = {spec.name: {} for spec in specs}
    for n in sorted({n for spec in specs for n in spec.group_counts}):
        vector = {spec.name: max((c for c in spec.group_counts if c <= n), default=min(spec.group_counts)) for spec in specs}
        for name, cost in accounting.layer_costs(vector).items():
            table[name][vector[name]] = cost
    return table


def total(table: Table) -> Callable[[dict[str, int]], float]:
    """Function from group vector to time."""
    return lambda groups: sum(table[name][n] for name, n in groups.items())


def check_batch(specs: list[LayerSpec], batch: int) -> None:
    """GatefoldError for a batch whose largest layer, input and output in 32-bit numbers, is more than this machine's memory."""
    numbers = max(spec.in_channels * spec.in_size**2 + spec.out_channels * spec.out_size**2 for spec in specs)
    if 4 * numbers * batch > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        raise GatefoldError(f"A batch of {batch} images does not fit into the memory of this machine; give a smaller --batch.")


@torch.no_grad()
def layer_seconds(spec: LayerSpec, n: int, device: str, batch: int = 1) -> float:
    """Median time in seconds of one layer as a real grouped convolution in floating point."""
    if device == "cuda" and not torch.cuda.is_available():
        raise GatefoldError("There is no CUDA device here; search by cpu or by cycles.")
    x = torch.rand(batch, spec.in_channels, spec.in_size, spec.in_size, device=device)
    weight = torch.rand(spec.out_channels, spec.in_channels // n, spec.kernel, spec.kernel, device=device)
    if device == "cpu":
        x = x.contiguous(memory_format=torch.channels_last)

    def run():
        F.conv2d(x, weight, None, spec.stride, spec.kernel // 2, 1, n)

    return median_seconds(run, device)


def median_seconds(run: Callable[[], object], device: str, repeats: int = REPEATS) -> float:
    """Median wall-clock seconds of ``run`` after three warm-up calls; waits for the device."""
    wait = torch.cuda.synchronize if device == "cuda" else lambda: None
    seconds = []
    for i in range(repeats + 3):
        wait()
        start = time.perf_counter()
        run()
        wait()
        if i >= 3:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def read_table(path: Path, specs: list[LayerSpec]) -> Table:
    """Read measured times.

    Args:
        path: the modes.json of a deploy folder, whose cycles were measured in the RTL per layer and mode; or a JSON file
            {layer: {group count: time}} from a board.
    """
    if not os.path.lexists(path):
        raise GatefoldError(
            f"There is neither a time '{path}' nor such a file; choose one of {', '.join(MODELS + DEVICES)}, or give a table."
        )
    contents = read_json(path, "give the modes.json of a deploy folder, or a table of times")
    try:
        if "modes" in contents:
            table: Table = {spec.name: {} for spec in specs}
            for mode in contents["modes"]:
                for name, n in mode["group_counts"].items():
                    table[name][n] = float(mode["cycles_per_layer_rtl"][name])
        else:
            table = {name: {int(n): float(t) for n, t in times.items()} for name, times in contents.items()}
        if not all(math.isfinite(t) and t >= 0 for times in table.values() for t in times.values()):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise GatefoldError(f"{path} holds no times of this network's layers; measure it again.") from None
    for spec in specs:
        missing = [n for n in spec.group_counts if n not in table.get(spec.name, {})]
        if missing:
            raise GatefoldError(
                f"{path} has no time of layer {spec.name} with {missing[0]} groups; measure every group count of it."
            )
    return table
