"""The page of registers, errors, records and descriptors, from `hw/interface.json` (`python -m flow.engine.register_page`)."""

from pathlib import Path

from flow.engine.interface import Field, Interface, load_interface

PAGE = Path(__file__).resolve().parents[2] / "docs" / "registers.md"
_ACCESS = {"ro": "read", "rw": "read, write"}


def page_text(interface: Interface | None = None) -> str:
    """The page in Markdown."""
    interface = interface or load_interface()
    lines = [
        "# Registers and records",
        "",
        "From [hw/interface.json](../hw/interface.json) by `python -m flow.engine.register_page`: correct it there.",
        "",
        f"Interface {interface.version}. Registers have 32 bits, on an AXI4-Lite slave; a read elsewhere gives zero, a write elsewhere or to",
        "a register that is only read changes nothing.",
        "",
        "## Registers",
        "",
        "| offset | register | access | meaning |",
        "|---|---|---|---|",
    ]
    for name, offset in interface.registers.items():
        access, meaning = interface.registers_doc[name]
        lines.append(f"| `0x{offset:02x}` | `{name}` | {_ACCESS[access]} | {meaning} |")
    lines += ["", "## Fields of registers", "", "| register | bits | field | meaning |", "|---|---|---|---|"]
    for name, fields in interface.fields.items():
        lines += [f"| `{name}` | {field.bits} | `{part}` | {field.doc} |" for part, field in fields.items()]
    lines += ["", "## Error codes", "", "| code | name |", "|---|---|"]
    lines += [f"| {code} | `{name}` |" for name, code in interface.errors.items()]
    lines += [
        "",
        "## Result records",
        "",
        f"One per frame, in 32-bit words, padded with zeros to a multiple of {interface.record_align_words} words.",
        "",
        "| word | holds |",
        "|---|---|",
        *(f"| {index} | `{name}` |" for index, name in enumerate(interface.record)),
        f"| from {len(interface.record)} | the logits, signed |",
        "",
        "## Descriptors",
        "",
        f"One word of {interface.descriptor_width} bits per layer and mode; what the fields mean says the [architecture](architecture.md).",
        "",
        "| bits | field |",
        "|---|---|",
    ]
    low = 0
    for name, width in interface.descriptor:
        lines.append(f"| {Field(low, width, '').bits} | `{name}` |")
        low += width
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page_text())
