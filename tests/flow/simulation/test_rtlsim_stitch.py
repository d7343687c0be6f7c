"""FINN's `CreateStitchedIP`, `rtlsim_exec` and FIFO sizing without Vivado, on a chain and on a residual block."""

import json
from pathlib import Path

import finn_graphs
import numpy as np
import pytest
from finn_nodes import PART

from flow.errors import GatefoldError
from flow.simulation import install
from flow.simulation.block_design import read_block_design
from flow.simulation.compile import Port
from flow.simulation.stitch import join


@pytest.fixture(scope="module", autouse=True)
def engine():
    import flow.simulation.nodes  # noqa: F401

    install()
    yield
    install()


def in_python(model, value):
    import finn.core.onnx_exec as oxe

    return np.concatenate([oxe.execute_onnx(model, {"inp": frame[None]})["outp"] for frame in value])


def in_rtl(model, value):
    from finn.core.rtlsim_exec import rtlsim_exec

    context = {model.graph.input[0].name: value}
    rtlsim_exec(model, context)
    return context[model.graph.output[0].name]


def test_chain_equals_python():
    """FMPadding → SWG → DWC → MVAU → DWC → Thresholding with FIFOs: three inputs one by one, and a batch of three."""
    plain = finn_graphs.chain()
    model = finn_graphs.specialised(plain)
    kinds = [node.op_type for node in model.graph.node if "FIFO" not in node.op_type]
    assert [kind.split("_")[0] for kind in kinds] == [
        "FMPadding", "ConvolutionInputGenerator", "StreamingDataWidthConverter", "MVAU", "StreamingDataWidthConverter",
        "Thresholding",
    ]  # fmt: skip
    model = finn_graphs.stitched(model)
    frames = np.random.default_rng(1).integers(0, 16, (3, 6, 6, 4)).astype(np.float32)
    expected = in_python(plain, frames)
    assert len(np.unique(expected)) > 3
    for frame, wanted in zip(frames, expected, strict=True):
        assert np.array_equal(in_rtl(model, frame[None]), wanted[None])
    single = int(model.get_metadata_prop("cycles_rtlsim"))
    assert np.array_equal(in_rtl(model, frames), expected)
    assert single < int(model.get_metadata_prop("cycles_rtlsim")) < 3 * single  # frames overlap
    install(pause=0.4, seed=2)
    assert np.array_equal(in_rtl(model, frames), expected)
    install()


@pytest.mark.slow
def test_residual_block_with_the_depths_that_were_found(tmp_path):
    """FINN's own transformations size, insert and stitch; with FIFOs of two words the block stalls or is slower."""
    from finn.builder.build_dataflow_config import DataflowBuildConfig
    from finn.transformation.fpgadataflow.set_fifo_depths import ApplySimulatedFIFOSizes
    from finn.transformation.fpgadataflow.simulation_build import BuildSimulation
    from finn.transformation.fpgadataflow.simulation_connected import RunLayerParallelSimulation

    from flow.simulation.sizing import _Search, measure_performance

    plain = finn_graphs.residual()
    model = finn_graphs.converted(plain)
    kinds = {node.op_type for node in model.graph.node}
    assert {"DuplicateStreams_rtl", "ElementwiseAdd_rtl"} < kinds and not any(kind.endswith("_hls") for kind in kinds)

    search = _Search(model, PART, 10, 3, 0.0, lambda text: None)
    free = search.trial([300] * len(search.streams), 10_000)
    shallow = search.trial([2] * len(search.streams), 10_000)
    assert shallow is None or shallow[0] > free[0]

    config = DataflowBuildConfig(output_dir=str(tmp_path), synth_clk_period_ns=10.0, fpga_part=PART, generate_outputs=[])
    model = model.transform(BuildSimulation(PART, 10, False, performance_sim=False))
    model = model.transform(RunLayerParallelSimulation(PART, 10, config)).transform(ApplySimulatedFIFOSizes(config))
    fifos = model.get_nodes_by_op_type("StreamingFIFO_rtl")
    assert len(fifos) == 11  # one behind each output and one in front
    model = finn_graphs.stitched(model)
    frames = np.random.default_rng(1).integers(-128, 128, (3, 8, 8, 4)).astype(np.float32)
    assert np.array_equal(in_rtl(model, frames), in_python(plain, frames))
    assert measure_performance(model, PART, 10).interval <= 1.02 * free[0]


def test_sizing_puts_width_converters_where_finn_does(tmp_path):
    """Between nodes of other foldings; without them streams would be read wrongly, so sizing alone refuses."""
    from finn.builder.build_dataflow_config import DataflowBuildConfig
    from finn.transformation.fpgadataflow.simulation_build import BuildSimulation
    from finn.transformation.fpgadataflow.simulation_connected import RunLayerParallelSimulation
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.transformation.general import GiveUniqueNodeNames

    from flow.simulation.sizing import size_fifos

    model = finn_graphs.chain(4).transform(SpecializeLayers(PART)).transform(GiveUniqueNodeNames())
    assert all(node.op_type.endswith("_rtl") for node in model.graph.node)
    with pytest.raises(GatefoldError, match="gives 8 bits a word and MVAU_rtl_0 takes 16; put a width converter between them"):
        size_fifos(model, PART, 10)
    config = DataflowBuildConfig(output_dir=str(tmp_path), synth_clk_period_ns=10.0, fpga_part=PART, generate_outputs=[])
    model = model.transform(BuildSimulation(PART, 10, False, performance_sim=False))
    assert len(model.get_nodes_by_op_type("StreamingDataWidthConverter_rtl")) == 2
    model = model.transform(RunLayerParallelSimulation(PART, 10, config))
    depths = json.loads(Path(model.get_metadata_prop("fifo_data")).read_text())
    assert [entry["node"] for entry in depths] == [node.name for node in model.graph.node]
    assert all(depth >= 2 for entry in depths for depth in entry["depths"])


SCRIPT = """create_project p /tmp/p -part xc7z020clg400-1
create_bd_design "design"
add_files -norecurse {folder}/one.v
create_bd_cell -type module -reference one one_0
create_bd_cell -type hier pair
create_bd_cell -type module -reference one /pair/inner
set_property CONFIG.WIDTH 12 [get_bd_cells one_0]
set_property -dict [list CONFIG.WIDTH {{12}} ] [get_bd_cells pair/inner]
make_bd_pins_external [get_bd_pins one_0/ap_clk]
set_property name ap_clk [get_bd_ports ap_clk_0]
connect_bd_net [get_bd_ports ap_clk] [get_bd_pins pair/ap_clk]
connect_bd_net [get_bd_pins pair/ap_clk] [get_bd_pins pair/inner/ap_clk]
connect_bd_intf_net [get_bd_intf_pins one_0/out0_V] [get_bd_intf_pins pair/in0_V]
connect_bd_intf_net [get_bd_intf_pins pair/in0_V] [get_bd_intf_pins pair/inner/in0_V]
make_bd_intf_pins_external [get_bd_intf_pins one_0/in0_V]
set_property name s_axis_0 [get_bd_intf_ports in0_V_0]
{extra}
make_wrapper -files [get_files design.bd] -top
"""
PORTS = {
    "ap_clk": Port(False, 1), "in0_V_TDATA": Port(False, 12), "in0_V_TVALID": Port(False, 1), "in0_V_TREADY": Port(True, 1),
    "out0_V_tdata": Port(True, 12), "out0_V_tvalid": Port(True, 1), "out0_V_tready": Port(False, 1),
}  # fmt: skip


def script(folder, extra=""):
    (folder / "make_project.tcl").write_text(SCRIPT.format(folder=folder, extra=extra))
    return folder / "make_project.tcl"


def test_block_design_is_joined_through_hierarchies_and_cases(tmp_path):
    design = read_block_design(script(tmp_path))
    assert design.cells == {"one_0": "one", "pair/inner": "one"} and design.parameters["pair/inner"] == {"WIDTH": "12"}
    text = join(design, dict.fromkeys(design.cells, PORTS))
    header = text.split(");")[0]
    assert "input wire [11:0] s_axis_0_tdata" in header and "output wire [0:0] s_axis_0_tready" in header
    assert header.count("ap_clk") == 1 and "out0" not in header
    first, second = text.split("  one ")[1:]
    net = first.split(".out0_V_tdata(")[1].split(")")[0]
    assert f".in0_V_TDATA({net})" in second


@pytest.mark.parametrize(
    "extra, words",
    [
        (
            "create_bd_cell -type ip -vlnv xilinx.com:hls:GlobalAccPool_hls_0:1.0 GlobalAccPool_hls_0",
            "GlobalAccPool_hls_0 is an IP core",
        ),
        ("create_ip -name axi_datamover -vendor xilinx.com -library ip -module_name x", "uses create_ip"),
        ("connect_bd_net [get_bd_pins -of_objects [get_bd_cells x]] [get_bd_pins one_0/ap_clk]", "only Vivado understands"),
    ],
)
def test_what_only_vivado_knows_is_refused(tmp_path, extra, words):
    with pytest.raises(GatefoldError, match=words):
        design = read_block_design(script(tmp_path, extra))
        join(design, dict.fromkeys(design.cells, PORTS))


def test_two_drivers_and_missing_pins_are_named(tmp_path):
    design = read_block_design(
        script(tmp_path, "connect_bd_net [get_bd_pins one_0/out0_V_tvalid] [get_bd_pins pair/inner/out0_V_tvalid]")
    )
    with pytest.raises(GatefoldError, match="Two outputs drive one net.*one_0/out0_V_tvalid"):
        join(design, dict.fromkeys(design.cells, PORTS))
    design = read_block_design(script(tmp_path, "connect_bd_net [get_bd_ports ap_clk] [get_bd_pins one_0/ap_clk2x]"))
    with pytest.raises(GatefoldError, match="has no pin ap_clk2x"):
        join(design, dict.fromkeys(design.cells, PORTS))


def test_synthesis_is_refused_in_a_sentence():
    from finn.util.exception import FINNUserError

    with pytest.raises(FINNUserError, match="needs Vivado"):
        finn_graphs.stitched(finn_graphs.specialised(finn_graphs.chain()), run_synth=True)
