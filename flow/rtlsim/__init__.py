"""RTL simulation on Verilator: our own models, and every FINN node in `exec_mode=rtlsim`.

`install()` puts the engine behind FINN's `finn.xsi`. `compile_model` and `Model` run any top module with AXI streams.
"""

from flow.rtlsim.compile import compile_model
from flow.rtlsim.install import install
from flow.rtlsim.library import Model, RtlSimError, StreamResult

__all__ = ["Model", "RtlSimError", "StreamResult", "compile_model", "install"]
