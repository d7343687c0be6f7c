"""The one description of the hardware's interface, `hw/interface.json`, in Python and in SystemVerilog.

Registers, error codes, descriptor fields and record words are written down once, in the JSON file; the
package `gatefold_pkg` that the RTL imports is generated from it here (`python -m flow.engine.interface OUT.sv`).
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flow.errors import GatefoldError
from flow.kept import replace_file

INTERFACE_FILE = Path(__file__).resolve().parents[2] / "hw" / "interface.json"


@dataclass(frozen=True)
class Field:
    """Bits of a register: the lowest, how many, what they mean."""

    low: int
    width: int
    doc: str

    @property
    def mask(self) -> int:
        """The register with all bits of the field set."""
        return ((1 << self.width) - 1) << self.low

    @property
    def bits(self) -> str:
        """`7:0`, or `3` for a single bit."""
        return str(self.low) if self.width == 1 else f"{self.low + self.width - 1}:{self.low}"

    def of(self, word: int) -> int:
        """Value of the field in a word of the register."""
        return word >> self.low & (1 << self.width) - 1


@dataclass(frozen=True)
class NetworkFormat:
    """What a network image is made of, see `flow.engine.network`.

    Attributes:
        magic: its first 64-bit word.
        format: number of this format.
        header_bit: of a header beat on the engine's stream: a network image follows.
        crc: polynomial of its check sum, the lowest bit first.
        header: names of the header's words; the rest of the block is zero.
        memories: names of the memories; their places are their numbers.
    """

    magic: int
    format: int
    header_bit: int
    crc: int
    header: tuple[str, ...]
    memories: tuple[str, ...]


@dataclass(frozen=True)
class Interface:
    """The interface between the host, the compiler and the engine.

    Attributes:
        version, id: what the registers of the same name answer.
        registers: name -> byte offset.
        fields: name of a register that has any -> name of the field -> Field.
        errors: name -> error code of the status register.
        descriptor: (field name, width in bits) from the lowest bit upwards; the rest up to
            `descriptor_width` is reserved and zero.
        record: names of the record's first 32-bit words; the logits follow.
        record_align_words: a record is padded with zeros to a multiple of this many words.
        network: the format of network images.
        registers_doc: name -> (access, sentence).
    """

    version: int
    id: int
    registers: dict[str, int]
    registers_doc: dict[str, tuple[str, str]]
    fields: dict[str, dict[str, Field]]
    errors: dict[str, int]
    descriptor_width: int
    descriptor: tuple[tuple[str, int], ...]
    record: tuple[str, ...]
    record_align_words: int
    network: NetworkFormat

    def description(self, register: str) -> str:
        """What a register holds, its fields included, in one line."""
        fields = (f"Bits {field.bits}, {name}: {field.doc}" for name, field in self.fields.get(register, {}).items())
        return " ".join([self.registers_doc[register][1], *fields])

    def pack_descriptor(self, **fields: int) -> int:
        """The descriptor as one integer; fields that are not given are zero.

        Raises:
            GatefoldError: a field is unknown or its value does not fit its width.
        """
        word, low = 0, 0
        left = dict(fields)
        for name, width in self.descriptor:
            value = int(left.pop(name, 0))
            if not 0 <= value < 1 << width:
                raise GatefoldError(
                    f"descriptor field {name} = {value} does not fit its {width} bits; "
                    f"make the layer smaller or widen the field in {INTERFACE_FILE.name}"
                )
            word |= value << low
            low += width
        if left:
            raise GatefoldError(f"descriptor has no field {sorted(left)[0]}; add it to {INTERFACE_FILE.name}")
        return word

    def unpack_descriptor(self, word: int) -> dict[str, int]:
        """Field name -> value of a descriptor given as one integer."""
        fields = {}
        for name, width in self.descriptor:
            fields[name] = word & ((1 << width) - 1)
            word >>= width
        return fields

    def decisions_start(self, classes: int) -> int:
        """Index of the word in which a record's decisions begin, 32 a word, the first one lowest."""
        return len(self.record) + -(-classes // 2) * 2

    def record_words(self, classes: int, decisions: int = 0) -> int:
        """Length of a result record in 32-bit words, padding included."""
        words = self.decisions_start(classes) + -(-decisions // 64) * 2
        return -(-words // self.record_align_words) * self.record_align_words

    def pack_record(self, logits: Sequence[int], decisions: Sequence[int] = (), **fields: int) -> list[int]:
        """A result record in unsigned 32-bit words: named words, logits, decisions of 0 and 1, zeros."""
        words = [int(fields.pop(name, 0)) & 0xFFFFFFFF for name in self.record]
        if fields:
            raise GatefoldError(f"record has no word {sorted(fields)[0]}; add it to {INTERFACE_FILE.name}")
        words += [int(value) & 0xFFFFFFFF for value in logits]
        words += [0] * (self.decisions_start(len(logits)) - len(words))
        for first in range(0, len(decisions), 32):
            words.append(sum(int(bit) << place for place, bit in enumerate(decisions[first : first + 32])))
        return words + [0] * (self.record_words(len(logits), len(decisions)) - len(words))

    def unpack_record(self, words: Sequence[int], classes: int) -> tuple[dict[str, int], list[int]]:
        """(named words, signed logits) of one record."""
        named = {name: int(words[index]) for index, name in enumerate(self.record)}
        first = len(self.record)
        logits = [(int(word) & 0xFFFFFFFF) for word in words[first : first + classes]]
        return named, [word - (1 << 32) if word >> 31 else word for word in logits]

    def unpack_decisions(self, words: np.ndarray, classes: int) -> np.ndarray:
        """The decisions of records, uint32 [..., words], and zeros behind them: uint8 [..., bits], 0 or 1 each."""
        rest = np.ascontiguousarray(words[..., self.decisions_start(classes) :], "<u4")
        return np.unpackbits(rest.view(np.uint8), axis=-1, bitorder="little")


def load_interface(path: str | Path = INTERFACE_FILE) -> Interface:
    """Read the interface description.

    Raises:
        GatefoldError: the file is missing, damaged, or its descriptor is wider than it says.
    """
    try:
        data = json.loads(Path(path).read_text())
        interface = Interface(
            version=data["version"],
            id=int(data["id"], 0),
            registers={name: int(register["offset"], 0) for name, register in data["registers"].items()},
            registers_doc={name: (register["access"], register["doc"]) for name, register in data["registers"].items()},
            fields={
                name: {field: Field(low, width, doc) for field, low, width, doc in register["fields"]}
                for name, register in data["registers"].items()
                if "fields" in register
            },
            errors=dict(data["errors"]),
            descriptor_width=data["descriptor_width"],
            descriptor=tuple((name, width) for name, width in data["descriptor"]),
            record=tuple(data["record"]),
            record_align_words=data["record_align_words"],
            network=_network(data["network"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GatefoldError(f"cannot read the interface description {path} ({error}); restore it with git") from error
    for register, fields in interface.fields.items():
        taken = 0
        for name, field in fields.items():
            if field.low < 0 or field.width < 1 or field.low + field.width > 32 or taken & field.mask:
                raise GatefoldError(f"field {name} of register {register} in {path} overlaps another or lies outside; move it")
            taken |= field.mask
    if sum(width for _, width in interface.descriptor) > interface.descriptor_width:
        raise GatefoldError(f"the descriptor fields in {path} exceed descriptor_width; widen descriptor_width")
    return interface


def _network(data):
    magic = int.from_bytes(data["magic"].encode(), "little")
    header, memories = tuple(data["header"]), tuple(data["memories"])
    return NetworkFormat(magic, data["format"], data["header_bit"], int(data["crc"], 0), header, memories)


def package_text(interface: Interface | None = None) -> str:
    """The SystemVerilog package `gatefold_pkg`.

    `descriptor_t` lists its members from the highest bit down, as the language demands: `kind` comes last and
    lies in the lowest bits.
    """
    interface = interface or load_interface()
    used = sum(width for _, width in interface.descriptor)
    lines = [
        "// Generated from hw/interface.json by flow/engine/interface.py; do not edit.",
        "`default_nettype none",
        "",
        "package gatefold_pkg;",
        "",
        "  // All of the interface, whoever uses it.",
        "  // verilator lint_off UNUSEDPARAM",
        "",
        f"  localparam logic [31:0] INTERFACE_ID      = 32'h{interface.id:08x};",
        f"  localparam logic [31:0] INTERFACE_VERSION = 32'd{interface.version};",
        "",
        "  // Byte offsets of the registers.",
    ]
    for name, offset in interface.registers.items():
        access, doc = interface.registers_doc[name]
        lines.append(f"  localparam logic [11:0] REG_{name.upper():<12} = 12'h{offset:03x};  // {access}: {doc}")
    lines += ["", "  // Lowest bit of each field of a register, and its width where it has more than one."]
    for name, fields in interface.fields.items():
        for part, field in fields.items():
            bit = f"{name}_{part}".upper()
            lines.append(f"  localparam int {bit} = {field.low};  // {field.doc}")
            if field.width > 1:
                lines.append(f"  localparam int {bit}_WIDTH = {field.width};")
    lines += ["", "  // Error codes, of the field error_code of the status register."]
    for name, code in interface.errors.items():
        lines.append(f"  localparam logic [7:0] ERR_{name.upper():<18} = 8'd{code};")
    network = interface.network
    lines += [
        "",
        "  // Network images: of the header beat that comes before one, of its own header, and the numbers of the memories.",
        f"  localparam int HEADER_NETWORK = {network.header_bit};",
        f"  localparam logic [63:0] NETWORK_MAGIC  = 64'h{network.magic:016x};",
        f"  localparam logic [31:0] NETWORK_FORMAT = 32'd{network.format};",
        f"  localparam logic [31:0] NETWORK_CRC    = 32'h{network.crc:08x};",
        *(f"  localparam int NETWORK_{name.upper():<13} = {index};" for index, name in enumerate(network.header)),
        *(f"  localparam int MEMORY_{name.upper():<10} = {index};" for index, name in enumerate(network.memories)),
        "",
        "  // Words of a result record; the logits follow.",
        *(f"  localparam int RECORD_{name.upper():<10} = {index};" for index, name in enumerate(interface.record)),
        f"  localparam int RECORD_LOGITS     = {len(interface.record)};",
        f"  localparam int RECORD_ALIGN_WORDS = {interface.record_align_words};",
        "",
        "  // One layer of the program; kind is in the lowest bits.",
        f"  localparam int DESCRIPTOR_WIDTH = {interface.descriptor_width};",
        "  typedef struct packed {",
    ]
    fields = list(interface.descriptor)
    if used < interface.descriptor_width:
        fields.append(("reserved", interface.descriptor_width - used))
    for name, width in reversed(fields):
        kind = f"logic [{width - 1}:0]" if width > 1 else "logic"
        lines.append(f"    {kind:<13} {name};")
    lines += [
        "  } descriptor_t;",
        "",
        "  // verilator lint_on UNUSEDPARAM",
        "",
        "endpackage",
        "",
        "`default_nettype wire",
        "",
    ]
    return "\n".join(lines)


def write_package(path: str | Path, interface: Interface | None = None) -> None:
    """Write `gatefold_pkg` to `path`; an unchanged file keeps its date, so that nothing is rebuilt."""
    path, text = Path(path), package_text(interface)
    if not path.is_file() or path.read_bytes() != text.encode():
        replace_file(path, lambda part: part.write_text(text))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m flow.engine.interface OUT.sv")
    write_package(sys.argv[1])
