"""The module `xsi` that FINN's SimEngine imports (see `finn_xsi/xsi.pyi`), on a Verilated model.

Values are two-state: `hasUnknown` is always False, X and Z that are written become zeros.
"""

from collections.abc import Iterator
from pathlib import Path

from flow.simulation.library import Model, PortInfo, RtlSimError
from flow.simulation.settings import options


class Kernel:
    """The simulator; Verilator's runtime is part of each model, so that the name is only kept."""

    def __init__(self, name: str):
        self.name = name


class Port:
    """One port with a buffer: `read` fills it from the model, `write_back` writes it there."""

    def __init__(self, design: "Design", info: PortInfo):
        self._design, self._info = design, info
        self._view = design.model.accessor(info.name)
        self._wide = info.width > 64
        self._mask = (1 << info.width) - 1
        self._digits = (info.width + 3) // 4
        self._value = 0

    def name(self) -> str:
        return self._info.name

    def dir(self) -> int:
        """1 input, 2 output (as in Vivado's xsi.h)."""
        return 2 if self._info.output else 1

    def width(self) -> int:
        return self._info.width

    def isInput(self) -> bool:
        return not self._info.output

    def isOutput(self) -> bool:
        return self._info.output

    def isInout(self) -> bool:
        return False

    def read(self) -> "Port":
        self._design.assert_open()
        self._value = int.from_bytes(self._view, "little") if self._wide else self._view.value
        return self

    def write_back(self) -> None:
        self._design.assert_open()
        self._design.dirty = True
        if self._wide:
            self._view[:] = [self._value >> shift & 0xFFFFFFFF for shift in range(0, 32 * len(self._view), 32)]
        else:
            self._view.value = self._value

    def hasUnknown(self) -> bool:
        return False

    def isZero(self) -> bool:
        return self._value == 0

    def as_bool(self) -> bool:
        return bool(self._value & 1)

    def as_unsigned(self) -> int:
        return self._value & 0xFFFFFFFF

    def as_binstr(self) -> str:
        return f"{self._value:0{self._info.width}b}"

    def as_hexstr(self) -> str:
        return f"{self._value:0{self._digits}X}"

    as_hexstr_2state = as_hexstr

    def clear(self) -> "Port":
        self._value = 0
        return self

    def set(self, value: int) -> "Port":
        self._value = value & 0xFFFFFFFF & self._mask
        return self

    def set_binstr(self, value: str) -> "Port":
        self._value = int("".join(bit if bit in "01" else "0" for bit in value) or "0", 2) & self._mask
        return self

    def set_hexstr(self, value: str) -> "Port":
        try:
            self._value = int(value or "0", 16) & self._mask
        except ValueError:
            known = "".join(digit if digit in "0123456789abcdefABCDEF" else "0" for digit in value)
            self._value = int(known, 16) & self._mask
        return self


class Design:
    """A model loaded from a library; the current folder is where its `$readmemh` paths start."""

    def __init__(self, kernel: Kernel, design_lib: str, log_file: str | None = None, wdb_file: str | None = None):
        self.kernel, self.log_file, self.library = kernel, log_file, Path(design_lib).resolve()
        self._wave = Path(wdb_file).absolute() if wdb_file else None
        self._folder = Path.cwd()
        self._open()

    def _open(self) -> None:
        self.dirty = True
        self._error = ""
        chosen = options()
        self.model = Model(self.library, self._folder, random_reset=chosen.seed if chosen.power_on == "random" else None)
        self._ports = {name: Port(self, info) for name, info in self.model.ports.items()}

    def close(self) -> None:
        if self.model is not None:
            self.model.close()
            self.model = None

    def is_open(self) -> bool:
        return self.model is not None

    def assert_open(self) -> None:
        """Raise RuntimeError after `close`: the ports' memory is gone."""
        if self.model is None:
            raise RuntimeError("The design is closed; load the simulation again.")

    def trace_all(self) -> None:
        """Write an FST waveform to the path given at construction."""
        if self._wave is not None:
            self.model.trace(self._wave)

    def run(self, cycles: int) -> None:
        """Advance by `cycles` picoseconds; inputs written before take effect at their beginning."""
        self.assert_open()
        if not self.dirty:
            self.model.advance(cycles)
            return
        self.dirty = False
        try:
            self.model.run(cycles)
        except RtlSimError as problem:
            self._error = str(problem)
            raise RuntimeError(self._error) from problem

    def restart(self) -> None:
        """Build the model anew; ports taken before are void."""
        self.close()
        self._open()

    def get_status(self) -> int:
        return 1 if self._error else 0

    def get_error_info(self) -> str:
        return self._error

    def num_ports(self) -> int:
        return len(self._ports)

    def getPort(self, name: str) -> Port:
        try:
            return self._ports[name]
        except KeyError:
            raise RuntimeError(f"The design has no port {name}.") from None

    def ports(self) -> Iterator[Port]:
        return iter(self._ports.values())
