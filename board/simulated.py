"""A PYNQ device without a board: it answers from the Verilated accelerator of the deploy folder.

`import board.simulated` adds `SimulatedDevice` to PYNQ's devices, after every real one: `Device.active_device` is a
board where there is one, else this. `Overlay`, `MMIO` and `allocate` then work unmodified. Three things are
modelled as on a board, so that a driver's mistake shows here too: buffers are cached (without `flush` and
`invalidate` host and accelerator see different bytes), memory that is not allocated does not exist for the DMA, and
the accelerator runs on between two register accesses.
"""

import ctypes
import itertools
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Optional, Tuple, Union

import numpy as np
from pynq.buffer import PynqBuffer
from pynq.pl_server.device import Device
from pynq.ps import ZYNQ_ARCH
from pynqmetadata.frontends import Metadata
from pynqmetadata.views.runtime import RuntimeMetadataParser

from board.errors import BoardError

if TYPE_CHECKING:
    from pynq.bitstream import Bitstream


ABI = 4
POWER_ON_SEED = 1  # registers and memories begin with random values
STOPPED = -3
CYCLES_BETWEEN_ACCESSES = 16384  # about 0.16 ms at 100 MHz, what a Python program takes from one access to the next
PAGE = 4096
DDR_BASE, DDR_SIZE = 0x1000_0000, 0x1000_0000
WORD = 4

# Clock control of the Zynq-7000 (UG585, appendix B.28): a PLL of 1 GHz (50 MHz × 20), FCLK0 = IO PLL / 10.
SLCR_BASE, SLCR_SIZE = 0xF800_0000, 0x200
SLCR_RESET = {0x100: 20 << 12, 0x104: 20 << 12, 0x108: 20 << 12, 0x120: 2 << 8}
SLCR_RESET.update(dict.fromkeys((368, 384, 400, 416), 1 << 20 | 10 << 8))


class VerilatedAccelerator:
    """The library behind hw/sim/accelerator_sim.h, through ctypes.

    Args:
        library: path of accelerator.so.

    Raises:
        BoardError: no such library, or of another version.
    """

    def __init__(self, library: Path):
        self._handle = None
        try:
            self._library = ctypes.CDLL(str(library))
            self._library.gf_abi.restype = ctypes.c_int
            abi = self._library.gf_abi()
        except (OSError, AttributeError) as problem:
            raise BoardError(
                f"{library} is no simulated accelerator for this machine ({problem}); build again with make bitstream."
            ) from None
        if abi != ABI:
            raise BoardError(f"{library} speaks interface {abi}, this program {ABI}; build again with make bitstream.")
        handle, word, long, integer = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int
        for name, result, arguments in (
            ("gf_create", handle, [integer]),
            ("gf_failure", ctypes.c_char_p, []),
            ("gf_destroy", None, [handle]),
            ("gf_write", integer, [handle, word, word]),
            ("gf_read", integer, [handle, word, ctypes.POINTER(word)]),
            ("gf_set_memory", integer, [handle, ctypes.c_void_p, long, long]),
            ("gf_run", long, [handle, long]),
            ("gf_set_stall", None, [handle, long, integer]),
            ("gf_hang", None, [handle, integer]),
        ):
            function = getattr(self._library, name)
            function.restype, function.argtypes = result, arguments
        self._handle = self._library.gf_create(POWER_ON_SEED)
        if not self._handle:
            reason = self._library.gf_failure().decode()
            raise BoardError(f"the simulated accelerator of {library} does not start: {reason}; build again with make bitstream.")
        self._end = weakref.finalize(self, self._library.gf_destroy, self._handle)

    def read(self, offset: int) -> int:
        """The register at a byte offset."""
        value = ctypes.c_uint32()
        self._check(self._library.gf_read(self._handle, offset, ctypes.byref(value)), offset)
        return value.value

    def write(self, offset: int, value: int) -> None:
        """Sets the register at a byte offset."""
        self._check(self._library.gf_write(self._handle, offset, value), offset)

    def advance(self, cycles: int) -> None:
        """Runs until the accelerator rests, at most for so many cycles."""
        self._library.gf_run(self._handle, cycles)

    def map_memory(self, pointer: Optional[int], address: int, size: int) -> None:
        """Lays host memory at a physical address; pointer None takes it away."""
        if self._library.gf_set_memory(self._handle, pointer, address, size):
            raise BoardError(f"the simulated memory at {address:#x} is misaligned or taken; start again.")

    def stall(self, seed: int, percent: int) -> None:
        """Every AXI channel waits in so many per cent of the cycles."""
        self._library.gf_set_stall(self._handle, seed, percent)

    def hang(self, flag: bool = True) -> None:
        """The memory stops answering, or goes on."""
        self._library.gf_hang(self._handle, int(flag))

    def close(self) -> None:
        """Ends the accelerator."""
        self._end()
        self._handle = None

    def _check(self, result, offset):
        if result == STOPPED:
            reason = self._library.gf_failure().decode()
            raise BoardError(
                f"the simulated accelerator breaks a contract of the hardware: {reason}; build again with make bitstream."
            )
        if result:
            raise BoardError(f"the simulated accelerator does not answer at register offset {offset:#x}; start again.")


class _Memory:
    """The accelerator's side of one buffer: bytes at a physical address."""

    def __init__(self, size, address):
        self.bytes = np.zeros(size, np.uint8)
        self.address = address


class SimulatedDevice(Device):
    """The device. `accelerator` is the VerilatedAccelerator of the overlay that is loaded."""

    _probe_priority_ = 1000

    @classmethod
    def _probe_(cls):
        return [cls()]

    def __init__(self):
        super().__init__("gatefold_simulated")
        self.name = "simulated"
        self.arch = ZYNQ_ARCH
        self.capabilities = {"REGISTER_RW": True}
        self.timestamp = ""
        self.accelerator = None
        self._slcr = dict(SLCR_RESET)
        self._memories = weakref.WeakValueDictionary()
        self._number = itertools.count()

    # --- Overlay

    def get_bitfile_metadata(self, bitfile_name: Union[str, Path], partial: bool = False) -> RuntimeMetadataParser:
        """The parsed hardware handoff that lies beside the bitstream."""
        return RuntimeMetadataParser(Metadata(input=str(Path(bitfile_name).with_suffix(".hwh"))))

    def download(self, bitstream: "Bitstream", parser: Optional[RuntimeMetadataParser] = None) -> None:
        """Starts the accelerator whose library stands in for the bitstream."""
        library = Path(bitstream.bitfile_name)
        if self.accelerator is not None:
            self.accelerator.close()
        self.accelerator = VerilatedAccelerator(library)
        for memory in self._memories.values():
            self._map(memory)
        self.post_download(bitstream, parser, self.name)

    # --- MMIO

    def read_registers(self, address: int, length: int) -> bytes:
        """`length` bytes from a physical address, in words."""
        return b"".join(self._read_word(address + at).to_bytes(WORD, "little") for at in range(0, length, WORD))

    def write_registers(self, address: int, data: bytes) -> None:
        """Writes words to a physical address."""
        for at in range(0, len(data), WORD):
            self._write_word(address + at, int.from_bytes(data[at : at + WORD], "little"))

    def _read_word(self, address):
        if SLCR_BASE <= address < SLCR_BASE + SLCR_SIZE:
            return self._slcr.get(address - SLCR_BASE, 0)
        offset = self._register_offset(address)
        self.accelerator.advance(CYCLES_BETWEEN_ACCESSES)
        return self.accelerator.read(offset)

    def _write_word(self, address, value):
        if SLCR_BASE <= address < SLCR_BASE + SLCR_SIZE:
            self._slcr[address - SLCR_BASE] = value
        else:
            self.accelerator.write(self._register_offset(address), value)

    def _register_offset(self, address):
        for ip in self.ip_dict.values() if self.accelerator else ():
            base = ip.get("phys_addr")
            if base is not None and base <= address < base + ip["addr_range"]:
                return address - base
        raise BoardError(f"nothing lies at address {address:#x}; load the overlay first and use its address map.")

    # --- allocate

    @property
    def default_memory(self) -> "SimulatedDevice":
        """The DDR memory, which `allocate` uses."""
        return self

    def allocate(
        self, shape: Union[int, Tuple[int, ...]], dtype: Union[str, type, np.dtype], cacheable: int = 1, **kwargs: object
    ) -> PynqBuffer:
        """A buffer of the given shape in the simulated DDR memory."""
        dtype = np.dtype(dtype)
        size = max(int(np.prod(shape)) * dtype.itemsize, 1)
        pages = -(-size // PAGE) * PAGE
        memory = _Memory(pages, self._free_address(pages))
        self._memories[next(self._number)] = memory
        if self.accelerator is not None:
            self._map(memory)
        host = np.zeros(pages, np.uint8) if cacheable else memory.bytes
        buffer = PynqBuffer(
            shape, dtype, buffer=host, device=self, device_address=memory.address, bo=memory, coherent=not cacheable
        )
        weakref.finalize(memory.bytes, self._unmap, memory.address)
        return buffer

    def flush(self, memory: _Memory, offset: int, pointer: int, size: int) -> None:
        """Makes what the host wrote visible to the accelerator."""
        ctypes.memmove(memory.bytes.ctypes.data + offset, pointer, size)

    def invalidate(self, memory: _Memory, offset: int, pointer: int, size: int) -> None:
        """Makes what the accelerator wrote visible to the host."""
        ctypes.memmove(pointer, memory.bytes.ctypes.data + offset, size)

    def _free_address(self, size):
        """The lowest address with room between the buffers that live."""
        address = DDR_BASE
        for memory in sorted(self._memories.values(), key=lambda one: one.address):
            if memory.address - address >= size:
                break
            address = memory.address + len(memory.bytes)
        if address + size > DDR_BASE + DDR_SIZE:
            raise BoardError(f"the simulated board has no {size} bytes of memory left; run smaller batches (--batch).")
        return address

    def _map(self, memory):
        self.accelerator.map_memory(memory.bytes.ctypes.data, memory.address, len(memory.bytes))

    def _unmap(self, address):
        if self.accelerator is not None:
            self.accelerator.map_memory(None, address, 0)
