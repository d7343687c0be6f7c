"""Every RTL class of FINN: its simulation equals its Python execution, through both loops and under pauses."""

import finn_classes
import finn_nodes
import numpy as np
import pytest
from finn_nodes import rtlsim_node, run

from flow.simulation import Model, install
from flow.simulation.finn_support import REFUSED

CLOSE = {"HWSoftmax_rtl": 2e-3, "LayerNorm_rtl": 5e-3}
"""Classes whose RTL approximates (a polynomial for exp, Newton steps for the root): the largest difference seen is below."""

APART = {"StreamingFIFO_rtl": "test_fifo", "RemoveDataPath_rtl": "test_data_path_removed"}
"""Classes with a test of their own: Python passes through a FIFO, and RemoveDataPath has no values to compare."""


@pytest.fixture(autouse=True)
def engine():
    install()
    yield
    install()


def test_no_class_is_forgotten():
    from finn.custom_op.fpgadataflow.rtl import custom_op

    classes = {name for name, kind in custom_op.items() if kind.__module__.startswith("finn.")}
    assert len(classes) >= 22
    assert classes == {name.split()[0] for name in finn_classes.NODES} | set(REFUSED) | set(APART)
    assert not set(finn_classes.NODES) & set(REFUSED)


@pytest.mark.parametrize("name", finn_classes.NODES)
def test_class_equals_python(name):
    build, part = finn_classes.NODES[name]
    model, feed, expected = rtlsim_node(build, part)
    assert model.graph.node[0].op_type == name.split()[0]
    cycles = {}
    for stream_loop in (True, False):
        for pause in (0, 0.4):
            install(stream_loop=stream_loop, pause=pause, seed=3)
            output, node = run(model, feed)
            if name in CLOSE:
                assert np.abs(output - expected).max() <= CLOSE[name]
            else:
                assert np.array_equal(output, expected)
            cycles[stream_loop, pause] = node.get_nodeattr("cycles_rtlsim")
    assert cycles[True, 0] == cycles[False, 0] and cycles[True, 0.4] == cycles[False, 0.4] > cycles[True, 0]


@pytest.mark.parametrize("depth, ram_style", [(2, "auto"), (9, "srl"), (40, "distributed"), (600, "block"), (4200, "ultra")])
def test_fifo(depth, ram_style):
    """A FIFO holds `depth` beats, no fewer, and gives them in order under pauses."""
    model, _, _ = rtlsim_node(lambda: finn_classes.fifo(depth, ram_style), finn_nodes.PART)
    from finn.util.basic import getHWCustomOp

    node = getHWCustomOp(model.graph.node[0])
    folder, _, library = node.get_nodeattr("rtlsim_so").partition("/xsim.dir")
    beats = np.random.default_rng(depth).integers(0, 256, (3 * depth + 50, 2), np.uint8)
    with Model(f"{folder}/xsim.dir{library}", folder) as simulation:
        simulation.reset()
        port = simulation.stream_port("in0_V", "tready")
        simulation.write(simulation.stream_port("in0_V", "tvalid").name, 1)
        simulation.write(simulation.stream_port("out0_V", "tready").name, 0)
        taken = 0
        for _ in range(depth + 60):
            simulation.run(0)
            taken += simulation.read(port.name)
            simulation.cycles(1)
        assert taken >= depth
    with Model(f"{folder}/xsim.dir{library}", folder) as simulation:
        simulation.reset()
        result = simulation.stream({"in0_V": beats}, {"out0_V": len(beats)}, input_pause=0.3, output_pause=0.6, seed=4)
        assert np.array_equal(result.outputs["out0_V"], beats)


def test_data_path_removed():
    """As many beats come out as go in, under pauses."""
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.util.basic import getHWCustomOp

    model = finn_classes.remove_data()
    model.graph.node[0].op_type, model.graph.node[0].domain = "RemoveDataPath_rtl", finn_nodes.DOMAIN + ".rtl"
    model = model.transform(PrepareIP(finn_nodes.PART, 10)).transform(HLSSynthIP()).transform(PrepareRTLSim())
    with Model(getHWCustomOp(model.graph.node[0]).get_nodeattr("rtlsim_so")) as simulation:
        simulation.reset()
        beats = np.ones((40, simulation.stream_port("in0_V", "tdata").bytes), np.uint8)
        result = simulation.stream({"in0_V": beats}, {"out0_V": 40}, input_pause=0.3, output_pause=0.3)
        assert len(result.output_cycles["out0_V"]) == 40


@pytest.mark.parametrize("name", REFUSED)
def test_refused_class_says_why(name):
    assert REFUSED[name].endswith(".") and len(REFUSED[name]) > 20
