"""FINN's own RTL nodes in `exec_mode=rtlsim`, without Vivado: equal to Python, cycles as FINN estimates."""

import os
from pathlib import Path

import finn_nodes
import numpy as np
import pytest

from flow.rtlsim import install

slow = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def engine():
    install()
    yield
    install()


def rtlsim_node(build):
    """(model ready for rtlsim, input, output of the Python execution)."""
    import finn.core.onnx_exec as oxe
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.transformation.general import GiveUniqueNodeNames
    from qonnx.util.basic import gen_finn_dt_tensor

    model = build()
    np.random.seed(7)
    value = gen_finn_dt_tensor(model.get_tensor_datatype("inp"), model.get_tensor_shape("inp")).astype(np.float32)
    expected = oxe.execute_onnx(model, {"inp": value})["outp"]
    model = model.transform(SpecializeLayers(finn_nodes.PART)).transform(GiveUniqueNodeNames())
    assert model.graph.node[0].op_type.endswith("_rtl")
    model = model.transform(SetExecMode("rtlsim")).transform(PrepareIP(finn_nodes.PART, 10)).transform(HLSSynthIP())
    return model.transform(PrepareRTLSim()), value, expected


def run(model, value):
    import finn.core.onnx_exec as oxe
    from finn.util.basic import getHWCustomOp

    output = oxe.execute_onnx(model, {"inp": value})["outp"]
    return output, getHWCustomOp(model.graph.node[0])


@pytest.mark.parametrize(
    "build, estimate",
    [
        pytest.param(finn_nodes.fmpadding, 1296),
        pytest.param(finn_nodes.mvau, 1536),
        pytest.param(finn_nodes.dwc, 512),
        pytest.param(finn_nodes.swg, 9372, marks=slow),
        pytest.param(finn_nodes.thresholding, 2048, marks=slow),
    ],
    ids=["FMPadding", "MVAU", "DWC", "SWG", "Thresholding"],
)
def test_node_equals_python(build, estimate):
    model, value, expected = rtlsim_node(build)
    output, node = run(model, value)
    assert np.array_equal(output, expected)
    assert node.get_exp_cycles() in (estimate, 0)  # FINN gives none for DWC: here its output beats
    assert abs(node.get_nodeattr("cycles_rtlsim") - estimate) <= 0.01 * estimate + 5


def test_sim_engine_and_stream_loop_agree():
    model, value, expected = rtlsim_node(finn_nodes.fmpadding)
    cycles = []
    for stream_loop in (True, False):
        install(stream_loop=stream_loop)
        output, node = run(model, value)
        assert np.array_equal(output, expected)
        cycles.append(node.get_nodeattr("cycles_rtlsim"))
    assert abs(cycles[0] - cycles[1]) <= 4


@slow
def test_waveform_of_a_node(tmp_path):
    model, value, expected = rtlsim_node(finn_nodes.fmpadding)
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.util.basic import getHWCustomOp

    getHWCustomOp(model.graph.node[0]).set_nodeattr("rtlsim_trace", str(tmp_path / "node.fst"))
    output, _ = run(model.transform(PrepareRTLSim()), value)
    assert np.array_equal(output, expected)
    assert (tmp_path / "node.fst").stat().st_size > 1000


def test_files_stay_in_the_build_folder():
    from finn.util.basic import make_build_dir

    assert Path(make_build_dir("probe_")).parent == Path(os.environ["FINN_BUILD_DIR"])
    assert "FINN_SETTINGS" in os.environ


def test_unknown_port_is_an_error_and_ports_are_unique():
    model, _, _ = rtlsim_node(finn_nodes.dwc)
    from finn.util.basic import getHWCustomOp

    sim = getHWCustomOp(model.graph.node[0]).get_rtlsim()
    assert sim.top.getPort("ap_clk") is sim.top.getPort("ap_clk")
    with pytest.raises(RuntimeError, match="no port ap_clk2x"):
        sim.top.getPort("ap_clk2x")
    sim.close()
    assert not sim.is_open()
    with pytest.raises(RuntimeError, match="closed"):
        sim.top.run(1)
