"""Put Verilator behind FINN's `finn.xsi`, for all FINN code of this process."""

import functools
import os
import sys

from flow.rtlsim.settings import VARIABLE, Options, prepare_finn_environment

_NAMES = ("locate_glbl", "compile_sim_obj", "get_simkernel_so", "load_sim_obj", "reset_rtlsim", "close_rtlsim", "rtlsim_multi_io")


def install(stream_loop: bool = True, power_on: str = "zeros", pause: float = 0.0, seed: int = 0) -> None:
    """Make `exec_mode=rtlsim` of FINN nodes and FINN's `rtlsim_exec` run on Verilator; may be called again.

    Replaces the extension module `xsi`, the functions of `finn_xsi.adapter` that need Vivado, and makes `finn.xsi`
    answer that it is available. `FINN_BUILD_DIR` and `FINN_SETTINGS` are set where the user has not. The options
    (`settings.Options`) hold from here on, in this process and those that it starts: `power_on` for what is compiled
    and loaded from now on, the others for the next run.
    """
    os.environ[VARIABLE] = Options(stream_loop, power_on, pause, seed).to_text()
    prepare_finn_environment()
    from flow.rtlsim import adapter as verilator_adapter
    from flow.rtlsim import stitch as verilator_stitch
    from flow.rtlsim import xsi as verilator_xsi

    sys.modules["xsi"] = verilator_xsi
    import finn.xsi as finn_xsi_facade
    import finn_xsi.adapter as adapter
    import finn_xsi.sim_engine as sim_engine

    original = getattr(adapter.rtlsim_multi_io, "finn_original", adapter.rtlsim_multi_io)
    adapter.compile_sim_obj = verilator_adapter.compile_sim_obj
    adapter.get_simkernel_so = verilator_adapter.get_simkernel_so
    adapter.rtlsim_multi_io = functools.partial(verilator_adapter.rtlsim_multi_io, original)
    adapter.rtlsim_multi_io.finn_original = original

    import finn.transformation.fpgadataflow.create_stitched_ip as stitching

    launch = getattr(stitching.launch_process_helper, "finn_original", stitching.launch_process_helper)
    stitching.launch_process_helper = functools.partial(verilator_stitch.launch, launch)
    stitching.launch_process_helper.finn_original = launch
    stitching.resolve_xilinx_tool = verilator_stitch.vivado

    finn_xsi_facade._adapter_module = adapter
    finn_xsi_facade._sim_engine_module = sim_engine
    finn_xsi_facade.is_available = lambda: True
    finn_xsi_facade.ensure_available = lambda: True
    finn_xsi_facade.SimEngine = sim_engine.SimEngine
    for name in _NAMES:
        setattr(finn_xsi_facade, name, getattr(adapter, name))
