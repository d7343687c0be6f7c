"""A host for the simulated accelerator: a network and images in, result records out, through registers and DMA as on a board."""

import ctypes
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from flow.engine.interface import load_interface
from flow.engine.network import BLOCK_BYTES
from flow.engine.stream import padded_frames
from flow.errors import GatefoldError
from flow.graph.exits import Halting

BASE = 0x1000_0000  # of the memory that one run uses
ALIGN = 4096
ABI = 4
STOPPED = -3
DRAIN_CYCLES = 20_000  # within which a soft reset ends the transfers under way, if the memory answers


def to_planes(images: np.ndarray) -> np.ndarray:
    """uint8 [N, 32, 32, 3] (rows, columns, planes) to the accelerator's [N, 3, 32, 32], or other sizes and counts of them."""
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8:
        raise GatefoldError(f"images are {images.dtype} {list(images.shape)}; give uint8 [N, 32, 32, 3].")
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


class Simulator:
    """One simulated accelerator, from its power-up to `close` (or the end of a `with` block).

    Args:
        so_path: library made by `compile_accelerator`.
        network: image of the network that is loaded (`flow.engine.network`); None: none is.
        power_on: seed of the values that registers and memories have at power-up; 0: all zeros.

    Attributes:
        classes, record_words: what the accelerator says of itself.
        image_shape: (planes, rows, columns) of its images.

    Raises:
        GatefoldError: the library is missing, damaged or of another version, or the network cannot be loaded.
    """

    def __init__(self, so_path: str | Path, network: bytes | None = None, power_on: int = 0):
        self._handle = None
        self._memory = None  # of the batch under way: alive until the accelerator rests
        self._library = _load(Path(so_path))
        self.image_shape = (self._library.gf_image_planes(), *[self._library.gf_image_size()] * 2)
        self._handle = self._library.gf_create(power_on)
        if not self._handle:
            reason = self._library.gf_failure().decode()
            raise GatefoldError(f"the simulated accelerator does not start: {reason}; run `gatefold build` again.")
        self.interface = load_interface()
        if self.read("id") != self.interface.id or self.read("version") != self.interface.version:
            raise GatefoldError(f"{so_path} has another register interface; run `gatefold build` again.")
        self.classes, self.record_words = (self._config(name) for name in ("classes", "record_words"))
        if network is not None:
            self.load(network)

    def close(self) -> None:
        """End the accelerator and its waveform."""
        if self._handle:
            self._library.gf_destroy(self._handle)
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        self.close()

    def read(self, name: str) -> int:
        """Value of a register by its name in `hw/interface.json`."""
        value = ctypes.c_uint32()
        self._access(self._library.gf_read(self._handle, self.interface.registers[name], ctypes.byref(value)), name)
        return value.value

    def write(self, name: str, value: int) -> None:
        """Set a register by its name in `hw/interface.json`."""
        self._access(self._library.gf_write(self._handle, self.interface.registers[name], value), name)

    @property
    def modes(self) -> int:
        """Modes of the network that is loaded."""
        return self._config("modes")

    def trace(self, path: str | Path) -> None:
        """Write an FST waveform from now on; the library must be compiled with `trace=True`."""
        if self._library.gf_trace(self._handle, str(path).encode()):
            raise GatefoldError("this simulation library writes no waveforms; build it with --trace.")

    def set_latency(self, cycles: int) -> None:
        """Latency of the memory, in cycles."""
        self._library.gf_set_latency(self._handle, cycles)

    def set_memory(self, buffer: np.ndarray, base: int) -> None:
        """Lay a contiguous numpy array at address `base`; the caller keeps it alive while it is used."""
        if self._library.gf_set_memory(self._handle, buffer.ctypes.data, base, buffer.nbytes):
            raise GatefoldError(f"memory of {buffer.nbytes} bytes at {base:#x} is misaligned or overlaps; move it.")

    def hang(self, flag: bool = True) -> None:
        """Let the memory answer nothing more, or go on."""
        self._library.gf_hang(self._handle, int(flag))

    def advance(self, max_cycles: int) -> int:
        """Run until the accelerator rests or for `max_cycles`; returns the cycles that have passed."""
        return self._library.gf_run(self._handle, max_cycles)

    def load(self, network: bytes, stall: int = 0, seed: int = 0) -> int:
        """Load a network image; returns the clock cycles that it took, from the start to the end.

        Args:
            stall, seed: as in `run`.

        Raises:
            GatefoldError: the accelerator is busy, does not end, or refuses the image with an error code.
        """
        memory = np.frombuffer(network.ljust(_padded(len(network)), b"\0"), np.uint8).copy()
        control = self.interface.fields["control"]
        with self._lent(memory, stall, seed):
            self.write("source", BASE)
            self.write("frames", len(network) // BLOCK_BYTES)
            self.write("control", control["load"].mask | control["interrupt"].mask)
            self.advance(100_000 + 100 * len(network))
            status = self._status()
            if status["busy"]:
                raise GatefoldError("the accelerator did not end loading the network; look at the waveform (--trace).")
            self._refuse(status, "the network image")
        self.write("irq", self.interface.fields["irq"]["pending"].mask)
        return self.read("cycles")

    def run(
        self,
        images: np.ndarray,
        modes: int | Sequence[int],
        stall: int = 0,
        seed: int = 0,
        *,
        max_cycles: int | None = None,
        halting: Halting | Sequence[Halting] | None = None,
    ) -> tuple[list[dict], int]:
        """Run one batch.

        Args:
            images: uint8 [N, S, S, planes], as `flow.graph.integer.picture_frames` makes them of pictures; [N, 32, 32, 3] pixel values
                of a network that reads them as they are.
            modes: one mode index for all frames, or one per frame (then handed over as a mode list).
            stall: per cent of cycles in which each AXI channel, on its own, waits; 0 to 95.
            seed: of the waiting; equal seeds give equal runs.
            max_cycles: give up after so many cycles; default: far more than any network here takes.
            halting: where frames stop early, for all modes or for each mode index; margins are those of the last. None: nowhere.

        Returns:
            One dictionary per frame with the record's words by name (frame, mode, exit, class, cycles, tiles, status)
            and `logits` (list of int); and the cycles of the whole batch, from the start to the last record.

        Raises:
            GatefoldError: wrong images or modes, an accelerator that is busy, an error code of it, no end in time,
                or a breach of the hardware's contracts (hw/checks), which ends the simulation. A batch that does not
                end is given up by a soft reset; while the memory does not answer, the accelerator remains busy and
                starts no other.
        """
        planes = to_planes(images)
        if planes.shape[1:] != self.image_shape:
            wanted, *size = self.image_shape
            raise GatefoldError(
                f"images are {list(np.shape(images))} and the engine takes uint8 [N, {size[0]}, {size[1]}, {wanted}]; give such."
            )
        flat = padded_frames(planes)
        frames = len(flat)
        one_mode = isinstance(modes, (int, np.integer))
        if not one_mode and len(modes) != frames:
            raise GatefoldError(f"{len(modes)} modes for {frames} frames; give one mode, or one per frame.")

        record_bytes = 4 * self.record_words
        list_offset = _padded(flat.nbytes)
        record_offset = list_offset + _padded(frames)
        memory = np.zeros(record_offset + _padded(frames * record_bytes), np.uint8)
        memory[: flat.nbytes] = flat.reshape(-1)
        if not one_mode:
            memory[list_offset : list_offset + frames] = np.asarray(modes, np.uint8)
        control = self.interface.fields["control"]
        with self._lent(memory, stall, seed):
            self.write("source", BASE)
            self.write("destination", BASE + record_offset)
            self.write("frames", frames)
            self.write("mode", int(modes) if one_mode else 0)
            self.write("mode_list", 0 if one_mode else BASE + list_offset)
            exits = self.interface.fields["exits"]
            of_modes = [halting] * self.modes if isinstance(halting, Halting) else halting or ()
            for mode, told in enumerate(of_modes):
                self.write("exits", exits["enable"].mask | mode << exits["mode"].low)
                for limit, margin in zip(told.limits, told.margins, strict=True):
                    self.write("exit_limit", limit)
                    self.write("exit_margin", margin)
            if halting is None:
                self.write("exits", 0)
            self.write("control", control["start"].mask | control["interrupt"].mask)
            self.advance(max_cycles or 100_000 + 4_000_000 * frames)
            self._check_end(frames)
        words = memory[record_offset : record_offset + frames * record_bytes].view("<u4").reshape(frames, self.record_words)
        records = []
        for row, decisions in zip(words, self.interface.unpack_decisions(words, self.classes), strict=True):
            named, logits = self.interface.unpack_record(row, self.classes)
            records.append({**named, "logits": logits, "decisions": decisions})
        return records, self.read("cycles")

    def _check_end(self, frames: int) -> None:
        status, done = self._status(), self.read("frames_done")
        if status["busy"]:
            raise GatefoldError(f"the accelerator did not end: {done} of {frames} frames; look at the waveform (--trace).")
        self._refuse(status, "frames, modes and addresses of the batch")
        if not status["done"] or done != frames:
            raise GatefoldError(
                f"the accelerator rests without an end of its batch: {done} of {frames} frames; look at the waveform (--trace)."
            )
        self.write("irq", self.interface.fields["irq"]["pending"].mask)

    def _refuse(self, status: dict[str, int], what: str) -> None:
        if status["error"]:
            code = status["error_code"]
            name = next((name for name, value in self.interface.errors.items() if value == code), str(code))
            raise GatefoldError(f"the accelerator reports {name}; check {what}.")

    @contextmanager
    def _lent(self, memory: np.ndarray, stall: int, seed: int) -> Iterator[None]:
        """Memory at BASE for an accelerator at rest, until it rests again."""
        if not self._at_rest():
            raise GatefoldError(
                "the accelerator is busy with an earlier batch and its memory does not answer; start the simulation again."
            )
        self._memory = memory
        self.set_memory(memory, BASE)
        self._library.gf_set_stall(self._handle, seed, stall)
        try:
            yield
        finally:
            self._at_rest()

    def _at_rest(self) -> bool:
        """Give up a batch that is still under way; once the accelerator rests, let go of its memory. Whether it rests."""
        if self._status()["busy"]:
            self.write("control", self.interface.fields["control"]["reset"].mask)
            self.advance(DRAIN_CYCLES)
            if self._status()["busy"]:
                return False
        if self._memory is not None:
            self._library.gf_set_memory(self._handle, None, BASE, 0)
            self._memory = None
        return True

    def _config(self, name: str) -> int:
        return self.interface.fields["config"][name].of(self.read("config"))

    def _status(self) -> dict[str, int]:
        word = self.read("status")
        return {name: field.of(word) for name, field in self.interface.fields["status"].items()}

    def _access(self, result: int, name: str) -> None:
        if result == STOPPED:
            reason = self._library.gf_failure().decode()
            raise GatefoldError(f"the accelerator breaks a contract of the hardware: {reason}; look at the waveform (--trace).")
        if result:
            raise GatefoldError(f"the accelerator does not answer at register {name}; start the simulation again.")


def _padded(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _load(path: Path):
    if not path.is_file():
        raise GatefoldError(f"simulation library {path} does not exist; run `gatefold build` for this model.")
    try:
        library = _open(path.resolve())
        library.gf_abi.restype = ctypes.c_int
        if library.gf_abi() != ABI:
            raise GatefoldError(f"{path} has another interface; run `gatefold build` again.")
    except (OSError, AttributeError) as problem:
        raise GatefoldError(f"{path} is no simulation library ({problem}); run `gatefold build` again.") from problem
    handle, text, integer = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    word, long = ctypes.c_uint32, ctypes.c_uint64
    for name, result, arguments in (
        ("gf_image_size", integer, []),
        ("gf_image_planes", integer, []),
        ("gf_create", handle, [integer]),
        ("gf_failure", text, []),
        ("gf_destroy", None, [handle]),
        ("gf_write", integer, [handle, word, word]),
        ("gf_read", integer, [handle, word, ctypes.POINTER(word)]),
        ("gf_set_memory", integer, [handle, ctypes.c_void_p, long, long]),
        ("gf_run", long, [handle, long]),
        ("gf_cycles", long, [handle]),
        ("gf_interrupt", integer, [handle]),
        ("gf_set_stall", None, [handle, long, integer]),
        ("gf_set_latency", None, [handle, integer]),
        ("gf_hang", None, [handle, integer]),
        ("gf_trace", integer, [handle, text]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_opened: dict[Path, tuple[tuple, ctypes.CDLL]] = {}


def _open(path: Path) -> ctypes.CDLL:
    """The library as it is now: the loader goes by names and would give an earlier build of the same path once more."""
    now = path.stat()
    identity = now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns
    known, library = _opened.get(path, (None, None))
    if known is None:
        library = ctypes.CDLL(str(path))
    elif known != identity:
        with tempfile.TemporaryDirectory() as folder:
            library = ctypes.CDLL(shutil.copy2(path, folder))
    _opened[path] = identity, library
    return library
