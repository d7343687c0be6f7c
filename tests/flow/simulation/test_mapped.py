"""What synthesis takes, in simulation: the whole accelerator with its mapped lanes and DSP pairs, in every mode and from random
power-on values, against the integer model and the cycle model."""

import numpy as np
import pytest

from flow.build.verify import compare
from flow.engine.boards import find_board
from flow.engine.compile import compile_graph
from flow.engine.config import Folding
from flow.engine.select import choose
from flow.engine.sources import accelerator_sources
from flow.graph.random_graph import random_resnet
from flow.simulation.accelerator import compile_accelerator
from flow.simulation.simulator import Simulator

ENGINES = {
    "small": Folding(p=32, pe=2, r=8, v=4, mult_dsp=4),  # the smallest with pixels of both kinds
    "pynq-z2": choose(find_board("pynq-z2")),
    "no-dsp": choose(find_board("pynq-z2"), dsp=False),
}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("engine", [pytest.param(name, marks=pytest.mark.slow) for name in ENGINES])
def test_mapped_accelerator_in_every_mode(engine, tmp_path):
    graph = random_resnet(seed=11)
    compiled = compile_graph(graph, ENGINES[engine])
    parameters = compiled.plan.config.parameters()
    library = compile_accelerator(tmp_path, tmp_path / "mapped.so", parameters, accelerator_sources(tmp_path), mapped=True)
    modes = [*graph.modes, "full", "1/16"]
    images = np.random.default_rng(5).integers(0, 256, (len(modes), 32, 32, 3), dtype=np.uint8)
    images[0], images[1] = 255, 0  # the largest sums of the first layer, and none
    for power_on in (0, 1, 2):
        with Simulator(library, compiled.image("00000000"), power_on) as simulator:
            records, _ = simulator.run(
                images, [list(graph.modes).index(mode) for mode in modes], stall=20 * power_on, seed=power_on
            )
        seen = compare(graph, compiled.plan.config, records, images, modes)
        assert seen.frames == len(modes) and set(seen.cycles) == set(graph.modes)
