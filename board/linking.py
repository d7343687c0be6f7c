"""Several networks in an accelerator at once: one network image of several, `network.bin` of each.

An image writes each memory from address 0 on. Of the second network and those behind it every section goes behind what is there, and what
points into a memory (descriptors, entries of the table of products) by as much. Modes count on. Formats and fields stand in
interface.json; see docs/architecture.md, section "The network".
"""

import zlib
from dataclasses import dataclass
from typing import Dict, List, Sequence, Tuple

import numpy as np

from board.deploy import Deploy
from board.description import BURST_BYTES, DESCRIPTOR_BITS, Damaged, need
from board.errors import BoardError

WORDS = BURST_BYTES // 8  # 64-bit words of a block
PACKED = (
    "weights_1",
    "weights_2",
    "weights_3",
)  # of the quarters of the lanes, which have the first addresses of "weights" as well
CONVOLUTION, EXCITE = 0, 3  # kinds of descriptors
DESCRIPTOR_WORDS = DESCRIPTOR_BITS // 64
PAIRED = ("weights", "products")  # memories in which a network begins at an even word
PRODUCT_FIELDS = {"fc_weights": 36, "fc_bias": 21}  # memory -> lowest bit of its address in an entry of the table of products
DEPTHS = {
    "weights": ("WEIGHT_DEPTH", "kernels"),
    "requant": ("REQUANT_DEPTH", "requantisation entries"),
    "fc_weights": ("FC_DEPTH", "words of vector weights"),
    "fc_bias": ("BIASES", "biases of the vector unit"),
    "products": ("PRODUCTS", "products of gates"),
}  # memory -> parameter with its words, and what they are
LOW = (1 << 32) - 1


@dataclass
class _Section:
    """Words of a memory from an address on: `count` of its words, in 64-bit words."""

    memory: str
    first: int
    count: int
    words: np.ndarray


def together(networks: Sequence[Deploy]) -> Tuple[np.ndarray, List[int]]:
    """(network image of these networks, first mode of each).

    Raises:
        BoardError: they are not of one engine, one is not what its modes.json says, or `link` refuses them.
    """
    first = networks[0]
    images = [network.network() for network in networks]
    if len(images) == 1:
        return images[0], [0]
    for other in networks[1:]:
        if other.engine_hash != first.engine_hash:
            raise BoardError(
                f"{other.model} and {first.model} are of different engines ({other.engine_hash:08x} and {first.engine_hash:08x}); make one for both "
                "with `gatefold engine --resident` and build them with `gatefold build --engine`."
            )
    for network, image in zip(networks, images):
        modes = int(image.view("<u8")[3])
        if modes != len(network.modes):
            raise BoardError(
                f"{network.folder} mixes two builds: the network has {modes} modes, its files {len(network.modes)}; {network.remedy}."
            )
    return link(images, first.parameters, first.interface, [network.model for network in networks])


def link(
    images: Sequence[np.ndarray], parameters: Dict[str, int], interface: dict, names: Sequence[str] = ()
) -> Tuple[np.ndarray, List[int]]:
    """(image of all of them, first mode of each).

    Args:
        images: uint8 [bytes] each, of one engine.
        parameters: of the engine, by name.
        interface: the parsed interface.json.
        names: of the networks, for what is said of one.

    Raises:
        BoardError: there is no room for all of them, one is damaged, or one has tables of layers, which lie where the engine looks for them.
    """
    memories = interface["network"]["memories"]
    read = []
    for number, image in enumerate(images):
        try:
            # What is linked gets a check sum of its own, so that the accelerator would not see damage from before.
            _check_whole(image, images[0], parameters)
            read.append(_sections(image, memories, parameters))
        except Damaged as problem:
            name = names[number] if names else f"number {number}"
            raise BoardError(f"the network image of {name} is damaged ({problem}); build that network again.") from None
    if any(section.memory == "tables" for sections in read for section in sections):
        raise BoardError(
            "a network with tables of its layers, of which an engine holds one network's, cannot stay beside another; load it alone."
        )
    modes = [int(image.view("<u8")[3]) for image in images]
    packed = [max([_even(each.first + each.count) for each in sections if each.memory in PACKED], default=0) for sections in read]
    # Words of each memory that are taken. Kernels of quarters, in the first words of four memories, come before all others.
    taken, packs, firsts = {**dict.fromkeys(memories, 0), "weights": sum(packed)}, 0, []
    for sections, own, count in zip(read, packed, modes):
        by = {**taken, "weights": taken["weights"] - own}
        firsts.append(by["program"] // parameters["LAYERS"])
        for section in sections:
            if section.memory == "program":
                section.words = _descriptors(section.words, by, own, packs, interface["descriptor"])
            elif section.memory == "products":
                section.words = _products(section.words, by)
            if section.memory in PACKED or section.memory == "weights" and section.first < own:
                section.first += packs
            else:
                section.first += by[section.memory]
                end = section.first + section.count
                taken[section.memory] = max(taken[section.memory], _even(end) if section.memory in PAIRED else end)
        taken["program"] = by["program"] + count * parameters["LAYERS"]
        packs += own
    _check_room({**taken, "packs": packs, "modes": sum(modes)}, parameters)
    found = [section for sections in read for section in sections]
    body = np.concatenate([np.append(_header(section, memories), section.words) for section in found] + [np.zeros(1, "<u8")])
    body = np.pad(body, (0, -len(body) % WORDS)).astype("<u8")
    header = images[0].view("<u8")[:WORDS].copy()
    header[1] = int(header[1]) & LOW | (1 + len(body) // WORDS) << 32
    header[2] = int(header[2]) & LOW | zlib.crc32(body.tobytes()) << 32
    header[3] = sum(modes)
    return np.concatenate([header, body]).view(np.uint8), firsts


def _even(count):
    return count + count % 2


def _check_whole(image, first, parameters):
    """Raise Damaged where the header of an image does not fit its words, or the image that comes first."""
    words, other = image.view("<u8"), first.view("<u8")
    need(int(words[1]) & LOW == int(other[1]) & LOW, "its format is another")
    need(int(words[2]) >> 32 == zlib.crc32(words[WORDS:].tobytes()), "its check sum differs")
    need(0 < int(words[3]) <= parameters["MODES"], f"it has {int(words[3])} modes")


def _sections(image, memories, parameters):
    """The sections of an image: kernels go in pairs, eight of them behind a word with their upper bits, other words in as many 64-bit words as
    they need.

    Raises:
        Damaged: a section leaves its memory or the image.
    """
    words, at, found = image.view("<u8"), WORDS, []
    sizes = {"program": DESCRIPTOR_WORDS, "fc_weights": -(-parameters["V"] // 8)}
    depths = {
        **dict.fromkeys(PACKED, parameters["PACK"]),
        **{memory: parameters[parameter] for memory, (parameter, _) in DEPTHS.items()},
        "program": int(words[3]) * parameters["LAYERS"],
    }
    while True:
        need(at < len(words), "it has no end")
        header = int(words[at])
        number, first, count = header & 0xFF, header >> 8 & 0xFFFFFF, header >> 32
        if not number:
            return found
        need(number < len(memories), f"there is no memory {number}")
        memory = memories[number]
        need(first + count <= depths.get(memory, first + count), f"word {first + count - 1:,} of {memory} is none")
        pairs = -(-count // 2)
        size = pairs + -(-pairs // 8) if memory.startswith("weights") else count * sizes.get(memory, 1)
        need(at + size < len(words), f"its words of {memory} are cut short")
        found.append(_Section(memory, first, count, words[at + 1 : at + 1 + size].copy()))
        at += 1 + size


def _header(section, memories):
    return np.array(memories.index(section.memory) | section.first << 8 | section.count << 32, "<u8")


def _descriptors(words, by, own, packs, fields):
    """Those of a network whose memories go so far, its first `own` kernels by `packs`."""
    low, places = 0, {}
    for name, width in fields:
        places[name] = low, (1 << width) - 1
        low += width
    made = []
    for parts in words.reshape(-1, DESCRIPTOR_WORDS).tolist():
        word = sum(part << 64 * place for place, part in enumerate(parts))
        field = {name: word >> low & mask for name, (low, mask) in places.items()} if word else {}
        if field and field["kind"] == CONVOLUTION:
            moves = {"weight_base": packs if field["weight_base"] < own else by["weights"]}
            if not field["excite"]:  # whose factors begin at 0
                moves["requant_base"] = by["requant"]
        elif field:
            moves = {"weight_base": by["fc_weights"], "requant_base": by["fc_bias"]}
            if field["recurrent"] or field["kind"] == EXCITE:
                moves["dst_base"] = by["products"]
            if field["recurrent"]:
                moves["src_base"] = by["products"]
        else:
            moves = {}
        for name, move in moves.items():
            low, mask = places[name]
            word += (min(field[name] + move, mask) - field[name]) << low  # what exceeds the field finds no room in the memory
        made += [word >> 64 * place & (1 << 64) - 1 for place in range(DESCRIPTOR_WORDS)]
    return np.array(made, "<u8")


def _products(words, by):
    """The entries of a table of products whose weights and biases go so far."""
    return words + np.array(sum(by[memory] << low for memory, low in PRODUCT_FIELDS.items()), "<u8")


def _check_room(taken, parameters):
    """Raise BoardError where a memory of the engine is too small."""
    for memory, (parameter, what) in {
        "packs": ("PACK", "kernels of each quarter of the lanes"),
        **DEPTHS,
        "modes": ("MODES", "modes"),
    }.items():
        if taken[memory] > parameters[parameter]:
            raise BoardError(
                f"the networks need {taken[memory]:,} {what} together and the engine has {parameters[parameter]:,}; load fewer of them, or make "
                "an engine for all with `gatefold engine --resident`."
            )
