"""The engine's parameters, chosen per model and part."""

from flow.engine.boards import Board
from flow.engine.compile import keep_modes
from flow.engine.config import Folding
from flow.engine.memories import block_memories, kernel_blocks
from flow.engine.plan import Plan, plan
from flow.errors import GatefoldError
from flow.graph.layers import LayerGraph

LANE_DSPS = 9
"""DSP blocks that make the products of one pixel pair and two output channels."""
DSP_SHARE = 0.94
"""Share of the part's DSP blocks that is used: the rest is the placer's room."""


def choose(
    board: Board, p: int | None = None, pe: int | None = None, r: int | None = None, v: int = 16, dsp: bool = True
) -> Folding:
    """Folding for a board; what is given stays as given.

    With DSP blocks: 64 pixels × 2 channels and 64 requantisers, the remaining DSP blocks in the lanes. Without any,
    a requantiser takes about 340 LUTs, so there are half as many of them and one channel at a time.
    """
    p = 64 if p is None else p
    pe = (2 if dsp else 1) if pe is None else pe
    r = min(64 if dsp else 32, p) if r is None else r
    spare = int(board.dsp * DSP_SHARE) - r - v
    pairs = max(0, min(p // 2, spare // LANE_DSPS)) if dsp and pe == 2 else 0
    folding = Folding(p=p, pe=pe, r=r, v=v, mult_dsp=pairs, requant_dsp=int(dsp))
    if r > p:
        raise GatefoldError(f"engine parameter R = {r} exceeds P = {p}; give at most as many requantisers as pixels.")
    return folding


def smaller_selections(graph: LayerGraph, layout: Plan, board: Board) -> list[tuple[list[str], float]]:
    """Selections of modes whose memories fit the part where those of the graph's Plan need not.

    Returns:
        [(mode names, BRAM36)], largest first; only such as take less than the whole.
    """
    found = []
    for names in (["full", "1/4"], ["full"]):
        if len(names) < len(graph.modes) and all(name in graph.modes for name in names):
            try:
                need = block_memories(plan(keep_modes(graph, names), layout.folding).config)
            except GatefoldError:  # one mode alone, where gates have groups
                continue
            if need < block_memories(layout.config) and need <= board.bram36:
                found.append((names, need))
    return found


def check_fit(graph: LayerGraph, layout: Plan, board: Board) -> None:
    """Raise GatefoldError where the memories of a graph's Plan exceed the board's part."""
    need = block_memories(layout.config)
    if need <= board.bram36:
        return
    weights = kernel_blocks(layout.config) / 2
    smaller = smaller_selections(graph, layout, board)
    remedy = f"build it for fewer modes, for example --modes {','.join(smaller[0][0])}" if smaller else "choose a smaller model"
    raise GatefoldError(
        f"{graph.name} does not fit {board.part}: its memories need {need:g} BRAM36 ({weights:g} of them for weights) "
        f"and the part has {board.bram36}; {remedy}."
    )
