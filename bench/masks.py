"""What the group modes cost: LUT and FF of the tile engine against the same engine built without modes.

    .venv/bin/python bench/masks.py [--board pynq-z2] [--no-dsp] [--json]

Both are synthesised by yosys in this run, with the sizes of an untrained resnet8. The engine without modes has a
program for the full network only and no group logic; everything else is the same.
"""

import argparse
import json

from rich.console import Console

from flow.engine.boards import find_board
from flow.engine.plan import plan
from flow.engine.select import choose
from flow.graph.random_graph import random_resnet
from flow.synth.resources import estimate


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--board", default="pynq-z2", help="part whose engine is compared (default pynq-z2)")
    parser.add_argument("--no-dsp", action="store_true", help="the engine without DSP blocks")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    config = plan(random_resnet(), choose(find_board(args.board), dsp=not args.no_dsp)).config
    result = {}
    with Console(stderr=True).status("yosys synthesises two engines, some minutes each ..."):
        for name, modes in (("modes", config.modes), ("one_mode", 1)):
            total = estimate({**config.parameters(), "MODES": modes}, top="tile_engine").total
            result[name] = {"modes": modes, "lut": total.lut, "ff": total.ff}
    result["cost"] = {kind: round(result["modes"][kind] / result["one_mode"][kind] - 1, 4) for kind in ("lut", "ff")}
    if args.json:
        print(json.dumps(result))
        return
    for name, label in (("modes", "with modes"), ("one_mode", "without modes")):
        print(f"{label:14} {result[name]['lut']:>7,} LUT  {result[name]['ff']:>7,} FF")
    print(f"{'cost':14} {result['cost']['lut']:>7.2%} LUT  {result['cost']['ff']:>7.2%} FF")


if __name__ == "__main__":
    main()
