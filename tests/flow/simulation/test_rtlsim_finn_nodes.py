"""FINN's own RTL nodes in `exec_mode=rtlsim`, without Vivado: equal to Python, cycles as FINN estimates."""

import os
from pathlib import Path

import finn_nodes
import numpy as np
import pytest
from finn_nodes import rtlsim_node, run

from flow.simulation import install

slow = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def engine():
    install()
    yield
    install()


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
    model, feed, expected = rtlsim_node(build)
    output, node = run(model, feed)
    assert np.array_equal(output, expected)
    assert node.get_exp_cycles() in (estimate, 0)  # FINN gives none for DWC: here its output beats
    assert abs(node.get_nodeattr("cycles_rtlsim") - estimate) <= 0.01 * estimate + 5


SWEEP = {
    "FMPadding bottom right": (finn_nodes.fmpadding, {"size": (10, 8), "padding": (1, 1, 2, 2), "channels": 4, "simd": 1}),
    "FMPadding uneven": (finn_nodes.fmpadding, {"size": (8, 8), "padding": (1, 3, 2, 3), "channels": 2, "datatype": "INT2"}),
    "FMPadding rows only": (finn_nodes.fmpadding, {"size": (10, 8), "padding": (7, 0, 8, 0), "channels": 4, "simd": 4}),
    "SWG stride 2": (finn_nodes.swg, {"size": (8, 8), "stride": (2, 2), "channels": 4, "simd": 4}),
    "SWG dilation": (finn_nodes.swg, {"size": (8, 8), "dilation": (2, 2), "channels": 4, "simd": 1, "datatype": "UINT4"}),
    "SWG 1d": (finn_nodes.swg, {"size": (1, 21), "kernel": (1, 5), "channels": 4, "simd": 2, "datatype": "INT2"}),
    "SWG window per beat": (finn_nodes.swg, {"size": (8, 8), "channels": 4, "simd": 4, "parallel": 1}),
    "SWG 2x2": (finn_nodes.swg, {"size": (8, 8), "kernel": (2, 2), "stride": (2, 1), "channels": 2, "simd": 1}),
    "Thresholding wide steps": (finn_nodes.thresholding, {"channels": 6, "pe": 3, "step_type": "INT25", "out_type": "INT4"}),
    "Thresholding unsigned": (finn_nodes.thresholding, {"in_type": "UINT5", "step_type": "UINT8", "pe": 16}),
    "Thresholding one step": (finn_nodes.thresholding, {"channels": 6, "pe": 1, "out_type": "UINT1"}),
    "MVAU signed": (finn_nodes.mvau, {"in_type": "INT4", "simd": 8, "pe": 16}),
    "MVAU 8 bits": (finn_nodes.mvau, {"in_type": "UINT8", "weight_type": "INT8", "simd": 72, "pe": 1}),
    "MVAU one by one": (finn_nodes.mvau, {"width": 12, "height": 4, "simd": 1, "pe": 1}),
    "MVAU doubled clock": (finn_nodes.mvau, {"simd": 6, "pe": 8, "pumpedCompute": 1}),
    "DWC wider": (finn_nodes.dwc, {"shape": (1, 2, 8), "in_width": 8, "out_width": 16, "datatype": "INT2"}),
    "DWC narrower": (finn_nodes.dwc, {"shape": (1, 4), "in_width": 4, "out_width": 2, "datatype": "INT2"}),
    "DWC 4 to 6": (finn_nodes.dwc, {"shape": (1, 24), "in_width": 4, "out_width": 6, "datatype": "INT2"}),
    "DWC equal": (finn_nodes.dwc, {"shape": (1, 2, 8), "in_width": 4, "out_width": 4, "datatype": "INT2"}),
}


@slow
@pytest.mark.parametrize("name", SWEEP)
def test_parameters(name):
    """Corners of the parameter spaces of the five nodes, through the C++ loop and through SimEngine."""
    build, options = SWEEP[name]
    model, feed, expected = rtlsim_node(lambda: build(**options))
    for stream_loop in (True, False):
        install(stream_loop=stream_loop)
        output, node = run(model, feed)
        assert np.array_equal(output, expected)
    estimate = node.get_exp_cycles()
    assert not estimate or abs(node.get_nodeattr("cycles_rtlsim") - estimate) <= 0.05 * estimate + 15


@slow
def test_weights_written_at_run_time():
    """Thresholding with `runtime_writeable_weights`: SimEngine writes and reads them over AXI4-Lite."""
    model, feed, expected = rtlsim_node(lambda: finn_nodes.thresholding(channels=4, pe=2, size=4), runtime_writeable_weights=1)
    output, node = run(model, feed)
    assert np.array_equal(output, expected)
    sim = node.get_rtlsim()
    node.reset_rtlsim(sim)
    reader = sim.read_axilite("s_axilite", iter([0]))
    assert not sim.run(1000)
    first = int(reader[0], 16)
    sim.write_axilite("s_axilite", iter([(0, f"{first ^ 1:x}")]))
    assert not sim.run(1000)
    reader = sim.read_axilite("s_axilite", iter([0]))
    assert not sim.run(1000)
    assert int(reader[0], 16) == first ^ 1
    node.close_rtlsim(sim)


def test_sim_engine_and_stream_loop_agree():
    model, feed, expected = rtlsim_node(finn_nodes.fmpadding)
    cycles = []
    for stream_loop in (True, False):
        install(stream_loop=stream_loop)
        output, node = run(model, feed)
        assert np.array_equal(output, expected)
        cycles.append(node.get_nodeattr("cycles_rtlsim"))
    assert cycles[0] == cycles[1]


@slow
def test_waveform_of_a_node(tmp_path):
    model, feed, expected = rtlsim_node(finn_nodes.fmpadding)
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.util.basic import getHWCustomOp

    getHWCustomOp(model.graph.node[0]).set_nodeattr("rtlsim_trace", str(tmp_path / "node.fst"))
    output, _ = run(model.transform(PrepareRTLSim()), feed)
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
