"""Put Verilator behind FINN's `finn.xsi`, for all FINN code of this process and of those that it starts."""

import functools
import os
import sys
from pathlib import Path

from flow.simulation.finn_support import refuse
from flow.simulation.hook import when_imported
from flow.simulation.settings import VARIABLE, Options, prepare_finn_environment

_NAMES = ("locate_glbl", "compile_sim_obj", "get_simkernel_so", "load_sim_obj", "reset_rtlsim", "close_rtlsim", "rtlsim_multi_io")


def install(stream_loop: bool = True, power_on: str = "zeros", pause: float = 0.0, seed: int = 0) -> None:
    """Make `exec_mode=rtlsim` of FINN nodes, `CreateStitchedIP`, `rtlsim_exec` and the sizing of FIFOs run on Verilator.

    May be called again. Replaces the extension module `xsi` and the functions and transformations of FINN that need
    Vivado; `finn.xsi` answers that it is available. `FINN_BUILD_DIR` and `FINN_SETTINGS` are set where the user has
    not. The options (`settings.Options`) hold from here on, in this process and those that it starts: `power_on` for
    what is compiled and loaded from now on, the others for the next run.
    """
    os.environ[VARIABLE] = Options(stream_loop, power_on, pause, seed).to_text()
    folder = prepare_finn_environment()
    basic = sys.modules.get("finn.util.basic")
    if basic and not hasattr(basic.make_build_dir, "finn_original"):
        folder.mkdir(parents=True, exist_ok=True)  # whoever has FINN's own function already finds a folder
    when_imported("finn.util.basic", _build_folder)
    attach()
    _load()


def attach() -> None:
    """As `install`, with the options of the environment; what FINN has not imported yet is attached when it is."""
    os.environ.setdefault(VARIABLE, "on")
    when_imported("finn.xsi", _facade)
    when_imported("finn_xsi.adapter", _adapter)
    when_imported("finn.transformation.fpgadataflow.prepare_rtlsim", _preparing)
    when_imported("finn.transformation.fpgadataflow.create_stitched_ip", _stitching)
    when_imported("finn.transformation.fpgadataflow.simulation_build", _sizing_build)
    when_imported("finn.transformation.fpgadataflow.simulation_connected", _sizing_run)


def _build_folder(module) -> None:
    """FINN's build folder comes to be with the first thing that is put into it; most processes put nothing there."""

    def make_build_dir(original, *args, **options):
        Path(os.environ["FINN_BUILD_DIR"]).mkdir(parents=True, exist_ok=True)
        return original(*args, **options)

    module.make_build_dir = _around(module.make_build_dir, make_build_dir)


def _facade(module) -> None:
    module.is_available = module.ensure_available = module._load_modules = _load


def _load() -> bool:
    """Bind the names of `finn.xsi`, as FINN does it at first use."""
    from flow.simulation import xsi as verilator_xsi

    sys.modules["xsi"] = verilator_xsi
    import finn.xsi as facade
    import finn_xsi.adapter as adapter
    import finn_xsi.sim_engine as sim_engine

    facade._adapter_module, facade._sim_engine_module = adapter, sim_engine
    facade.SimEngine = sim_engine.SimEngine
    for name in _NAMES:
        setattr(facade, name, getattr(adapter, name))
    return True


def _adapter(module) -> None:
    from flow.simulation import adapter

    module.compile_sim_obj, module.get_simkernel_so = adapter.compile_sim_obj, adapter.get_simkernel_so
    module.load_sim_obj = _around(module.load_sim_obj, adapter.load_sim_obj)
    module.rtlsim_multi_io = _around(module.rtlsim_multi_io, adapter.rtlsim_multi_io)


def _preparing(module) -> None:
    original = getattr(module.PrepareRTLSim.applyNodeLocal, "finn_original", module.PrepareRTLSim.applyNodeLocal)

    def apply_node_local(self, node):
        refuse(node.op_type, node.name)
        return original(self, node)

    apply_node_local.finn_original = original
    module.PrepareRTLSim.applyNodeLocal = apply_node_local


def _stitching(module) -> None:
    from flow.simulation import stitch

    module.resolve_xilinx_tool = stitch.vivado
    module.launch_process_helper = _around(module.launch_process_helper, stitch.launch)


def _sizing_build(module) -> None:
    from flow.simulation import steps

    module.BuildSimulation.apply = steps.build


def _sizing_run(module) -> None:
    from flow.simulation import steps

    module.RunLayerParallelSimulation.apply = steps.size
    module.NodeConnectedSimulation.__init__ = steps.prepare_measurement
    module.NodeConnectedSimulation.simulate = steps.measure


def _around(original, ours):
    """`ours` with FINN's own function as its first argument; once, however often it is asked for."""
    original = getattr(original, "finn_original", original)
    wrapped = functools.partial(ours, original)
    wrapped.finn_original = original
    return wrapped
