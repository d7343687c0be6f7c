"""What FINN's users meet beside right values: errors, waveforms, empty streams, workers, options."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import finn_nodes
import numpy as np
import pytest
from finn_nodes import rtlsim_node, run

from flow.errors import GatefoldError
from flow.simulation import install
from flow.simulation.settings import VARIABLE, Options, options

LOOPS = pytest.mark.parametrize("stream_loop", [True, False], ids=["stream loop", "SimEngine"])


@pytest.fixture(autouse=True)
def engine():
    install()
    yield
    install()


@pytest.fixture(scope="module")
def dwc():
    install()
    return rtlsim_node(finn_nodes.dwc)


def simulate(model, inputs, counts, **settings):
    """Cycles of FINN's `rtlsim_multi_io` on the one node."""
    from finn import xsi
    from finn.util.basic import getHWCustomOp

    node = getHWCustomOp(model.graph.node[0])
    sim = node.get_rtlsim()
    node.reset_rtlsim(sim)
    try:
        return xsi.rtlsim_multi_io(sim, {"inputs": {"in0": inputs}, "outputs": {"out0": []}}, counts, sname="_V", **settings)
    finally:
        node.close_rtlsim(sim)


@LOOPS
def test_empty_stream(dwc, stream_loop):
    install(stream_loop=stream_loop)
    assert simulate(dwc[0], [], 0) == 1


@LOOPS
def test_stalled_output_names_the_liveness_threshold(dwc, stream_loop):
    from finn.util.exception import FINNUserError

    install(stream_loop=stream_loop)
    with pytest.raises(FINNUserError, match="LIVENESS_THRESHOLD"):
        simulate(dwc[0], [1, 2], 100, liveness_threshold=200)


@LOOPS
@pytest.mark.parametrize("counts", ["3", 2.5, None])
def test_wrong_count_is_finns_own_error(dwc, stream_loop, counts):
    from finn.util.exception import FINNInternalError

    install(stream_loop=stream_loop)
    with pytest.raises(FINNInternalError, match="num_out_values must be int"):
        simulate(dwc[0], [1, 2], counts)


@pytest.mark.slow
def test_waveform_that_is_wished_for_late_and_into_a_new_folder(dwc, tmp_path):
    """`rtlsim_trace` set behind PrepareRTLSim: the model is compiled again, the folder made."""
    from finn.util.basic import getHWCustomOp

    model, feed, expected = dwc
    node = getHWCustomOp(model.graph.node[0])
    node.set_nodeattr("rtlsim_trace", str(tmp_path / "new" / "folder" / "node.fst"))
    try:
        output, _ = run(model, feed)
    finally:
        node.set_nodeattr("rtlsim_trace", "")
    assert np.array_equal(output, expected)
    assert (tmp_path / "new" / "folder" / "node.fst").stat().st_size > 500


def test_random_power_on_names_what_nothing_writes(monkeypatch):
    """A padding node does not hang on power-on values; the warning goes to FINN's log."""
    import logging

    install(power_on="random", seed=7)
    model, feed, expected = rtlsim_node(lambda: finn_nodes.fmpadding(size=(4, 4), channels=4))
    output, _ = run(model, feed)
    assert np.array_equal(output, expected)
    assert logging.getLogger("finn_logger") is not None


def test_hls_node_is_refused_by_name():
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.util.exception import FINNUserError

    model = finn_nodes.dwc()
    node = model.graph.node[0]
    node.op_type, node.domain = "StreamingDataWidthConverter_hls", "finn.custom_op.fpgadataflow.hls"
    with pytest.raises(FINNUserError, match="StreamingDataWidthConverter_0 is an HLS node"):
        PrepareRTLSim().applyNodeLocal(node)


def test_options_travel_in_the_environment(monkeypatch):
    install(stream_loop=False, power_on="random", pause=0.25, seed=9)
    assert options() == Options(False, "random", 0.25, 9)
    monkeypatch.setenv(VARIABLE, "on")
    assert options() == Options()
    for text in ("pause=much", "colour=red", "stream_loop=maybe", "power_on=ones", "pause=1", "seed=-1"):
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(GatefoldError):
            options()


WORKER = """
import multiprocessing

def ask(_):
    import finn.xsi
    return finn.xsi.is_available(), finn.xsi.compile_sim_obj.__module__

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(ask, [0])[0])
"""


def test_hook_reaches_workers_without_a_call(tmp_path):
    """`python -m flow.simulation enable` in an environment of its own: FINN's spawned workers find Verilator; off and disable."""
    venv.create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    (folder,) = (tmp_path / "env" / "lib").glob("python*/site-packages")
    root = Path(__file__).resolve().parents[3]
    (folder / "a_paths.pth").write_text(f"{root}\n" + "".join(f"{path}\n" for path in sys.path if path.endswith("site-packages")))
    (tmp_path / "script.py").write_text(WORKER)
    environment = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "XILINX_VIVADO")}

    def call(*arguments, **more):
        return subprocess.run([python, *arguments], env={**environment, **more}, capture_output=True, text=True, cwd=tmp_path)

    assert "disabled" in call("-m", "flow.simulation", "status").stdout
    assert call("-m", "flow.simulation", "maybe").returncode == 2
    assert call("-m", "flow.simulation", "enable").returncode == 0
    assert call("script.py").stdout.strip() == "(True, 'flow.simulation.adapter')"
    off = call("script.py", **{VARIABLE: "off"})
    assert off.returncode and "XILINX_VIVADO" in off.stderr
    assert call("-m", "flow.simulation", "disable").returncode == 0
    assert "disabled" in call("-m", "flow.simulation", "status").stdout
