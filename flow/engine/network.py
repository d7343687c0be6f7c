"""Network images: what fills an engine's memories, in one file, `network.bin`.

64-bit words, lowest byte first, in blocks of 16 (128 bytes). The first block is the header:

    word 0   magic, the bytes "GATEFOLD"
    word 1   format of the image (low half), its blocks, this one included (high half)
    word 2   first 32 bits of the engine's hash (low half), CRC-32 of all words behind the header (high half)
    word 3   modes of the network

Sections follow, in the order in which they are written: a word with the number of a memory (bits 7…0), its first address (31…8) and how
many of its words follow (63…32), and those words, each in as many 64-bit words as it needs, the lowest first. Kernels go in pairs: before
each eight pairs lies a 64-bit word with bits 71…64 of each of them, then bits 63…0 of each. A section of memory 0 ends the image, and zeros
fill up its last block. Names and numbers of the memories stand in hw/interface.json; what their words hold in `flow.engine.images`.
hw/rtl/engine_network.sv is the reader.
"""

import hashlib
import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from flow.engine.interface import load_interface
from flow.errors import GatefoldError

NETWORK = "network.bin"
BLOCK = 16
"""64-bit words of a block: a burst of the DMA."""
BLOCK_BYTES = 8 * BLOCK
KERNEL_BITS = 36
GROUP = 8
"""Pairs of kernels whose upper bytes share a word."""
LOAD_OVERHEAD = 9
"""Cycles of a load beside its words and the memory's latency: the header beat, the check sum, registers and FIFOs on the way."""


def network_image(memories: Mapping[str, Sequence[int]], engine_hash: str, widths: Mapping[str, int], modes: int) -> bytes:
    """The image that writes `memories`, from address 0 on; of the program it leaves out words of zero.

    Args:
        memories: name of a memory -> its words.
        engine_hash: SHA-256 of the engine, in hex.
        widths: name of a memory -> bits of its words (`flow.engine.images.widths`).
        modes: of the network.
    """
    network = load_interface().network
    words: list[int] = []
    packed = len(memories.get("weights_1", ()))
    for name, contents in memories.items():
        parts = [(0, len(contents))]
        if packed and name == "weights":  # kernels behind those of the quarters move otherwise, see `board.linking`
            parts = [(0, packed + packed % 2), (packed + packed % 2, len(contents))]
        elif name == "program":  # nothing comes to the words behind a mode's last layer
            parts = _without_zeros(contents)
        for first, end in parts:
            part = contents[first:end]
            words.append(network.memories.index(name) | first << 8 | len(part) << 32)
            words += _pairs(part) if widths[name] == KERNEL_BITS else _split(part, widths[name])
    words.append(network.memories.index("end"))
    words += [0] * (-len(words) % BLOCK)
    body = np.array(words, np.uint64).astype("<u8").tobytes()
    blocks = 1 + len(words) // BLOCK
    header = [network.magic, network.format | blocks << 32, int(engine_hash[:8], 16) | zlib.crc32(body) << 32, modes]
    header += [0] * (BLOCK - len(header))
    return np.array(header, np.uint64).astype("<u8").tobytes() + body


def memories_digest(memories: Mapping[str, Sequence[int]]) -> str:
    """SHA-256 (hex) of what a network writes into the memories: name -> words."""
    digest = hashlib.sha256()
    for name, words in memories.items():
        digest.update(f"{name} {len(words)}\n".encode())
        digest.update(b"".join(int(word).to_bytes(32, "little") for word in words))
    return digest.hexdigest()


def read_image(image: bytes, widths: Mapping[str, int]) -> dict[str, list[int]]:
    """Name of a memory -> words that an image writes into it; the inverse of `network_image`.

    Raises:
        GatefoldError: it is no whole network image.
    """
    network = load_interface().network
    words = [int(word) for word in np.frombuffer(image[: len(image) // 8 * 8], "<u8")]
    body = image[8 * BLOCK :]
    if len(image) % (8 * BLOCK) or len(words) <= BLOCK or words[0] != network.magic:
        raise GatefoldError("this is no network image; build the network again.")
    if words[1] != network.format | len(words) // BLOCK << 32 or words[2] >> 32 != zlib.crc32(body):
        raise GatefoldError("the network image is damaged or of another version; build the network again.")
    memories, at = {}, BLOCK
    while (number := words[at] & 0xFF) != network.memories.index("end"):
        name = network.memories[number] if number < len(network.memories) else ""
        first, count = words[at] >> 8 & 0xFFFFFF, words[at] >> 32
        found = memories.setdefault(name, [])
        found += [0] * (first - len(found)) if name == "program" else []
        if not name or first != len(found):
            raise GatefoldError("the network image is damaged or of another version; build the network again.")
        width, at, count = widths[name], at + 1, first + count
        if width == KERNEL_BITS:
            while len(found) < count:
                pairs = min(GROUP, -(-(count - len(found)) // 2))
                for place in range(pairs):
                    pair = words[at + 1 + place] | (words[at] >> 8 * place & 0xFF) << 64
                    found += [pair & (1 << KERNEL_BITS) - 1, pair >> KERNEL_BITS]
                at += 1 + pairs
        else:
            parts = -(-width // 64)
            for place in range(count - first):
                found.append(sum(words[at + parts * place + part] << 64 * part for part in range(parts)))
            at += parts * (count - first)
        del found[count:]
    return memories


def load_cycles(image: bytes, latency: int) -> int:
    """Clock cycles from the start of a load to its end: a word a cycle, from a memory that keeps up.

    Args:
        latency: cycles from a read address to its first beat, at most what the DMA's bursts under way cover (about 40).
    """
    return len(image) // 8 + latency + LOAD_OVERHEAD


def _without_zeros(contents):
    """(first, end) of the runs of words that are not zero."""
    edges = [place for place, (one, other) in enumerate(pairwise([0, *contents, 0])) if bool(one) != bool(other)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _pairs(kernels):
    words = []
    kernels = [*map(int, kernels), *[0] * (len(kernels) % 2)]
    pairs = [low | high << KERNEL_BITS for low, high in zip(kernels[::2], kernels[1::2], strict=True)]
    for first in range(0, len(pairs), GROUP):
        eight = pairs[first : first + GROUP]
        words.append(sum((pair >> 64) << 8 * place for place, pair in enumerate(eight)))
        words += [pair & (1 << 64) - 1 for pair in eight]
    return words


def _split(words, width):
    mask = (1 << 64) - 1
    return [int(word) >> low & mask for word in words for low in range(0, width, 64)]
