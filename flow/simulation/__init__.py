"""RTL simulation on Verilator: our own models, and every FINN node in `exec_mode=rtlsim`.

`install()` puts the engine behind FINN's `finn.xsi`. `compile_model` and `Model` run any top module with AXI streams.
"""

import importlib

_HOMES = {
    "Model": "library", "RtlSimError": "library", "StallError": "library", "StreamResult": "library",
    "compile_model": "compile", "install": "install", "size_fifos": "sizing",
}  # fmt: skip

__all__ = list(_HOMES)


def __getattr__(name: str):
    """Imported at first use: every interpreter of an environment with the hook reads this file."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"flow.simulation.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
