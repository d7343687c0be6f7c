"""Memory accesses of a layer on a systolic array, counted by SCALE-Sim (Samajdar et al., arXiv:1811.02883).

The array and its buffers are those of Eyeriss (Chen et al., ISCA 2016): 12 x 14 processing elements, 108 KiB per operand, half
of each buffer being filled while the other half is read; weights stay in the array. SCALE-Sim is run once per shape in this
process; its counts are kept in the build folder.
"""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from flow.kept import kept
from flow.paths import build_root

ARRAY = (12, 14)
BUFFER_KIB = 108
WORD_BYTES = 1
_OFFSETS = (0, 100_000_000, 200_000_000)


@dataclass(frozen=True)
class Shape:
    """A dense convolution: out_size^2 windows of kernel^2 * in_channels numbers, times out_channels filters."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    out_size: int


@dataclass(frozen=True)
class Accesses:
    """Numbers read or written for one image.

    Attributes:
        cache_inputs, cache_weights, cache_outputs: between the array and its buffers.
        main_inputs, main_weights, main_outputs: between the buffers and main memory; inputs with their padding.
    """

    cache_inputs: int
    cache_weights: int
    cache_outputs: int
    main_inputs: int
    main_weights: int
    main_outputs: int


def count_accesses(shape: Shape) -> Accesses:
    """Accesses of a shape, from the cache in the build folder or from a run of SCALE-Sim."""
    fields = asdict(shape).values()
    path = build_root() / "cache" / "scalesim" / ("-".join(str(value) for value in fields) + ".json")
    kept(path, lambda part: part.write_text(json.dumps(asdict(simulate(shape))) + "\n"))
    return Accesses(**json.loads(path.read_text()))


def simulate(shape: Shape) -> Accesses:
    """Run SCALE-Sim on a shape."""
    from scalesim.compute.operand_matrix import operand_matrix
    from scalesim.compute.systolic_compute_ws import systolic_compute_ws
    from scalesim.layout_utils import layouts
    from scalesim.scale_config import scale_config

    config = scale_config()
    config.update_from_list(["accesses", *ARRAY, *[BUFFER_KIB] * 3, *_OFFSETS, "ws", "CALC", [1], 0, 0])
    operands = operand_matrix()
    operands.set_params(config, _topology(shape), layouts(), 0)
    operands.create_operand_matrices()
    inputs, weights, outputs = operands.get_all_operand_matrix()
    array = systolic_compute_ws()
    array.set_params(config, inputs, outputs, weights)
    demand_inputs, demand_weights, _ = array.get_demand_matrices()
    return Accesses(
        array.get_ifmap_requests(),
        array.get_filter_requests(),
        array.get_ofmap_requests(),
        _main_reads(demand_inputs),
        _main_reads(demand_weights),
        outputs.size,
    )


def _topology(shape: Shape):
    """SCALE-Sim's description of one layer; it reads it from a file only."""
    from scalesim.topology_utils import topologies

    size = (shape.out_size - 1) * shape.stride + shape.kernel
    row = (size, size, shape.kernel, shape.kernel, shape.in_channels, shape.out_channels, shape.stride)
    topology = topologies()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "layer.csv"
        path.write_text("layer,,,,,,,,\nlayer," + ",".join(str(value) for value in row) + ",\n")
        topology.load_arrays(str(path))
    return topology


def _main_reads(demand: np.ndarray) -> int:
    """Reads of main memory for the addresses [cycles, lanes] that the array asks for; -1: none."""
    from scalesim.memory.read_buffer_estimate_bw import ReadBufferEstimateBw
    from scalesim.memory.read_port import read_port

    addresses = demand[demand >= 0]
    distinct = len(np.unique(addresses))
    size = BUFFER_KIB * 1024
    if distinct * WORD_BYTES <= size // 2:
        return distinct  # what fits is read once; SCALE-Sim would find the same, address by address
    buffer = ReadBufferEstimateBw()
    buffer.set_params(read_port(), total_size_bytes=size, word_size=WORD_BYTES, active_buf_frac=0.5)
    buffer.service_reads(demand, np.arange(len(demand), dtype=np.int64)[:, None])
    buffer.complete_all_prefetches()
    return int(buffer.get_num_accesses())
