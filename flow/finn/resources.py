"""Resource estimates of the tile engine on 7-series parts, from its parameters alone.

Figures per unit are those of the engine's planning (yosys `synth_xilinx`); `gatefold report` gives the
synthesised numbers.
"""

LUTS_PER_LANE_PAIR = 240
LUTS_PER_DSP_LANE_QUAD = 221
DSPS_PER_LANE_QUAD = 9
LUTS_PER_REQUANTISER = 40
LUTS_CONTROL = 6000
BANKS, WORD_BITS = 16, 128


def weight_blocks(words):
    """18-kbit blocks for 36-bit kernel words: four columns of 2048 × 9 bits, true dual port."""
    return 4 * -(-words // 2048)


def requant_blocks(entries):
    """18-kbit blocks for 54-bit requantisation entries, 512 × 36 bits each."""
    return 2 * -(-entries // 512)


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
    lanes, dsp_lanes = config.p * config.pe, 2 * config.mult_dsp * config.pe
    lut_ram = sum(_lut_ram(depth) for depth in (config.x_depth, config.m_depth))
    return {
        "LUT": (lanes - dsp_lanes) // 2 * LUTS_PER_LANE_PAIR
        + -(-dsp_lanes // 4) * LUTS_PER_DSP_LANE_QUAD
        + config.r * LUTS_PER_REQUANTISER
        + lut_ram
        + LUTS_CONTROL,
        "DSP": -(-dsp_lanes // 4) * DSPS_PER_LANE_QUAD + config.r + config.v,
        "BRAM_18K": weight_blocks(config.weight_depth)
        + requant_blocks(config.requant_depth)
        + fc_blocks(config.fc_depth, config.v)
        + fc_blocks(config.modes * config.layers, 16),
    }


def _lut_ram(depth):
    """LUTs of one feature memory: RAM64M cells hold 3 bits × 64 words in four LUTs."""
    return BANKS * -(-WORD_BITS // 3) * 4 * -(-depth // 64)
