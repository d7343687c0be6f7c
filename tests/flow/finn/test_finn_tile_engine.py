"""The TileEngine node: mapping, Python execution, rtlsim of the node and of the stitched design."""

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper

import flow.finn as gatefold_finn
from flow.engine.config import Folding
from flow.engine.cost import frame_cost
from flow.engine.sources import RTL
from flow.errors import GatefoldError
from flow.finn import tile_engine
from flow.graph.integer import run
from flow.graph.random_graph import MODE_NAMES, random_plain, random_resnet
from flow.simulation.compile import module_ports

PART = "xc7z020clg400-1"
SMALL = Folding(p=32, pe=1, r=8, v=4)
MODES = ["full", "1/16", "1/4", "1/2"]


def images(count, seed=2):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def mapped(graph, config, frames):
    model = gatefold_finn.build_layer_graph(graph, config, frames)
    return model.transform(gatefold_finn.MapToTileEngine())


def engine_node(model):
    from finn.util.basic import getHWCustomOp

    return getHWCustomOp(model.get_nodes_by_op_type("TileEngine")[0])


def feed(graph, frames, modes):
    index = [list(graph.modes).index(mode) for mode in modes]
    return {"image": frames.transpose(0, 2, 3, 1).astype(np.float32), "mode": np.array(index, np.float32)[:, None]}


def execute(model, inputs):
    import finn.core.onnx_exec as oxe

    return oxe.execute_onnx(model, inputs, return_full_exec_context=True)


def check_records(records, graph, config, frames, modes, first=0, tolerance=0.02):
    for number, (record, image, mode) in enumerate(zip(records, frames, modes, strict=True)):
        expected, cost = run(graph, image[None], mode), frame_cost(graph, mode, config)
        words = record.astype(np.int64)
        assert np.array_equal(words[8 : 8 + graph.classes], expected.logits[0])
        assert not words[8 + graph.classes :].any()
        assert list(words[:4]) == [first + number, list(graph.modes).index(mode), 0, expected.classes[0]]
        assert words[5] == cost.tiles and words[6] == 0
        assert abs(words[4] - cost.cycles) <= tolerance * cost.cycles


@pytest.fixture(scope="module")
def graph():
    return random_resnet(4)


def test_python_execution_in_every_mode(graph):
    frames = images(len(MODE_NAMES))
    model = mapped(graph, Folding(), len(MODE_NAMES))
    tensors = execute(model, feed(graph, frames, MODE_NAMES))
    config = engine_node(model).build().plan.config
    check_records(tensors["record"], graph, config, frames, MODE_NAMES, tolerance=0)
    assert np.array_equal(tensors["logits"], tensors["record"][:, 8:18])


def test_estimates(graph):
    model = mapped(graph, Folding(), 1)
    node = engine_node(model)
    config = node.build().plan.config
    assert [node.get_exp_cycles(i) for i in range(5)] == [frame_cost(graph, mode, config).cycles for mode in graph.modes]
    model = model.transform(gatefold_finn.SetMode("1/16"))
    assert engine_node(model).get_exp_cycles() == frame_cost(graph, "1/16", config).cycles
    small = engine_node(mapped(graph, SMALL, 1)).node_res_estimation(PART)
    large = node.node_res_estimation(PART)
    assert 0 < small["LUT"] < large["LUT"] < 53_200 and 0 < small["DSP"] < large["DSP"] <= 220
    assert 0 < large["BRAM_18K"] <= 280


def test_mode_beyond_the_table_is_refused(graph):
    model = mapped(graph, Folding(), 1)
    inputs = feed(graph, images(1), ["full"])
    with pytest.raises(GatefoldError, match="mode 5; the engine has modes 0 to 4"):
        execute(model, {**inputs, "mode": np.array([[5]], np.float32)})


def test_what_the_engine_lacks_is_named():
    graph = random_resnet(4)
    graph["stage1.block1.conv2"].weight = np.zeros((16, 16, 5, 5), np.int64)
    with pytest.raises(GatefoldError, match="stage1.block1.conv2 has a 5x5 kernel"):
        mapped(graph, Folding(), 1)


def rtlsim_ready(model):
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode

    return model.transform(SetExecMode("rtlsim")).transform(PrepareIP(PART, 10)).transform(HLSSynthIP())


def node_and_stitched(graph, config, modes, folder):
    """Run a saved and loaded model node by node, then its engine as a stitched design."""
    from finn.transformation.fpgadataflow.create_dataflow_partition import CreateDataflowPartition
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from qonnx.custom_op.registry import getCustomOp

    frames = images(len(modes))
    model = rtlsim_ready(mapped(graph, config, len(modes)))
    model.save(str(folder / "engine.onnx"))
    model = ModelWrapper(str(folder / "engine.onnx")).transform(PrepareRTLSim())
    full = engine_node(model).build().plan.config
    tensors = execute(model, feed(graph, frames, modes))
    check_records(tensors["record"], graph, full, frames, modes)
    loading = 2 * len(engine_node(model).build().image("00000000")) // 8  # a word every other cycle
    total = loading + sum(frame_cost(graph, mode, full).cycles for mode in modes)
    assert abs(engine_node(model).get_nodeattr("cycles_rtlsim") - total) <= 0.02 * total + 600  # first image, last record

    parent = model.transform(CreateDataflowPartition(partition_model_dir=str(folder)))
    partition = getCustomOp(parent.get_nodes_by_op_type("StreamingDataflowPartition")[0])
    stitched = ModelWrapper(partition.get_nodeattr("model")).transform(gatefold_finn.StitchEngine())
    stitched.set_metadata_prop("exec_mode", "rtlsim")
    stitched.save(partition.get_nodeattr("model"))
    tensors = execute(parent, feed(graph, frames, modes))
    assert np.array_equal(
        tensors["logits"], [run(graph, image[None], mode).logits[0] for image, mode in zip(frames, modes, strict=True)]
    )
    record = next(value for name, value in tensors.items() if value.shape == (len(modes), 32))
    check_records(record, graph, full, frames, modes)

    beyond = {**feed(graph, frames, modes), "mode": np.full((len(modes), 1), len(graph.modes), np.float32)}
    for design in (model, parent):
        with pytest.raises(Exception, match="a frame's header names mode 5 of 5"):
            execute(design, beyond)


def test_rtlsim_of_node_and_stitched_design(graph, tmp_path):
    node_and_stitched(graph, SMALL, MODES, tmp_path)


def of_half_a_burst():
    """(graph, images): one plane of 8x8."""
    return random_plain(5, (1, 8, 8), pools=False), np.random.default_rng(4).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)


def test_frames_are_whole_bursts():
    graph, frames = of_half_a_burst()
    modes = [next(iter(graph.modes))] * len(frames)
    model = mapped(graph, SMALL, len(frames))
    tensors = execute(model, feed(graph, frames, modes))
    assert tensors["frame"].shape == (3, 8 + 128) and not tensors["frame"][:, 8 + 64 :].any()
    assert tensors["frame"].shape == tuple(engine_node(model).get_normal_input_shape())
    assert np.array_equal(
        tensors["logits"], [run(graph, image[None], mode).logits[0] for image, mode in zip(frames, modes, strict=True)]
    )


@pytest.mark.slow
def test_rtlsim_of_frames_of_half_a_burst():
    """The node by itself, and the accelerator around it."""
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim

    graph, frames = of_half_a_burst()
    modes = [next(iter(graph.modes))] * len(frames)
    expected = [run(graph, image[None], mode).logits[0] for image, mode in zip(frames, modes, strict=True)]
    model = rtlsim_ready(mapped(graph, SMALL, len(frames))).transform(PrepareRTLSim())
    assert np.array_equal(execute(model, feed(graph, frames, modes))["logits"], expected)
    made = mapped(graph, SMALL, 1).transform(gatefold_finn.MakeAccelerator())
    records, _ = gatefold_finn.rtlsim_accelerator(made, frames.transpose(0, 2, 3, 1), modes)
    assert np.array_equal([record["logits"] for record in records], expected)


@pytest.mark.slow
def test_rtlsim_at_the_default_size(graph, tmp_path):
    node_and_stitched(graph, Folding(), list(MODE_NAMES) + MODES, tmp_path)


def test_stitching_needs_generated_code(graph):
    model = mapped(graph, SMALL, 1)
    with pytest.raises(GatefoldError, match="one TileEngine node"):
        model.transform(gatefold_finn.StitchEngine())


def test_what_the_host_says_is_as_wide_as_its_types(tmp_path):
    """The wrapper is Verilog, which knows no `engine_pkg`."""
    probe = tmp_path / "probe.sv"
    sizes = ", ".join(f"input logic [$bits(engine_pkg::{name}_t)-1:0] {name}" for name in ("gate_host", "exit_host"))
    probe.write_text(f"module probe({sizes}); endmodule\n")
    ports = module_ports({"probe": ("probe", {})}, [RTL / "engine_pkg.sv", probe])["probe"]
    assert [ports[name].width for name in ("gate_host", "exit_host")] == [tile_engine.HOST_BITS, tile_engine.EXIT_BITS]
