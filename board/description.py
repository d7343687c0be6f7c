"""What modes.json, engine.json and interface.json say, and that they say it whole: they come from a build, and none is believed."""

import hashlib
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional, Tuple

import numpy as np

FORMAT = 8
PIXELS = 256  # values of a pixel
BURST_BYTES = 128  # what the accelerator reads at a time
SIZES = (8, 16, 32)  # of the planes that the accelerator reads
LARGEST_FILE = 1 << 24  # bytes; those of this project have some thousand
CLOCK_MHZ = (1, 1000)  # beyond what a PLL of the Zynq and its dividers can give
REGISTERS = (
    "id",
    "version",
    "engine_hash",
    "config",
    "control",
    "status",
    "irq",
    "source",
    "destination",
    "frames",
    "mode_list",
    "gate_threshold",
    "layer_threshold",
    "forced",
    "forced_word",
    "exits",
    "exit_limit",
    "exit_margin",
    "frames_done",
    "cycles",
)
FIELDS = {
    "config": ("modes", "classes", "record_words"),
    "control": ("start", "reset", "load"),
    "status": ("busy", "done", "error", "loaded", "error_code"),
    "irq": ("pending",),
    "forced": ("enable", "word"),
    "exits": ("enable", "mode"),
}
PARAMETERS = {
    "LAYERS": (1, 1 << 10),
    "V": (1, 64),
    "PACK": (0, 1 << 17),
    "WEIGHT_DEPTH": (1, 1 << 17),
    "REQUANT_DEPTH": (1, 1 << 15),
    "FC_DEPTH": (1, 1 << 17),
    "BIASES": (1, 1 << 15),
    "PRODUCTS": (0, 1 << 8),
    "MODES": (1, 255),
}  # of an engine: least and most, which is what the fields of a descriptor address
MEMORIES = (
    "end",
    "weights",
    "weights_1",
    "weights_2",
    "weights_3",
    "requant",
    "fc_weights",
    "fc_bias",
    "program",
    "products",
    "tables",
)
DESCRIPTOR_BITS = 3 * 64
DESCRIPTOR = ("kind", "src_base", "dst_base", "weight_base", "requant_base", "recurrent", "excite")
RECORD = ("frame", "mode", "exit", "class", "cycles", "tiles", "status")


class Damaged(Exception):
    """What is wrong with a file, in words."""


@dataclass(frozen=True)
class Mode:
    """One entry of modes.json.

    Attributes:
        index: what the hardware calls it, 0…254.
        name: "full", "1/2", ...
        accuracy: on the data set's test images, 0…1, or None.
        gates: whether gates run in it.
        groups: layer -> group count.
        cycles: of a frame, at most.
        exits: (cycles, onward) of each early exit, at most: of a frame that stops there, and from its branch, which is not computed, to the
            nearest later end, at an exit or of the network.
    """

    index: int
    name: str
    accuracy: Optional[float]
    gates: bool
    groups: Dict[str, int]
    cycles: int
    exits: Tuple[Tuple[int, int], ...]


@dataclass(frozen=True)
class Picture:
    """What pictures the network takes, and how one becomes the planes that the accelerator reads.

    Attributes:
        height, width, colours: of a picture; colours: 1 for grey, 3 for RGB, 2 for what only an array can hold.
        size: height = width of a plane; zero outside the picture.
        planes: how many there are.
        table: int16 [256, colours], the integer of each pixel, or None where that is the pixel itself. Where some are negative, there are
            two planes per colour: first the positive parts of all colours, then the negative ones as positive integers.
    """

    height: int
    width: int
    colours: int
    size: int
    planes: int
    table: Optional[np.ndarray]

    @property
    def shape(self) -> Tuple[int, int, int]:
        """(height, width, colours)."""
        return self.height, self.width, self.colours

    @property
    def frame_bytes(self) -> int:
        """Bytes of a frame in memory: its planes, and zeros up to a whole burst."""
        return -(-self.planes * self.size**2 // BURST_BYTES) * BURST_BYTES

    def to_frames(self, pixels: np.ndarray, frames: np.ndarray) -> None:
        """Fills `frames`, uint8 [N, frame_bytes], from uint8 [N, height, width, colours]."""
        frames[:] = 0
        # Rows of planes, one after the other: a view, since each frame is contiguous.
        out = np.lib.stride_tricks.as_strided(
            frames,
            (len(frames), self.planes, self.size, self.size),
            (frames.strides[0], self.size**2, self.size, 1),
        )
        for colour in range(self.colours):
            values = pixels[..., colour] if self.table is None else self.table[pixels[..., colour], colour]
            out[:, colour, : self.height, : self.width] = values if self.table is None else np.maximum(values, 0)
            if self.planes > self.colours:
                out[:, self.colours + colour, : self.height, : self.width] = np.maximum(-values, 0)


def read_object(path: Path) -> dict:
    """The JSON object in a file.

    Raises:
        Damaged: there is none.
    """
    size = path.stat().st_size
    need(size <= LARGEST_FILE, f"{path.name} has {size:,} bytes")
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as problem:
        raise Damaged(f"{path.name}: {problem}") from None
    need(isinstance(contents, dict), f"{path.name} holds no JSON object")
    return contents


def check_digest(contents: dict, name: str) -> None:
    """`digest` in the file `name` is the SHA-256 of its other keys as canonical JSON (sorted keys, no spaces); Damaged if not."""
    others = {key: value for key, value in contents.items() if key != "digest"}
    try:
        canonical = json.dumps(others, sort_keys=True, separators=(",", ":"))
    except RecursionError as problem:
        raise Damaged(f"{name}: {problem}") from None
    need(
        contents.get("digest") == hashlib.sha256(canonical.encode()).hexdigest(),
        f"{name} was changed after the build: its digest differs",
    )


def check_description(contents: dict) -> None:
    """The values of modes.json that the board program uses are of their kinds and within their bounds; Damaged if not."""
    for key in ("model", "board", "engine"):
        need(is_text(contents.get(key)), f"modes.json: {key} is {_short(contents.get(key))}")
    need(re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]*", contents["engine"]), f"modes.json: engine is {_short(contents['engine'])}")
    clock = contents.get("clock_mhz")
    need(is_number(clock, *CLOCK_MHZ), f"modes.json: clock_mhz is {_short(clock)}, not {CLOCK_MHZ[0]} to {CLOCK_MHZ[1]}")
    engine_hash = contents.get("engine_hash")
    need(
        isinstance(engine_hash, str) and re.fullmatch("[0-9a-f]{64}", engine_hash),
        f"modes.json: engine_hash is {_short(engine_hash)}",
    )
    parameters = contents.get("parameters")
    need(
        isinstance(parameters, dict) and all(is_whole(parameters.get(name), *bounds) for name, bounds in PARAMETERS.items()),
        "modes.json: parameters says nothing of the engine",
    )
    classes = contents.get("classes")
    need(
        isinstance(classes, list) and 0 < len(classes) < 256 and all(map(is_text, classes)),
        "modes.json: classes is no list of names",
    )
    scale = contents.get("logit_scale")
    need(is_number(scale, 0, 1e9) and scale > 0, f"modes.json: logit_scale is {_short(scale)}")
    need("class_order" in contents, "modes.json: there is no class_order")
    order = contents["class_order"]
    need(
        order is None
        or isinstance(order, list)
        and all(is_whole(number, 0, 255) for number in order)
        and sorted(order) == list(range(len(classes))),
        "modes.json: class_order is no order of the classes",
    )


def check_same_engine(network: dict, engine: dict) -> None:
    """engine.json (`engine`) describes the engine that modes.json (`network`) was built for; Damaged if not."""
    for key in ("engine_hash", "board", "clock_mhz"):
        need(
            engine.get(key) == network[key],
            f"engine.json: {key} is {_short(engine.get(key))}, and the network was built for {_short(network[key])}",
        )


def read_picture(entry: object) -> Picture:
    """Picture, from `image` of modes.json; Damaged if it is none."""
    need(isinstance(entry, dict), "modes.json: image describes no picture")
    size, planes, colours, table = (entry.get(key) for key in ("size", "planes", "colours", "table"))
    need(is_whole(size, 8, SIZES[-1]) and size in SIZES, f"modes.json: the size of an image's plane is {_short(size)}")
    for key in ("height", "width"):
        need(is_whole(entry.get(key), 1, size), f"modes.json: the {key} of an image is {_short(entry.get(key))}")
    need(is_whole(colours, 1, 3), f"modes.json: an image has {_short(colours)} colours")
    whole = table is None or (
        isinstance(table, list)
        and len(table) == PIXELS
        and all(isinstance(row, list) and len(row) == colours and all(is_whole(value, -255, 255) for value in row) for row in table)
    )
    need(whole, "modes.json: the table of an image is none of integers")
    signed = table is not None and any(value < 0 for row in table for value in row)
    need(is_whole(planes, 1, 6) and planes == colours * (2 if signed else 1), f"modes.json: an image has {_short(planes)} planes")
    return Picture(entry["height"], entry["width"], colours, size, planes, None if table is None else np.array(table, np.int16))


def read_modes(entries: object) -> Dict[str, Mode]:
    """name -> Mode, from the list `modes` of modes.json; Damaged if an entry is not one."""
    need(isinstance(entries, list) and 0 < len(entries) < 256, "modes.json: modes is no list of modes")
    modes = {}
    for number, entry in enumerate(entries):
        need(
            isinstance(entry, dict) and is_text(entry.get("name")) and entry["name"] not in modes,
            f"modes.json: mode {number} has no name of its own",
        )
        index, accuracy = entry.get("index"), entry.get("accuracy")
        need(is_whole(index, number, number), f"modes.json: the index of mode {entry['name']} is {_short(index)}, not {number}")
        need(
            accuracy is None or is_number(accuracy, 0, 1),
            f"modes.json: the accuracy of mode {entry['name']} is {_short(accuracy)}",
        )
        gates, groups = entry.get("gates"), entry.get("group_counts")
        need(isinstance(gates, bool), f"modes.json: mode {entry['name']} does not say whether gates run in it")
        need(
            isinstance(groups, dict) and all(is_text(layer) and is_whole(n, 1, 512) for layer, n in groups.items()),
            f"modes.json: the group counts of mode {entry['name']} are none",
        )
        cycles, exits = entry.get("cycles_model"), _exit_cycles(entry.get("exits"), entry["name"])
        need(is_whole(cycles, 1, 2**32 - 1), f"modes.json: a frame of mode {entry['name']} takes {_short(cycles)} cycles")
        modes[entry["name"]] = Mode(number, entry["name"], accuracy, gates, groups, cycles, exits)
    return modes


def _exit_cycles(entries, mode):
    """(cycles, onward) of every early exit of a mode."""
    need(isinstance(entries, list), f"modes.json: mode {mode} does not list its exits")
    for entry in entries:
        whole = isinstance(entry, dict) and all(is_whole(entry.get(key), 1, 2**32 - 1) for key in ("cycles_model", "onward"))
        need(whole, f"modes.json: an exit of mode {mode} is {_short(entry)}")
    return tuple((entry["cycles_model"], entry["onward"]) for entry in entries)


def check_interface(contents: dict) -> None:
    """The values of interface.json that the driver uses are there and of their kinds; Damaged if not."""
    registers, errors, record = (contents.get(key) for key in ("registers", "errors", "record"))
    need(is_whole(contents.get("version"), 0, 2**32 - 1), "interface.json: no version")
    need(_is_hex(contents.get("id"), 2**32), "interface.json: no id")
    need(isinstance(registers, dict), "interface.json: no registers")
    for name in [*REGISTERS, *registers]:
        entry = registers.get(name)
        need(isinstance(entry, dict) and _is_offset(entry.get("offset")), f"interface.json: no register {name:.40}")
        fields = entry.get("fields", [])
        need(isinstance(fields, list) and all(map(_is_field, fields)), f"interface.json: no fields of register {name:.40}")
        known = {field[0] for field in fields}
        need(len(known) == len(fields) and known >= set(FIELDS.get(name, ())), f"interface.json: no fields of register {name:.40}")
    network, descriptor = contents.get("network"), contents.get("descriptor")
    memories = network.get("memories") if isinstance(network, dict) else None
    need(
        isinstance(memories, list)
        and all(map(is_text, memories))
        and memories[:1] == ["end"]
        and sorted(memories) == sorted(MEMORIES),
        "interface.json: no network",
    )
    whole = isinstance(descriptor, list) and all(
        isinstance(field, list) and len(field) == 2 and is_text(field[0]) and is_whole(field[1], 1, 32) for field in descriptor
    )
    need(
        whole and {name for name, _ in descriptor} >= set(DESCRIPTOR) and sum(width for _, width in descriptor) <= DESCRIPTOR_BITS,
        "interface.json: no descriptor",
    )
    need(isinstance(errors, dict) and all(is_whole(code, 0, 255) for code in errors.values()), "interface.json: no errors")
    need(isinstance(record, list) and all(map(is_text, record)) and set(RECORD) <= set(record), "interface.json: no record")


def need(condition: object, what: str) -> None:
    """Damaged, with the words `what`, unless the condition holds."""
    if not condition:
        raise Damaged(what)


def _is_field(entry):
    """Name, lowest bit, width and meaning of a field of a register."""
    if not (isinstance(entry, list) and len(entry) == 4 and is_text(entry[0]) and isinstance(entry[3], str)):
        return False
    return is_whole(entry[1], 0, 31) and is_whole(entry[2], 1, 32 - entry[1])


def is_text(value: object) -> bool:
    """A name: 1 to 99 printable characters."""
    return isinstance(value, str) and 0 < len(value) < 100 and value.isprintable()


def is_whole(value: object, low: int, high: int) -> bool:
    """An integer within bounds, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_number(value: object, low: float, high: float) -> bool:
    """A finite number within bounds, and no truth value."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high and math.isfinite(value)


def _is_hex(value, end):
    return isinstance(value, str) and re.fullmatch("0x[0-9a-fA-F]{1,8}", value) is not None and int(value, 16) < end


def _is_offset(value):
    return _is_hex(value, 4096) and int(value, 16) % 4 == 0


def _short(value):
    return f"{value!r:.40}"
