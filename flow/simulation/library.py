"""One running model: ports, clock cycles, streams, waveform (ctypes around `cpp/harness.cpp`)."""

import ctypes
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flow.errors import GatefoldError

_C_TYPES = {1: ctypes.c_uint8, 2: ctypes.c_uint16, 4: ctypes.c_uint32, 8: ctypes.c_uint64}
_FOREVER = 2**62


class _Stream(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_int32), ("valid", ctypes.c_int32), ("ready", ctypes.c_int32), ("pause", ctypes.c_uint32),
        ("beats", ctypes.c_void_p), ("count", ctypes.c_int64), ("done", ctypes.c_int64), ("cycles", ctypes.c_void_p),
    ]  # fmt: skip


class RtlSimError(GatefoldError):
    """The RTL stopped with an error, or a stream stood still."""


class StallError(RtlSimError):
    """No stream moved for too long; `state` says how far each one came."""

    def __init__(self, patience: int, state: str):
        super().__init__(f"No stream moved for {patience} cycles ({state}); raise `patience` or look at a waveform.")
        self.state = state


@dataclass(frozen=True)
class PortInfo:
    """One port of the top module: `width` in bits, `address` of its value inside the model."""

    index: int
    name: str
    output: bool
    width: int
    address: int

    @property
    def bytes(self) -> int:
        """Bytes of one beat: the width rounded up."""
        return (self.width + 7) // 8


@dataclass
class StreamResult:
    """What `Model.stream` saw.

    Attributes:
        cycles: clock cycles run, as FINN's SimEngine counts them: one that only offers the first beats, and one after
            the last transfer.
        outputs: beats per output stream, uint8 `[beats, bytes]`, little-endian.
        input_cycles, output_cycles: the cycle of each transfer per stream, int64 `[beats]`.
    """

    cycles: int
    outputs: dict[str, np.ndarray] = field(default_factory=dict)
    input_cycles: dict[str, np.ndarray] = field(default_factory=dict)
    output_cycles: dict[str, np.ndarray] = field(default_factory=dict)


class Model:
    """A compiled model, built and evaluated once (so that initial blocks have run).

    Args:
        library: shared library from `compile_model`.
        folder: where relative `$readmemh` paths are looked up; the current folder where omitted.
        trace: path of an FST waveform; needs a model compiled with `trace=True`.
        random_reset: seed of random values for uninitialised variables; zeros where omitted.
        clock, clock2x, reset: port names; a `clock2x` that does not exist is ignored.

    Raises:
        RtlSimError: an initial block of the RTL failed.
    """

    def __init__(
        self,
        library: str | Path,
        folder: str | Path | None = None,
        *,
        trace: str | Path | None = None,
        random_reset: int | None = None,
        clock: str = "ap_clk",
        clock2x: str = "ap_clk2x",
        reset: str = "ap_rst_n",
    ):
        self._handle = None
        self._c = _bind(ctypes.CDLL(str(Path(library).resolve()), mode=os.RTLD_LOCAL | os.RTLD_NOW))
        trace = Path(trace).absolute() if trace is not None else None
        with _working_folder(folder):
            self._handle = self._c.gf_create(random_reset is not None, random_reset or 0)
        self.ports = {info.name: info for info in self._ports()}
        self.clock = clock
        self._clock = self.ports[clock].index if clock in self.ports else -1
        self._clock2x = self.ports[clock2x].index if clock2x in self.ports else -1
        self._reset = reset
        self.check()
        if trace is not None:
            self.trace(trace)

    def _ports(self) -> list[PortInfo]:
        return [
            PortInfo(
                i, self._c.gf_port_name(i).decode(), bool(self._c.gf_port_output(i)),
                self._c.gf_port_width(i), self._c.gf_port_address(self._handle, i),
            )
            for i in range(self._c.gf_port_count())
        ]  # fmt: skip

    def close(self) -> None:
        """Finish the simulation (final blocks, waveform) and free the model; may be called twice."""
        if self._handle is not None:
            self._c.gf_destroy(self._handle)
            self._handle = None

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __del__(self):
        self.close()

    def check(self) -> None:
        """Raise RtlSimError where the RTL has stopped with an error."""
        if self._handle is None:
            raise RtlSimError("The simulation is closed; make a new Model.")
        message = self._c.gf_error(self._handle).decode()
        if message:
            raise RtlSimError(f"The RTL simulation stopped: {message}.")

    @property
    def error(self) -> str:
        """Message of the RTL error that stopped the simulation, or an empty string."""
        return self._c.gf_error(self._handle).decode() if self._handle is not None else ""

    @property
    def finished(self) -> bool:
        """Whether the RTL has called `$finish`."""
        return bool(self._handle is not None and self._c.gf_finished(self._handle))

    def trace(self, path: str | Path) -> None:
        """Write all signals to an FST file from now on."""
        status = self._c.gf_trace(self._handle, str(path).encode())
        if status == -1:
            raise GatefoldError("This model has no signals for a waveform; compile it with trace=True.")
        if status:
            raise GatefoldError(f"The waveform {path} cannot be written; choose a folder that exists.")

    def accessor(self, name: str) -> ctypes._SimpleCData | ctypes.Array:
        """ctypes view of a port's value; for ports over 64 bits an array of 32-bit words."""
        port = self.ports[name]
        if port.width > 64:
            return (ctypes.c_uint32 * ((port.width + 31) // 32)).from_address(port.address)
        size = next(size for size in _C_TYPES if port.width <= 8 * size)
        return _C_TYPES[size].from_address(port.address)

    def read(self, name: str) -> int:
        """Unsigned value of a port."""
        port = self.ports[name]
        return int.from_bytes(ctypes.string_at(port.address, port.bytes), "little")

    def write(self, name: str, value: int) -> None:
        """Set an input; it takes effect with the next evaluation."""
        port = self.ports[name]
        ctypes.memmove(port.address, int(value & ((1 << port.width) - 1)).to_bytes(port.bytes, "little"), port.bytes)

    def run(self, picoseconds: int) -> None:
        """Evaluate the inputs written so far, then advance the simulated time."""
        if self._c.gf_run(self._handle, picoseconds) < 0:
            self.check()

    def advance(self, picoseconds: int) -> None:
        """Advance the simulated time without evaluation."""
        self._c.gf_advance(self._handle, picoseconds)

    def cycles(self, count: int) -> None:
        """Run clock cycles with the other inputs as they are."""
        if self._c.gf_cycles(self._handle, self._clock, self._clock2x, count) < 0:
            self.check()

    def reset(self, cycles: int = 16) -> None:
        """Hold the active-low reset for `cycles` clock cycles, from and to a point behind a rising edge."""
        if self._c.gf_reset(self._handle, self._clock, self._clock2x, self.ports[self._reset].index, 0, cycles) < 0:
            self.check()

    def stream(
        self,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, int],
        *,
        input_pause: float = 0.0,
        output_pause: float = 0.0,
        patience: int = 1_000_000,
        seed: int = 0,
    ) -> StreamResult:
        """Drive AXI streams from arrays and collect others, in one loop in C++.

        Args:
            inputs: stream name -> beats, uint8 `[beats, bytes]` with `bytes` the data port's width rounded up.
            outputs: stream name -> number of beats to collect.
            input_pause, output_pause: chance per cycle of not offering, not accepting a beat.
            patience: cycles without any transfer after which the run is given up.
            seed: of the pauses.

        Raises:
            RtlSimError: no transfer for `patience` cycles (says how far each stream came), or an RTL error.
        """
        result, keep = StreamResult(0), []
        in_streams = (_Stream * max(1, len(inputs)))()
        out_streams = (_Stream * max(1, len(outputs)))()
        for stream, (name, beats) in zip(in_streams, inputs.items(), strict=False):
            data = self._bind_stream(stream, name, input_pause)
            beats = np.ascontiguousarray(beats, dtype=np.uint8)
            beats = beats.reshape(len(beats), -1) if len(beats) else beats.reshape(0, data.bytes)
            if len(beats) and beats.shape[1] != data.bytes:
                raise GatefoldError(f"Stream {name} takes {data.bytes} bytes a beat, not {beats.shape[1]}.")
            result.input_cycles[name] = np.zeros(len(beats), np.int64)
            stream.beats, stream.count = beats.ctypes.data, len(beats)
            stream.cycles = result.input_cycles[name].ctypes.data
            keep.append(beats)
        for stream, (name, count) in zip(out_streams, outputs.items(), strict=False):
            data = self._bind_stream(stream, name, output_pause)
            result.outputs[name] = np.zeros((count, data.bytes), np.uint8)
            result.output_cycles[name] = np.zeros(count, np.int64)
            stream.beats, stream.count = result.outputs[name].ctypes.data, count
            stream.cycles = result.output_cycles[name].ctypes.data

        result.cycles = self._c.gf_stream(
            self._handle, self._clock, self._clock2x, in_streams, len(inputs), out_streams, len(outputs), patience, seed
        )
        if result.cycles < 0:
            self.check()
            pairs = [*zip(inputs, in_streams, strict=False), *zip(outputs, out_streams, strict=False)]
            state = ", ".join(f"{name} {stream.done} of {stream.count} beats" for name, stream in pairs)
            raise StallError(patience, state)
        return result

    def stream_port(self, name: str, part: str) -> PortInfo:
        """Port `part` (`tdata`, `tvalid`, …) of a stream, in lower or upper case."""
        port = self.ports.get(f"{name}_{part}") or self.ports.get(f"{name}_{part.upper()}")
        if port is None:
            raise GatefoldError(f"The model has no port {name}_{part}; its ports are {', '.join(self.ports)}.")
        return port

    def _bind_stream(self, stream: _Stream, name: str, pause: float) -> PortInfo:
        ports = {part: self.stream_port(name, part) for part in ("tdata", "tvalid", "tready")}
        stream.data, stream.valid, stream.ready = (ports[part].index for part in ("tdata", "tvalid", "tready"))
        stream.pause = round(pause * 65536)
        return ports["tdata"]


class _working_folder:
    def __init__(self, folder: str | Path | None):
        self.folder = folder

    def __enter__(self):
        self.before = os.getcwd()
        if self.folder is not None:
            os.chdir(self.folder)

    def __exit__(self, *_):
        os.chdir(self.before)


def _bind(library: ctypes.CDLL) -> ctypes.CDLL:
    handle, index, wide = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64
    streams = ctypes.POINTER(_Stream)
    for name, result, arguments in (
        ("gf_port_count", index, []),
        ("gf_port_name", ctypes.c_char_p, [index]),
        ("gf_port_output", index, [index]),
        ("gf_port_width", index, [index]),
        ("gf_create", handle, [index, index]),
        ("gf_destroy", None, [handle]),
        ("gf_port_address", handle, [handle, index]),
        ("gf_error", ctypes.c_char_p, [handle]),
        ("gf_finished", index, [handle]),
        ("gf_trace", index, [handle, ctypes.c_char_p]),
        ("gf_trace_flush", None, [handle]),
        ("gf_run", wide, [handle, ctypes.c_uint64]),
        ("gf_advance", None, [handle, ctypes.c_uint64]),
        ("gf_cycles", wide, [handle, index, index, wide]),
        ("gf_reset", wide, [handle, index, index, index, index, wide]),
        ("gf_stream", wide, [handle, index, index, streams, index, streams, index, wide, ctypes.c_uint64]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
