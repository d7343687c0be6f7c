"""Compile a unit of `hw/rtl`, alone or under a test bench of this folder, and step it clock by clock."""

from pathlib import Path

import pytest

from flow.engine.interface import load_interface
from flow.engine.sources import accelerator_sources
from flow.simulation.compile import compile_model
from flow.simulation.library import Model

HERE = Path(__file__).parent


def unit(top, folder, bench=None, **parameters):
    """Path of the compiled module `top`.

    Args:
        folder: where the generated package goes.
        bench: file of this folder with `top` in it; None where `top` is in `hw/rtl`.
        parameters: of `top`.
    """
    sources = accelerator_sources(folder) + ([HERE / bench] if bench else [])
    return compile_model(top, sources, parameters=parameters)


def step(model: Model, **inputs):
    """Write the inputs and run one clock cycle."""
    for name, value in inputs.items():
        model.write(name, int(value))
    model.cycles(1)


def fill(model: Model, memory, words, width=64):
    """Write the words of a memory, of so many bits each, from address 0 on, as a network image does: port `load` or `load_bits`."""
    number, beats = load_interface().network.memories.index(memory), -(-width // 64)
    port = "load" if "load" in model.ports else "load_bits"
    for address, word in enumerate(words):
        step(model, **{port: 1 << number + 282 | address << 264 | int(word) << 256 - 64 * beats})
    step(model, **{port: 0})


def pack(values, width):
    """An unsigned integer of the values' low `width` bits each, the first one lowest."""
    word = 0
    for value in reversed([int(v) for v in values]):
        word = word << width | value & (1 << width) - 1
    return word


def unpack(word, count, width, signed=False):
    """The inverse of `pack`: a list of `count` integers."""
    values = [word >> width * i & (1 << width) - 1 for i in range(count)]
    return [v - (1 << width) if signed and v >> width - 1 else v for v in values]


def faulty(module, old, new, folder, monkeypatch):
    """Let `unit` compile what it finds with `new` in the place of `old`, which is in the module once."""
    sources = accelerator_sources(folder)
    changed = folder / f"{module}.sv"
    text = next(file for file in sources if file.stem == module).read_text()
    assert text.count(old) == 1
    changed.write_text(text.replace(old, new))
    replaced = [changed if file.stem == module else file for file in sources]
    monkeypatch.setattr("rtl.accelerator_sources", lambda folder: replaced)


def fault_cases(faults):
    """Planted faults as cases of a test, those behind the first one slow."""
    return [pytest.param(*fault, marks=[] if fault is faults[0] else pytest.mark.slow) for fault in faults]
