"""Resource estimates of the tile engine on 7-series parts, from its parameters alone.

The figures per unit are those that yosys counts in the engine of resnet38 (`gatefold report`), divided by the
units' number; `gatefold report` synthesises the engine that is really built.
"""

LUTS_PER_LANE = 203
LUTS_PER_DSP_LANE_QUAD = 475
DSPS_PER_LANE_QUAD = 9
LUTS_PER_PIXEL = 81
"""Alignment of the rows that a pixel's window needs."""
LUTS_PER_LANE_DRAIN = 9
LUTS_PER_REQUANTISER = 68
"""With write-back and pooling of its pixel; the product is made in a DSP block."""
LUTS_CONTROL = 1950
BANKS, WORD_BITS = 16, 128


def weight_blocks(words):
    """18-kbit blocks for 36-bit kernel words: four columns of 4096 × 9 bits in 36-kbit blocks, true dual port."""
    return 2 * 4 * -(-words // 4096)


def requant_blocks(entries):
    """18-kbit blocks for 54-bit requantisation entries, 1024 × 54 bits in three."""
    return 3 * -(-entries // 1024)


def fc_blocks(words, lanes):
    """18-kbit blocks for words of `lanes` 8-bit weights, 512 × 36 bits each."""
    return -(-8 * lanes // 36) * -(-words // 512)


def engine_resources(config):
    """LUT, DSP and 18-kbit BRAM of a whole engine.

    Args:
        config: EngineConfig with depths filled in.

    Returns:
        {"LUT": int, "DSP": int, "BRAM_18K": int}
    """
    lanes = config.p * config.pe
    quads = config.mult_dsp * config.pe // 2
    return {
        "LUT": (lanes - 4 * quads) * LUTS_PER_LANE
        + quads * LUTS_PER_DSP_LANE_QUAD
        + config.p * LUTS_PER_PIXEL
        + lanes * LUTS_PER_LANE_DRAIN
        + config.r * LUTS_PER_REQUANTISER
        + sum(_lut_ram(depth) for depth in (config.x_depth, config.m_depth))
        + LUTS_CONTROL,
        "DSP": quads * DSPS_PER_LANE_QUAD + config.r + config.v,
        "BRAM_18K": weight_blocks(config.weight_depth)
        + requant_blocks(config.requant_depth)
        + fc_blocks(config.fc_depth, config.v)
        + fc_blocks(config.modes * config.layers, 16),
    }


def _lut_ram(depth):
    """LUTs of one feature memory: RAM64M cells hold 3 bits × 64 words in four LUTs."""
    return BANKS * -(-WORD_BITS // 3) * 4 * -(-depth // 64)
