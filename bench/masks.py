"""What group modes and gates cost: LUT and FF of the tile engine against the same engine without them.

    .venv/bin/python bench/masks.py [--board pynq-z2] [--no-dsp] [--json]

All are synthesised by yosys in this run, with the sizes of an untrained resnet8. The engine without modes has a program for the full
network only and no group logic. The engine with gates has lists of active channels, decisions and the memories of DDI's channel gates; the
one that it is compared with has these memories too, and no gates. Everything else is the same.
"""

import argparse
import json

from rich.console import Console

from flow.engine.boards import find_board
from flow.engine.plan import plan
from flow.engine.select import choose
from flow.graph.random_graph import random_gated, random_resnet
from flow.synth.resources import estimate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="pynq-z2", help="part whose engine is compared (default pynq-z2)")
    parser.add_argument("--no-dsp", action="store_true", help="the engine without DSP blocks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    folding = choose(find_board(args.board), dsp=not args.no_dsp)
    modes = plan(random_resnet(), folding).config.parameters()
    gates = plan(random_gated(kinds=("channel",), blocks=(1, 1, 2)), folding).config.parameters()
    engines = {
        "modes": modes,
        "one_mode": {**modes, "MODES": 1},
        "gates": gates,
        "no_gates": {**gates, "GATES": 0, "DECISIONS": 0, "PACK": 0},
    }
    result = {}
    with Console(stderr=True).status(f"yosys synthesises {len(engines)} engines, some minutes each ..."):
        for name, parameters in engines.items():
            total = estimate(parameters, top="tile_engine").total
            result[name] = {"lut": total.lut, "ff": total.ff}
    for name, (more, less) in {"cost": ("modes", "one_mode"), "gates_cost": ("gates", "no_gates")}.items():
        result[name] = {kind: round(result[more][kind] / result[less][kind] - 1, 4) for kind in ("lut", "ff")}
    if args.json:
        print(json.dumps(result))
        return
    for more, less, cost in (("modes", "one_mode", "cost"), ("gates", "no_gates", "gates_cost")):
        for name, label in ((more, f"with {more}"), (less, f"without {more}")):
            print(f"{label:14} {result[name]['lut']:>7,} LUT  {result[name]['ff']:>7,} FF")
        print(f"{'cost':14} {result[cost]['lut']:>7.2%} LUT  {result[cost]['ff']:>7.2%} FF")


if __name__ == "__main__":
    main()
