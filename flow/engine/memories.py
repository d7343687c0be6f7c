"""Block memory that the engine's memories take, in blocks of 18 kbit, as yosys counts them."""

from flow.engine.config import EngineConfig
from flow.engine.cost import QUARTERS
from flow.engine.interface import load_interface

RAM_BLOCK_WORDS = 129
"""From so many words on, hw/rtl/engine_ram.sv is block memory, where that is left to it."""
RAM_LUTS = 4
"""Of a bit of fewer words: up to 64 of the even and 64 of the odd words, and the choice between them."""
TABLE_WORDS, TABLE_BITS = 64, 10
"""Of a layer's tables, and bits of such a word."""


def weight_blocks(words: int) -> int:
    """For 36-bit kernel words, true dual port: banks of four columns of 4096 × 9 bits, of 2048 where the last one needs no more."""
    return 4 * -(-words // 2048)


def kernel_blocks(config: EngineConfig) -> int:
    """Of all kernels: the memory that every quarter of the lanes reads, and three for those that quarters have of their own."""
    return weight_blocks(config.weight_depth) + (QUARTERS - 1) * weight_blocks(config.pack)


def requant_blocks(entries: int) -> int:
    """For 54-bit requantisation entries, 1024 × 54 bits in three."""
    return 3 * -(-entries // 1024)


def ram_blocks(words: int, width: int, least: int = RAM_BLOCK_WORDS) -> int:
    """For the words of an engine_ram, 512 × 36 bits each, or 1024 × 18; none for fewer words than `least`, which are made of LUTs."""
    if words < least:
        return 0
    return -(-words // 1024) if width <= 18 else -(-width // 36) * -(-words // 512)


def ram_luts(words: int, width: int, least: int = RAM_BLOCK_WORDS) -> int:
    """LUTs of an engine_ram of few words."""
    return RAM_LUTS * width if words < least else 0


def rams(config: EngineConfig) -> list[tuple[int, int, int]]:
    """(words, bits a word, words from which on it is block memory) of the engine's smaller memories: weights and biases of the vector unit, the
    program, and
    tables where layers have some."""
    tables = [(TABLE_WORDS * config.layers, TABLE_BITS, RAM_BLOCK_WORDS)] if config.tables else []
    return [
        (config.fc_depth, 8 * config.v, RAM_BLOCK_WORDS),
        (config.biases, 32, RAM_BLOCK_WORDS),
        (config.modes * config.layers, load_interface().descriptor_width, 1),
        *tables,
    ]


def block_memories(config: EngineConfig) -> float:
    """BRAM36 of a whole engine."""
    blocks = kernel_blocks(config) + requant_blocks(config.requant_depth)
    return (blocks + sum(ram_blocks(*ram) for ram in rams(config))) / 2
