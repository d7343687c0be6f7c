"""The same integers at every station: Brevitas, QONNX, FINN's layer graph, TileEngine, stitched RTL, accelerator RTL.

The images are the samples that need no download; CIFAR-10 images where GATEFOLD_TEST_DATA names an .npz with them.
The weights are the shipped ones, or random ones where a model has none.
"""

import os

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

import flow.finn as gatefold_finn
from flow import models
from flow.build.samples import sample_images
from flow.data import load_test
from flow.engine.boards import find_board
from flow.engine.cost import frame_cost
from flow.engine.select import choose
from flow.engine.sources import accelerator_sources
from flow.errors import GatefoldError
from flow.export.from_model import layer_graph
from flow.export.modes import ApplyMode
from flow.export.qonnx_export import export
from flow.nn.modes import MODES
from flow.simulation.accelerator import compile_accelerator
from flow.simulation.simulator import Simulator

BOARD = find_board("pynq-z2")


def network(name):
    from flow.training.checkpoint import load_model

    try:
        model = load_model(name)
    except GatefoldError:
        model = models.initialise(models.create(name), 1)
    return model.eval()


def pictures(count):
    source = os.environ.get("GATEFOLD_TEST_DATA")
    return load_test(source)[0][:count] if source else sample_images(count)[1]


def execute(model, feed):
    import finn.core.onnx_exec as oxe

    return oxe.execute_onnx(model, feed)["logits"].astype(np.int64)


def check_chain(name, count, modes, folder):
    """Every frame in another mode than the one before; all stations agree, and the RTL keeps to the cycle model."""
    from finn.transformation.fpgadataflow.create_dataflow_partition import CreateDataflowPartition
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    torch.set_num_threads(1)
    images, model = pictures(count), network(name)
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32)
    qonnx = export(layer_graph(model), count)
    export(layer_graph(model)).save(str(folder / "model.onnx"))
    graph = gatefold_finn.layer_graph(gatefold_finn.read_network(folder / "model.onnx"))
    layers = gatefold_finn.build_layer_graph(graph, choose(BOARD), count)
    expected = {}
    for mode in modes:
        model.set_mode(mode)
        expected[mode] = model.integer_logits(images)
        assert np.array_equal(expected[mode], execute(qonnx.transform(ApplyMode(mode)), {"image": planes})), (mode, "QONNX")
        layers = layers.transform(gatefold_finn.SetMode(mode))
        got = execute(layers, {"image": images.astype(np.float32)})
        assert np.array_equal(expected[mode], got), (mode, "layer graph")

    frames = np.repeat(images, len(modes), axis=0)
    sequence = [modes[i % len(modes)] for i in range(len(frames))]
    logits = np.stack([expected[mode][i // len(modes)] for i, mode in enumerate(sequence)])
    index = [MODES.index(mode) for mode in sequence]
    feed = {"image": frames.astype(np.float32), "mode": np.array(index, np.float32)[:, None]}
    engine = gatefold_finn.build_layer_graph(graph, choose(BOARD), len(frames)).transform(gatefold_finn.MapToTileEngine())
    assert np.array_equal(logits, execute(engine, feed)), "TileEngine"

    parent = engine.transform(PrepareIP(BOARD.part, 10)).transform(HLSSynthIP())
    parent = parent.transform(CreateDataflowPartition(partition_model_dir=str(folder)))
    partition = getCustomOp(parent.get_nodes_by_op_type("StreamingDataflowPartition")[0]).get_nodeattr("model")
    stitched = ModelWrapper(partition).transform(gatefold_finn.StitchEngine())
    stitched.set_metadata_prop("exec_mode", "rtlsim")
    stitched.save(partition)
    assert np.array_equal(logits, execute(parent, feed)), "stitched RTL"

    build = getCustomOp(engine.get_nodes_by_op_type("TileEngine")[0]).build()
    library = compile_accelerator(folder, folder / "accelerator.so", build.plan.config.parameters(), accelerator_sources(folder))
    with Simulator(library, build.image("00000000")) as simulator:
        records, cycles = simulator.run(frames, index)
    assert np.array_equal(logits, [record["logits"] for record in records]), "accelerator RTL"
    total = sum(frame_cost(build.graph, mode, build.plan.config).cycles for mode in sequence)
    first_image = 2000  # the first image and the last record do not overlap with work
    assert abs(cycles - total) <= 0.02 * total + first_image


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_resnet8_32_images_in_every_mode(tmp_path):
    check_chain("resnet8", 32, MODES, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_resnet38(tmp_path):
    check_chain("resnet38", 1, ["full", "1/4", "1/16"], tmp_path)
