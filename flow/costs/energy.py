"""Energy of a layer over a memory hierarchy (EnergyNet, eq. 2; DDI, eq. 6): E = sum_i #acc_i * e_i + #MAC * e_MAC.

Three memories: registers in the processing elements, the cache (buffers) and main memory. SCALE-Sim counts the accesses of
the cache and of main memory. A multiply-accumulate reads its input, its weight and its partial sum from registers and writes
the sum back: four accesses (Sze et al., Proc. IEEE 2017, section V).
"""

from functools import cache

from torch import Tensor

from flow.costs.accesses import Accesses, Shape, count_accesses
from flow.costs.activity import Activity
from flow.nn.spec import LayerSpec

UNIT_ENERGY = {"mac": 1.0, "register": 1.0, "cache": 6.0, "main": 200.0}
"""Energy per operation or access, in units of one multiply-accumulate: Chen, Emer, Sze, "Eyeriss: A Spatial Architecture for
Energy-Efficient Dataflow for Convolutional Neural Networks", ISCA 2016, table IV (65 nm; buffer above 100 kB)."""
MEMORIES = ("register", "cache", "main")
REGISTERS_PER_MAC = 4


@cache
def group_accesses(spec: LayerSpec, n: int) -> Accesses:
    """Accesses of one of the n groups of a layer."""
    return count_accesses(Shape(spec.in_channels // n, spec.out_channels // n, spec.kernel, spec.stride, spec.out_size))


def layer_accesses(spec: LayerSpec, active: Activity) -> tuple[dict[str, Tensor], Tensor]:
    """Accesses of one layer that runs.

    Products, weights and cache accesses follow the active pairs; maps in main memory follow the active channels.

    Returns:
        Those of every run by memory (``MEMORIES``), and those of reading the weights from main memory, once for all runs: float64
        [N] or [1] each.
    """
    n = active.inputs.shape[1]
    counts = group_accesses(spec, n)
    inputs, outputs = spec.in_channels // n, spec.out_channels // n
    cache = counts.cache_inputs + counts.cache_weights + counts.cache_outputs
    maps = active.inputs.sum(1) * (counts.main_inputs / inputs) + active.outputs.sum(1) * (counts.main_outputs / outputs)
    run = {
        "register": active.pairs * (REGISTERS_PER_MAC * spec.kernel**2 * spec.out_size**2),
        "cache": active.pairs * (cache / (inputs * outputs)),
        "main": maps,
    }
    return run, active.pairs * (counts.main_weights / (inputs * outputs))


def layer_energy(spec: LayerSpec, active: Activity) -> tuple[Tensor, Tensor]:
    """Energy of one layer that runs, in units of one multiply-accumulate.

    Returns:
        That of every run, and that of reading the weights from main memory, once for all runs: float64 [N] or [1] each.
    """
    accesses, weights = layer_accesses(spec, active)
    macs = active.pairs * (spec.kernel**2 * spec.out_size**2)
    run = macs * UNIT_ENERGY["mac"] + sum(count * UNIT_ENERGY[memory] for memory, count in accesses.items())
    return run, weights * UNIT_ENERGY["main"]
