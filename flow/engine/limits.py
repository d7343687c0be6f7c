"""What an engine can be at all: bounds of its parameters, of which addresses and counts are those of the descriptor's fields."""

from flow.engine.config import EngineConfig
from flow.engine.interface import load_interface
from flow.engine.plan import CLASSES, EXITS, MASK_CHANNELS, MODES, PLANES, POOL_BITS, image_words
from flow.engine.products import HIDDEN
from flow.engine.requant import ACCUMULATOR_BITS, WIDE_ACCUMULATOR_BITS
from flow.engine.shared import SIZES
from flow.errors import GatefoldError
from flow.graph.layers import MAP_SIZES

POWERS = ("x_depth", "m_depth", "layers", "gates", "factors")
"""Parameters that are powers of two, or 0 where they may be."""
LAYERS = 1024
DIGITS = 8
"""More than weights of 8 bits have in either half."""


def flaw(engine: EngineConfig) -> str:
    """Why there is no such engine, in words; empty where there is."""
    try:
        folding = engine.folding
    except GatefoldError as error:
        return str(error).rstrip(".")
    for name, allowed in _allowed(engine).items():
        value = getattr(engine, name)
        if value not in allowed:
            what = f" ({SIZES[name]})" if name in SIZES else ""
            return f"engine parameter {name.upper()} = {value}{what} is not possible; it is {_range(allowed)}"
    for name in POWERS:
        if (value := getattr(engine, name)) & (value - 1):
            return f"engine parameter {name.upper()} = {value} is not possible; it is a power of two"
    if engine.image_base + 2 * image_words(engine.planes, engine.image_size) > engine.m_depth:
        return f"engine parameter M_DEPTH = {engine.m_depth} leaves no room for two images behind word {engine.image_base}"
    if engine.pack and not (engine.gates and engine.mask and folding.quarters):
        return f"engine parameter PACK = {engine.pack} needs gates, masks, 64 pixels, two channels and 64 requantisers"
    return ""


def _allowed(engine):
    """Parameter -> values that it may have, of those that are not the Folding's alone."""
    room = {name: 1 << width for name, width in load_interface().descriptor}
    return {
        "r": (8, 16, 32, 64)[: 3 if engine.p == 32 else 4],
        "mult_dsp": range(engine.p // 2 + 1) if engine.pe == 2 else (0,),
        "x_depth": range(1, room["dst_base"] + 1),
        "m_depth": range(1, room["dst_base"] + 1),
        "image_base": range(room["dst_base"]),
        "weight_depth": range(1, room["weight_base"] + 1),
        "pack": range(engine.weight_depth + 1),
        "requant_depth": range(1, room["requant_base"] + 1),
        "fc_depth": range(1, room["weight_base"] + 1),
        "biases": range(1, room["requant_base"] + 1),
        "products": range(2, room["dst_base"] + 1),
        "pool_depth": range(2, room["pool_base"] + 1),
        "modes": range(1, MODES + 1),
        "layers": range(1, LAYERS + 1),
        "classes": CLASSES,
        "planes": PLANES,
        "image_size": MAP_SIZES,
        "high_digits": range(DIGITS),
        "low_digits": range(1, DIGITS),
        "acc_width": range(ACCUMULATOR_BITS, WIDE_ACCUMULATOR_BITS + 1),
        "pool_width": tuple(POOL_BITS.values()),
        "tables": (0, 1) if not (engine.gates or engine.exits) else (0,),
        "pool2": range(4) if engine.tables else range(2),
        "mask": (0, 1),
        "gates": (0, *range(16, MASK_CHANNELS + 1)),
        "decisions": range(room["requant_base"]),
        "exits": range(EXITS + 1),
        "hidden": (0, *HIDDEN),
        "factors": range(MASK_CHANNELS + 1),
        "inner": range(MASK_CHANNELS + 1),
    }


def _range(values):
    return f"{values[0]} to {values[-1]}" if len(values) > 4 else " or ".join(map(str, values))
