"""Resource estimates of the tile engine on 7-series parts, from its parameters alone.

The figures per unit are those that yosys counts in the engine of resnet38 (`gatefold report`), divided by the
units' number; `gatefold report` synthesises the engine that is really built.
"""

from flow.engine.config import EngineConfig
from flow.engine.memories import block_memories, ram_luts, rams

LUTS_PER_LANE = 203
LUTS_PER_DSP_LANE_QUAD = 475
DSPS_PER_LANE_QUAD = 9
LUTS_PER_PIXEL = 81
"""Alignment of the rows that a pixel's window needs."""
LUTS_PER_LANE_DRAIN = 9
LUTS_PER_REQUANTISER = 68
"""With write-back and pooling of its pixel; the product is made in a DSP block."""
LUTS_PER_SOFT_PRODUCT = 567
"""Of a requantiser whose product is made in LUTs."""
LUTS_CONTROL = 1950
BANKS, WORD_BITS = 16, 128


def engine_resources(config: EngineConfig) -> dict[str, int]:
    """`LUT`, `DSP` and `BRAM_18K`, blocks of 18 kbit, of a whole engine."""
    lanes = config.p * config.pe
    quads = config.mult_dsp * config.pe // 2
    return {
        "LUT": (lanes - 4 * quads) * LUTS_PER_LANE
        + quads * LUTS_PER_DSP_LANE_QUAD
        + config.p * LUTS_PER_PIXEL
        + lanes * LUTS_PER_LANE_DRAIN
        + config.r * (LUTS_PER_REQUANTISER + (0 if config.requant_dsp else LUTS_PER_SOFT_PRODUCT))
        + sum(_lut_ram(depth) for depth in (config.x_depth, config.m_depth))
        + sum(ram_luts(*ram) for ram in rams(config))
        + LUTS_CONTROL,
        "DSP": quads * DSPS_PER_LANE_QUAD + config.requant_dsp * config.r + config.v,
        "BRAM_18K": round(2 * block_memories(config)),
    }


def _lut_ram(depth):
    """LUTs of one feature memory: RAM64M cells hold 3 bits × 64 words in four LUTs."""
    return BANKS * -(-WORD_BITS // 3) * 4 * -(-depth // 64)
