"""The functions of `finn_xsi.adapter` that would call Vivado, on Verilator; and a fast stream loop."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flow.simulation.compile import MEMORY_IMAGES, compile_model, design_sources, never_written
from flow.simulation.library import RtlSimError, StallError
from flow.simulation.pauses import paused_streams
from flow.simulation.settings import options

if TYPE_CHECKING:
    from finn_xsi.sim_engine import SimEngine


_REQUEST = "verilator_request.json"


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
    sources, links = design_sources([source for source in source_list if not source.endswith(MEMORY_IMAGES)])
    random = options().power_on == "random"
    library = compile_model(top, sources, defines=["FINN_SIMULATION"] if behav else [], trace=debug, random_power_on=random)
    if random and (unwritten := never_written(library)):
        from finn.util.logging import log

        log.warning(f"{top}: nothing in the RTL writes {', '.join(unwritten)}; they hold random values.")
    Path(sim_out_dir).mkdir(parents=True, exist_ok=True)
    request = {"top": top_module_name, "sources": [str(file) for file in source_list], "behav": behav, "fifosim": fifosim}
    (Path(sim_out_dir) / _REQUEST).write_text(json.dumps(request))
    for name, folder in links.items():
        link = Path(sim_out_dir) / name
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    for image in images:
        shutil.copy2(image, Path(sim_out_dir) / image.name)
    # The system's loader knows a library by its path: with and without signals are two.
    relative = Path("xsim.dir") / top_module_name / ("xsimk_signals.so" if debug else "xsimk.so")
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


def _with_signals(folder: Path, relative: Path) -> Path:
    """Path in a folder of `compile_sim_obj` of the library with signals; compiled now where there is none."""
    if not (folder / _REQUEST).is_file():
        return relative
    request = json.loads((folder / _REQUEST).read_text())
    signals = relative.with_name("xsimk_signals.so")
    if not (folder / signals).is_file():
        compile_sim_obj(request["top"], request["sources"], folder, True, request["behav"], request["fifosim"])
    return signals


def load_sim_obj(
    original: Callable[..., "SimEngine"],
    sim_out_dir: str | Path,
    out_so_relative_path: str | Path,
    tracefile: str | None = None,
    simkernel_so: str | None = None,
) -> "SimEngine":
    """FINN's own, after making the folder of the waveform and, where a waveform was wished for late, compiling again."""
    if tracefile:
        Path(sim_out_dir, tracefile).absolute().parent.mkdir(parents=True, exist_ok=True)
        out_so_relative_path = _with_signals(Path(sim_out_dir), Path(out_so_relative_path))
    return original(Path(sim_out_dir), out_so_relative_path, tracefile, simkernel_so)


def rtlsim_multi_io(
    original: Callable[..., int],
    sim: "SimEngine",
    io_dict: dict[str, dict[str, list[int]]],
    num_out_values: int | np.integer | dict[str, int | np.integer],
    sname: str = "_V_V",
    liveness_threshold: int = 10000,
    liveness_estimate: float | None = None,
) -> int:
    """`finn_xsi.adapter.rtlsim_multi_io` in C++: the same arguments, cycles and filled `io_dict`.

    Hands over to `original`, FINN's own, where the engine has other tasks to run beside the streams, where the counts
    of outputs are not what it takes, and with `stream_loop=False`. Returns cycles.

    Raises:
        FINNUserError: no transfer for `liveness_threshold` cycles.
    """
    from finn.util.basic import get_rtlsim_timeout_error_message
    from finn.util.exception import FINNUserError

    chosen = options()
    counts = _output_counts(io_dict["outputs"], num_out_values)
    if sim.tasks or sim.watchdogs or counts is None or not chosen.stream_loop:
        with paused_streams(sim, chosen.pause, chosen.seed) if chosen.pause else nullcontext():
            return original(sim, io_dict, num_out_values, sname, liveness_threshold, liveness_estimate)
    model, outputs, streams = sim.top.model, io_dict["outputs"], {}
    for name, values in io_dict["inputs"].items():
        data = model.stream_port(name + sname, "tdata")
        mask = (1 << data.width) - 1
        packed = b"".join((int(value) & mask).to_bytes(data.bytes, "little") for value in values)
        streams[name + sname] = np.frombuffer(packed, np.uint8).reshape(len(values), data.bytes)
    try:
        result = model.stream(
            streams, {name + sname: counts[name] for name in outputs}, patience=int(liveness_threshold),
            input_pause=chosen.pause, output_pause=chosen.pause, seed=chosen.seed,
        )  # fmt: skip
    except StallError as problem:
        told = get_rtlsim_timeout_error_message(liveness_threshold, liveness_estimate)
        raise FINNUserError(f"{told} {problem.state}. Check rtlsim_trace if any.") from problem
    except RtlSimError as problem:
        raise FINNUserError(str(problem)) from problem
    for name in outputs:
        outputs[name] = [int.from_bytes(beat.tobytes(), "little") for beat in result.outputs[name + sname]]
    sim.ticks += result.cycles
    return result.cycles


def _output_counts(outputs: dict, num_out_values) -> dict[str, int] | None:
    """Beats per output stream; None where FINN's own function is to complain."""
    if isinstance(num_out_values, dict):
        return {name: int(num_out_values[name]) for name in outputs} if set(outputs) <= set(num_out_values) else None
    whole = isinstance(num_out_values, (int, np.integer))
    return {next(iter(outputs)): int(num_out_values)} if whole and len(outputs) == 1 else None
