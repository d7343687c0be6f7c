"""FINN's transformations for FIFO depths and performance, on this simulator.

FINN builds a C++ program per node on Vivado's headers for them. Here the whole design is one simulation: the classes
and what they leave behind are FINN's (`fifo_config.json`, the metadata `fifo_data`, the entries of the performance
report), so that `step_set_fifo_depths`, `ApplySimulatedFIFOSizes` and `step_measure_rtlsim_performance` go on with it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from flow.errors import GatefoldError

if TYPE_CHECKING:
    from finn.transformation.fpgadataflow.simulation_build import BuildSimulation, SimulationType
    from finn.transformation.fpgadataflow.simulation_connected import NodeConnectedSimulation, RunLayerParallelSimulation
    from qonnx.core.modelwrapper import ModelWrapper


def build(self: "BuildSimulation", model: "ModelWrapper") -> "tuple[ModelWrapper, bool]":
    """`BuildSimulation.apply`: FINN's own preparation, which inserts width converters; the design is built where it is run."""
    from flow.simulation.finn_support import refuse

    for node in model.graph.node:
        refuse(node.op_type, node.name)
    self.model = model
    self._prepare_model()
    return self.model, False


def size(self: "RunLayerParallelSimulation", model: "ModelWrapper") -> "tuple[ModelWrapper, bool]":
    """`RunLayerParallelSimulation.apply`: depths by `sizing.size_fifos`, in FINN's file."""
    from finn.util.basic import make_build_dir
    from finn.util.exception import FINNUserError
    from finn.util.logging import log

    from flow.simulation.sizing import size_fifos

    try:
        found = size_fifos(model, self.fpgapart, self.clk_ns, progress=log.info)
    except GatefoldError as problem:
        raise FINNUserError(str(problem)) from problem
    target = Path(make_build_dir("fifo_sizing_")) / "fifo_config.json"
    target.write_text(json.dumps([{"node": node.name, "depths": found.depths[node.name]} for node in model.graph.node]))
    model.set_metadata_prop("fifo_data", str(target))
    log.info(f"FIFO depths after {found.runs} simulations: a frame every {found.interval} cycles ({target})")
    return model, False


def prepare_measurement(
    self: "NodeConnectedSimulation",
    model: "ModelWrapper",
    simulation_type: "SimulationType",
    fpgapart: str,
    clk_ns: float,
    *arguments: object,
    **options: object,
) -> None:
    """`NodeConnectedSimulation.__init__`: keeps what `measure` needs."""
    self.model, self.simulation_type, self.fpgapart, self.clk_ns = model, simulation_type, fpgapart, clk_ns


def measure(
    self: "NodeConnectedSimulation",
    depth: int | list[list[int]] | None = None,
    max_cycles: int | None = None,
    fifo_first_valid_cycles: list[list[int]] | None = None,
) -> tuple[list[dict], bool]:
    """`NodeConnectedSimulation.simulate`: one entry per node that is no FIFO, with figures for those at the outputs.

    Returns (entries, whether the design stalled).
    """
    from finn.util.exception import FINNUserError

    from flow.simulation.sizing import measure_performance

    try:
        found = measure_performance(self.model, self.fpgapart, self.clk_ns)
    except GatefoldError as problem:
        raise FINNUserError(str(problem)) from problem
    last = set()
    for tensor in self.model.graph.output:
        node = self.model.find_producer(tensor.name)
        while "FIFO" in node.op_type:
            node = self.model.find_producer(node.input[0])
        last.add(node.name)
    entries = []
    for node in self.model.graph.node:
        if "FIFO" in node.op_type:
            continue
        ends = found if node.name in last and found is not None else None
        entries.append(
            {
                "name": node.name, "fifo_utilization": [], "fifo_depth": [], "fifo_cycles_until_first_valid": [],
                "cycles": ends.cycles if ends else 0, "samples": ends.frames if ends else 0,
                "intervals": [ends.interval] if ends else [], "latency_cycles": ends.latency if ends else 0,
            }
        )  # fmt: skip
    return entries, found is None
