"""What gates save on the tile engine: cycles against computation, at 30, 50 and 70 % of the decisions to skip.

    .venv/bin/python bench/skip.py [--frames N] [--json]

For resnet20 and resnet38 and each kind of gate, N frames with random decisions of that share. Computation is multiply-accumulates
of what runs; cycles are those of the cycle model, which is the RTL's to the cycle (tests/hw/engine/test_gates.py). Both are shares of
the network without gates, in the full mode. `gates` is the share of its cycles that the gates take themselves, `of work` the same of its
products; `cycles / work` is cycles saved over computation saved where both count the gates, `net` where neither does.
"""

import argparse
import json

import numpy as np

from flow.engine.config import EngineConfig
from flow.engine.cost import mode_costs
from flow.engine.gated_cost import executed
from flow.engine.plan import plan
from flow.graph.layers import LayerGraph
from flow.graph.random_graph import random_gated

NETWORKS = {"resnet20": (3, 3, 3), "resnet38": (6, 6, 6)}
KINDS = {
    "channel": "DDI's channel gate",
    "pooled": "linear gate on pooled sums",
    "each": "ACS-GN, 8 channels wide",
    "layer": "layer gate on pooled sums",
    "recurrent": "DDI's LSTM layer gate",
    "ddi": "DDI's LSTM and channel gates",
    "acs": "ACS, 8 channels wide",
}
SHARES = (0.3, 0.5, 0.7)
FULL, PLAIN = "full", "full ungated"


def products(graph: LayerGraph, mode: str, decisions: dict[str, np.ndarray]) -> dict[str, int]:
    """Name of an executed layer -> its multiply-accumulates with these decisions."""
    counts = {}
    for layer in executed(graph, mode, decisions):
        if layer.kind != "conv":
            counts[layer.name] = layer.weight.size + (layer.lstm.weight.size + layer.lstm.hidden if layer.lstm else 0)
            continue
        gated, source = mode not in graph.ungated, graph.masked_source(layer)
        outputs = decisions[layer.mask].sum() if gated and layer.mask else layer.out_channels
        inputs = decisions[source.mask].sum() if gated and source else layer.in_channels
        counts[layer.name] = int(outputs * inputs) * layer.kernel**2 * layer.conv_size**2
    return counts


def measure(graph: LayerGraph, config: EngineConfig, share: float, frames: int, rng: np.random.Generator) -> dict[str, float]:
    """The shares of cycles and products of one kind of gate."""
    own = {layer.name for layer in graph.layers if layer.decides}
    base_cycles = sum(cost.cycles for cost in mode_costs(graph, PLAIN, config).values())
    base_work = sum(products(graph, PLAIN, {}).values())
    cycles, work, gate_cycles, gate_work = [], [], [], []
    for _ in range(frames):
        decisions = {gate.name: (rng.random(gate.decisions) >= share).astype(np.uint8) for gate in graph.gates}
        costs = {name: cost.cycles for name, cost in mode_costs(graph, FULL, config, decisions).items()}
        macs = products(graph, FULL, decisions)
        cycles.append(sum(costs.values()))
        work.append(sum(macs.values()))
        gate_cycles.append(sum(count for name, count in costs.items() if name in own))
        gate_work.append(sum(count for name, count in macs.items() if name in own))
    saved_cycles, saved_work = 1 - np.mean(cycles) / base_cycles, 1 - np.mean(work) / base_work
    gates, of_work = np.mean(gate_cycles) / base_cycles, np.mean(gate_work) / base_work
    return {
        "skipped": share, "cycles_saved": saved_cycles, "work_saved": saved_work, "gates": gates, "gates_of_work": of_work,
        "ratio": saved_cycles / saved_work, "net": (saved_cycles + gates) / (saved_work + of_work),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=20, help="frames with random decisions for each line (default 20)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    rng, result = np.random.default_rng(0), {}
    for network, blocks in NETWORKS.items():
        for kind in KINDS:
            graph = random_gated(seed=1, blocks=blocks, kinds=(kind,))
            config = plan(graph).config
            result[f"{network} {kind}"] = [measure(graph, config, share, args.frames, rng) for share in SHARES]
    if args.json:
        print(json.dumps(result))
        return
    print(f"{'':38} skipped  cycles saved  work saved  gates  of work  cycles / work    net")
    for name, rows in result.items():
        network, kind = name.split()
        for row in rows:
            print(
                f"{network:9} {KINDS[kind]:28} {row['skipped']:>7.0%}  {row['cycles_saved']:>12.1%}  {row['work_saved']:>10.1%}  "
                f"{row['gates']:>5.1%}  {row['gates_of_work']:>7.1%}  {row['ratio']:>13.3f}  {row['net']:>5.3f}"
            )


if __name__ == "__main__":
    main()
