"""What group modes, gates, the LSTM of layer gates and early exits cost: LUT and FF of the tile engine against the same engine without them.

    .venv/bin/python bench/masks.py [--board pynq-z2] [--no-dsp] [--json]

All are synthesised by yosys in this run, with the sizes of an untrained resnet8. The engine without modes has a program for the full
network only and no group logic. The engine with gates has lists of active channels, decisions, the memories of DDI's channel gates and
quarters of the lanes that work for themselves; the one that it is compared with has the common memories too, and no gates. Likewise the engine
with an LSTM beside channel gates, and that with two early exits. Everything else is the same.
"""

import argparse
import json

from rich.console import Console

from flow.engine.boards import find_board
from flow.engine.plan import plan
from flow.engine.select import choose
from flow.graph.random_graph import random_gated, random_resnet, with_exits
from flow.synth.resources import estimate

COSTS = {
    "cost": ("modes", "one_mode"),
    "gates_cost": ("gates", "no_gates"),
    "lstm_cost": ("lstm", "no_lstm"),
    "exits_cost": ("exits", "no_exits"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="pynq-z2", help="part whose engine is compared (default pynq-z2)")
    parser.add_argument("--no-dsp", action="store_true", help="the engine without DSP blocks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    folding = choose(find_board(args.board), dsp=not args.no_dsp)
    modes = plan(random_resnet(), folding).config.parameters()
    gates = plan(random_gated(kinds=("channel",), blocks=(1, 1, 2)), folding).config.parameters()
    lstm = plan(random_gated(kinds=("ddi",)), folding).config.parameters()
    exits = plan(with_exits(random_resnet(), ("stage1.block1", "stage2.block1")), folding).config.parameters()
    engines = {
        "modes": modes,
        "one_mode": {**modes, "MODES": 1},
        "gates": gates,
        "no_gates": {**gates, "GATES": 0, "DECISIONS": 0, "PACK": 0},
        "lstm": lstm,
        "no_lstm": {**lstm, "HIDDEN": 0},
        "exits": exits,
        "no_exits": {**exits, "EXITS": 0},
    }
    result = {}
    with Console(stderr=True).status(f"yosys synthesises {len(engines)} engines, some minutes each ..."):
        for name, parameters in engines.items():
            total = estimate(parameters, top="tile_engine").total
            result[name] = {"lut": total.lut, "ff": total.ff}
    for name, (more, less) in COSTS.items():
        result[name] = {kind: round(result[more][kind] / result[less][kind] - 1, 4) for kind in ("lut", "ff")}
    if args.json:
        print(json.dumps(result))
        return
    for cost, (more, less) in COSTS.items():
        for name, label in ((more, f"with {more}"), (less, f"without {more}")):
            print(f"{label:14} {result[name]['lut']:>7,} LUT  {result[name]['ff']:>7,} FF")
        print(f"{'cost':14} {result[cost]['lut']:>7.2%} LUT  {result[cost]['ff']:>7.2%} FF")


if __name__ == "__main__":
    main()
