"""Verilator behind FINN without a call of `install()`: in every interpreter of an environment, FINN's workers too.

    python -m flow.simulation enable|disable|status

`enable` writes a `.pth` file into the environment's site-packages; each interpreter then reads this module, which does
nothing until somebody imports `finn.xsi`. It also does nothing where `GATEFOLD_RTLSIM` is `off`, and where Vivado is
(`XILINX_VIVADO`) unless `GATEFOLD_RTLSIM` says `on` or gives options (`settings.Options`). Only the standard library is
imported here.
"""

import importlib.abc
import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

_PENDING: dict[str, list[Callable]] = {}
PTH = "gatefold_rtlsim.pth"
_LINE = "import sys; exec('try:\\n import flow.simulation.hook as hook\\n hook.start()\\nexcept ImportError:\\n pass')\n"


def when_imported(name: str, act: Callable) -> None:
    """Call `act(module)` now where the module `name` is there, else behind its import."""
    module = sys.modules.get(name)
    if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
        act(module)
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    _PENDING.setdefault(name, []).append(act)


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if fullname not in _PENDING:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                spec.loader = _Loader(spec.loader, fullname)
                return spec
        return None


class _Loader(importlib.abc.Loader):
    def __init__(self, loader, name):
        self.loader, self.name = loader, name

    def __getattr__(self, attribute):
        return getattr(self.loader, attribute)

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        while acts := _PENDING.pop(self.name, None):  # one of them may wait for this very module
            for act in acts:
                act(module)


def start() -> None:
    """What each interpreter does at its start: install behind FINN as soon as `finn.xsi` is imported."""
    wish = os.environ.get("GATEFOLD_RTLSIM", "")
    if wish == "off" or (not wish and os.environ.get("XILINX_VIVADO")):
        return

    def act(module):
        from flow.simulation.install import attach

        attach()

    when_imported("finn.xsi", act)


def _target() -> Path:
    folder = Path(sysconfig.get_path("purelib"))
    return (folder if os.access(folder, os.W_OK) else Path(site.getusersitepackages())) / PTH


def hook_enabled() -> bool:
    """Whether interpreters of this environment start with `start`."""
    return _target().is_file()


def main(arguments: list[str]) -> int:
    """The command; returns its exit code."""
    target = _target()
    if arguments == ["enable"]:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_LINE)
        print(f"FINN's RTL simulation runs on Verilator in every program of this environment ({target}).")
    elif arguments == ["disable"]:
        target.unlink(missing_ok=True)
        print("FINN's RTL simulation is as it was; call flow.simulation.install() where it is to run on Verilator.")
    elif arguments == ["status"]:
        print(f"{'enabled' if hook_enabled() else 'disabled'} ({target})")
    else:
        print("gatefold: say python -m flow.simulation enable, disable or status.", file=sys.stderr)
        return 2
    return 0
