"""The engine's parameters, chosen per model and part."""

from flow.engine.config import EngineConfig
from flow.errors import GatefoldError

LANE_DSPS = 9
"""DSP blocks that make the products of one pixel pair and two output channels."""
DSP_SHARE = 0.94
"""Share of the part's DSP blocks that is used: the rest is the placer's room."""


def choose(board, p=None, pe=None, r=None, v=16, dsp=True):
    """EngineConfig for a board; what is given stays as given.

    With DSP blocks: 64 pixels × 2 channels and 64 requantisers, the remaining DSP blocks in the lanes. Without any,
    a requantiser takes about 760 logic cells, so there are fewer of them and one channel at a time.
    """
    p = p or 64
    pe = pe or (2 if dsp else 1)
    r = min(r or (64 if dsp else 8), p)
    spare = int(board.dsp * DSP_SHARE) - r - v
    pairs = max(0, min(p // 2, spare // LANE_DSPS)) if dsp and pe == 2 else 0
    return EngineConfig(p=p, pe=pe, r=r, v=v, mult_dsp=pairs)


def block_memories(config):
    """BRAM36 that the memories take: weights 4096 × 9 per column, requantisation 1024 × 54, program 512 × 128."""
    weights = 4 * -(-config.weight_depth // 4096)
    requantisation = 1.5 * -(-config.requant_depth // 1024)
    program = 2 * -(-config.modes * config.layers // 512)
    return weights + requantisation + program


def check_fit(graph, config, board):
    """Raise GatefoldError where the memories of `graph` exceed the board's part."""
    need = block_memories(config)
    if need <= board.bram36:
        return
    weights = 4 * -(-config.weight_depth // 4096)
    remedy = (
        "build it for fewer modes, for example --modes full,1/4"
        if len(graph.modes) > 1 and weights < board.bram36
        else "choose a smaller model"
    )
    raise GatefoldError(
        f"{graph.name} does not fit {board.part}: its memories need {need:g} BRAM36 ({weights} of them for weights) and the "
        f"part has {board.bram36}; {remedy}."
    )
