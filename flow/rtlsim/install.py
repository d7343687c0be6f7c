"""Put Verilator behind FINN's `finn.xsi`, for all FINN code of this process."""

import functools
import sys

from flow.rtlsim.settings import prepare_finn_environment

_NAMES = ("locate_glbl", "compile_sim_obj", "get_simkernel_so", "load_sim_obj", "reset_rtlsim", "close_rtlsim", "rtlsim_multi_io")


def install(stream_loop: bool = True) -> None:
    """Make `exec_mode=rtlsim` of FINN nodes and FINN's `rtlsim_exec` run on Verilator; may be called again.

    Replaces the extension module `xsi`, `finn_xsi.adapter.compile_sim_obj` and `get_simkernel_so`, and
    makes `finn.xsi` answer that it is available. `FINN_BUILD_DIR` and `FINN_SETTINGS` are set where the user has not.

    Args:
        stream_loop: drive plain streams by the C++ loop; False keeps FINN's Python SimEngine.
    """
    prepare_finn_environment()
    from flow.rtlsim import adapter as verilator_adapter
    from flow.rtlsim import xsi as verilator_xsi

    sys.modules["xsi"] = verilator_xsi
    import finn.xsi as finn_xsi_facade
    import finn_xsi.adapter as adapter
    import finn_xsi.sim_engine as sim_engine

    original = getattr(adapter.rtlsim_multi_io, "finn_original", adapter.rtlsim_multi_io)
    adapter.compile_sim_obj = verilator_adapter.compile_sim_obj
    adapter.get_simkernel_so = verilator_adapter.get_simkernel_so
    if stream_loop:
        adapter.rtlsim_multi_io = functools.partial(verilator_adapter.rtlsim_multi_io, original)
        adapter.rtlsim_multi_io.finn_original = original
    else:
        adapter.rtlsim_multi_io = original

    finn_xsi_facade._adapter_module = adapter
    finn_xsi_facade._sim_engine_module = sim_engine
    finn_xsi_facade.is_available = lambda: True
    finn_xsi_facade.ensure_available = lambda: True
    finn_xsi_facade.SimEngine = sim_engine.SimEngine
    for name in _NAMES:
        setattr(finn_xsi_facade, name, getattr(adapter, name))
