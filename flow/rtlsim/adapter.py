"""The functions of `finn_xsi.adapter` that would call Vivado, on Verilator; and a fast stream loop."""

import os
import shutil
from pathlib import Path

import numpy as np

from flow.rtlsim.compile import compile_model

MEMORY_IMAGES = (".mem", ".dat", ".hex")
"""Files in a source list that belong in the folder of the simulation, where `$readmemh` finds them by name."""


def compile_sim_obj(
    top_module_name: str,
    source_list: list[str],
    sim_out_dir: Path,
    debug: bool = False,
    behav: bool = False,
    fifosim: bool = False,
) -> tuple[Path, Path]:
    """Compile a design; returns (`sim_out_dir`, path of the library in it) as FINN's function does.

    Args:
        debug: with a waveform, written in FST whatever the trace file is called.
        behav: define FINN_SIMULATION.
        fifosim: the top module is `finn_design_wrapper`.
    """
    top = "finn_design_wrapper" if fifosim else top_module_name
    images = [Path(source) for source in source_list if source.endswith(MEMORY_IMAGES)]
    sources = [source for source in source_list if not source.endswith(MEMORY_IMAGES)]
    library = compile_model(top, sources, defines=["FINN_SIMULATION"] if behav else [], trace=debug)
    for image in images:
        shutil.copy2(image, Path(sim_out_dir) / image.name)
    relative = Path("xsim.dir") / top_module_name / "xsimk.so"
    target = Path(sim_out_dir) / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(library, target)
    except OSError:
        shutil.copy2(library, target)
    return Path(sim_out_dir), relative


def get_simkernel_so() -> str:
    """Name of the simulator kernel, for `xsi.Kernel`."""
    return "verilator"


def rtlsim_multi_io(
    original, sim, io_dict, num_out_values, sname="_V_V", liveness_threshold=10000, liveness_estimate=None
) -> int:
    """`finn_xsi.adapter.rtlsim_multi_io` in C++: the same arguments and the same filled `io_dict`.

    Hands over to `original` where the engine has other tasks to run beside the streams. Returns cycles.

    Raises:
        FINNUserError: no transfer for `liveness_threshold` cycles.
    """
    from finn.util.exception import FINNUserError
    from flow.rtlsim.library import RtlSimError

    if sim.tasks or sim.watchdogs:
        return original(sim, io_dict, num_out_values, sname, liveness_threshold, liveness_estimate)
    model = sim.top.model
    outputs = io_dict["outputs"]
    counts = num_out_values if isinstance(num_out_values, dict) else {next(iter(outputs)): num_out_values}
    streams = {}
    for name, values in io_dict["inputs"].items():
        data = model.ports.get(f"{name}{sname}_tdata") or model.ports[f"{name}{sname}_TDATA"]
        mask = (1 << data.width) - 1
        packed = b"".join((int(value) & mask).to_bytes(data.bytes, "little") for value in values)
        streams[name + sname] = np.frombuffer(packed, np.uint8).reshape(-1, data.bytes)
    try:
        result = model.stream(
            streams, {name + sname: int(counts[name]) for name in outputs}, patience=int(liveness_threshold)
        )
    except RtlSimError as problem:
        raise FINNUserError(str(problem)) from problem
    for name in outputs:
        outputs[name] = [int.from_bytes(beat.tobytes(), "little") for beat in result.outputs[name + sname]]
    sim.ticks += result.cycles
    return result.cycles
