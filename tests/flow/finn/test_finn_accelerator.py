"""The accelerator of a FINN model under FINN's SimEngine: registers, DMA and engine."""

import numpy as np
import pytest

import flow.finn as gatefold_finn
from flow.build.verify import compare
from flow.engine.config import Folding
from flow.errors import GatefoldError
from flow.graph.random_graph import random_resnet

SMALL = Folding(p=32, pe=1, r=16, v=8)
MODES = ["1/16", "1/4", "1/8"]


@pytest.mark.slow
@pytest.mark.parametrize("trace", [False, True])
def test_batch_with_a_mode_list(tmp_path, trace):
    from finn.util.basic import getHWCustomOp

    graph = random_resnet(5)
    images = np.random.default_rng(3).integers(0, 256, (len(MODES), 32, 32, 3), dtype=np.uint8)
    model = gatefold_finn.build_layer_graph(graph, SMALL).transform(gatefold_finn.MapToTileEngine())
    model = model.transform(gatefold_finn.MakeAccelerator())
    wave = tmp_path / "out.fst" if trace else None
    count = 1 if trace else len(MODES)
    records, cycles = gatefold_finn.rtlsim_accelerator(model, images[:count], MODES[:count], wave)
    config = getHWCustomOp(model.get_nodes_by_op_type("TileEngine")[0]).build().plan.config
    assert compare(graph, config, records, images[:count], MODES[:count]).frames == count
    assert cycles > sum(record["cycles"] for record in records)
    assert not trace or wave.stat().st_size > 10_000


def test_an_accelerator_must_be_made_first():
    model = gatefold_finn.build_layer_graph(random_resnet(5), SMALL)
    with pytest.raises(GatefoldError, match="one TileEngine, the model has 0"):
        model.transform(gatefold_finn.MakeAccelerator())
    with pytest.raises(GatefoldError, match="apply MakeAccelerator first"):
        gatefold_finn.rtlsim_accelerator(model, np.zeros((1, 32, 32, 3), np.uint8), ["full"])
