"""Gatefold's networks as FINN graphs.

A QONNX file becomes a graph of `SwitchableConv`, `SwitchableGate`, `SwitchableStep`, `SwitchableExcite` and `SwitchableLinear` nodes, one per layer (`read_network`);
`MapToTileEngine` puts that graph into one `TileEngine` node, for which FINN's own transformations generate code
and run simulations; `MakeAccelerator` adds registers and DMA. Importing this package registers the nodes with FINN and puts Verilator behind its rtlsim.
"""

from flow.simulation import install

install()

from flow.finn.accelerator import MakeAccelerator, rtlsim_accelerator  # noqa: E402
from flow.finn.convert import build_layer_graph, layer_graph  # noqa: E402
from flow.finn.infer import InferSwitchableLayers  # noqa: E402
from flow.finn.layers import SwitchableConv, SwitchableExcite, SwitchableGate, SwitchableLinear, SwitchableStep  # noqa: E402
from flow.finn.mapping import KeepModes, MapToTileEngine, SetMode  # noqa: E402
from flow.finn.pixels import Pixels  # noqa: E402
from flow.finn.steps import ACCELERATOR_STEPS, ENGINE_STEPS, LAYER_STEPS, NetworkConfig, convert, read_network  # noqa: E402
from flow.finn.stitch import StitchEngine  # noqa: E402
from flow.finn.tile_engine import TileEngine  # noqa: E402

__all__ = [
    "ACCELERATOR_STEPS",
    "ENGINE_STEPS",
    "LAYER_STEPS",
    "InferSwitchableLayers",
    "KeepModes",
    "MakeAccelerator",
    "MapToTileEngine",
    "NetworkConfig",
    "Pixels",
    "SetMode",
    "StitchEngine",
    "SwitchableConv",
    "SwitchableExcite",
    "SwitchableGate",
    "SwitchableLinear",
    "SwitchableStep",
    "TileEngine",
    "build_layer_graph",
    "convert",
    "layer_graph",
    "read_network",
    "rtlsim_accelerator",
]
