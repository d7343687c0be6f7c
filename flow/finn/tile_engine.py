"""The tile engine as a FINN node: the layer graph is its body, `hw/rtl/tile_engine.sv` its hardware."""

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from finn.custom_op.fpgadataflow.rtl import register_custom_op
from finn.custom_op.fpgadataflow.rtlbackend import RTLBackend
from onnx import GraphProto
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import get_by_name, qonnx_make_model

from flow.engine.compile import Compiled, compile_graph
from flow.engine.config import Folding
from flow.engine.cost import frame_cost
from flow.engine.frame import frame_record
from flow.engine.interface import load_interface, write_package
from flow.engine.plan import Plan, plan
from flow.engine.requant import hardware
from flow.engine.shared import of_text
from flow.engine.sources import RTL
from flow.engine.stream import frame_bytes
from flow.errors import GatefoldError
from flow.finn import resources
from flow.finn.convert import layer_graph
from flow.finn.folding import attribute_types, folding_of
from flow.graph.integer import run_planes
from flow.graph.layers import LayerGraph

OP = "TileEngine"
RTL_DOMAIN = "finn.custom_op.fpgadataflow.rtl"
BEAT_BYTES = 8
WORDS_PER_BEAT = 2
NO_HASH = "00000000"
"""Of an engine whose network image nobody else hands in."""
HOST_BITS, EXIT_BITS = 106, 51
"""Of `gate_host_t` and `exit_host_t` in `hw/rtl/engine_pkg.sv`: a node has no registers, its gates decide with thresholds of 0, and all
frames pass its exits."""


@register_custom_op
class TileEngine(RTLBackend, HWCustomOp):
    """A whole switchable network on one engine.

    Input 0: frames [N, 8 + bytes], UINT8: a header beat (byte 0 is the mode's index) and the image, plane after
    plane, filled up to whole bursts (`flow.engine.stream.frame_bytes`). Output 0: records [N, words], INT32: the words named in `hw/interface.json`, then the logits, the gates' decisions, then zeros.
    Both are streams of 64 bits. Every frame runs in its own mode.

    `engine` describes the engine that the network goes onto (`flow.engine.shared.text_of`); empty: one that is made for it.
    `memories_digest` is that of what `build` writes into the memories (`flow.engine.network.memories_digest`): who deploys them compares.
    In hardware the node fills its memories itself after each reset, from a network image in block memory (`engine_preload`); an accelerator
    (`flow.finn.accelerator`) gets it from its host.
    Python execution gives word 4 (cycles) from the cost formula; rtlsim counts them.
    """

    def get_nodeattr_types(self) -> dict[str, tuple]:
        return {
            **super().get_nodeattr_types(),
            **attribute_types(),
            "body": ("g", True, ""),
            "mode_names": ("strings", True, []),
            "mode": ("i", False, 0),
            "memories_digest": ("s", False, ""),
            "engine": ("s", False, ""),
            "numInputVectors": ("i", False, 1),
        }

    def get_nodeattr(self, name: str) -> Any:
        """As in FINN; the body is a ModelWrapper."""
        if name == "body":
            return ModelWrapper(qonnx_make_model(get_by_name(self.onnx_node.attribute, "body").g))
        return super().get_nodeattr(name)

    def set_nodeattr(self, name: str, value: Any) -> None:
        if name == "body":
            value = value.graph if isinstance(value, ModelWrapper) else value
            get_by_name(self.onnx_node.attribute, "body").g.CopyFrom(value)
        else:
            super().set_nodeattr(name, value)

    def layout(self) -> tuple[LayerGraph, Plan]:
        """Layer graph and memory plan; `plan.config` has all parameters of the hardware. Computed once per body and folding.

        Raises:
            GatefoldError: the engine lacks what a layer needs.
        """
        return _layout(self._body(), folding_of(self), self.get_nodeattr("engine"))

    def build(self) -> Compiled:
        """All that the compiler derives from the body, what the memories hold included; computed once per body and folding.

        Raises:
            GatefoldError: as `layout`, or a channel has no exact requantisation.
        """
        return _build(self._body(), folding_of(self), self.get_nodeattr("engine"))

    def _body(self):
        return _Body(get_by_name(self.onnx_node.attribute, "body").g.SerializeToString(deterministic=True))

    # ---- shapes and streams

    def get_input_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["UINT8"]

    def get_output_datatype(self, ind: int = 0) -> BaseDataType:
        return DataType["INT32"]

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        count, height, width, channels = self.get_nodeattr("body").get_tensor_shape("image")
        return (self.get_nodeattr("numInputVectors"), BEAT_BYTES + frame_bytes(channels, height))

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        graph, layout = self.layout()
        return (self.get_nodeattr("numInputVectors"), load_interface().record_words(graph.classes, layout.config.decisions))

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        count, size = self.get_normal_input_shape()
        return (count, size // BEAT_BYTES, BEAT_BYTES)

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        count, words = self.get_normal_output_shape()
        return (count, words // WORDS_PER_BEAT, WORDS_PER_BEAT)

    def get_instream_width(self, ind: int = 0) -> int:
        return 8 * BEAT_BYTES

    def get_outstream_width(self, ind: int = 0) -> int:
        return 32 * WORDS_PER_BEAT

    def infer_node_datatype(self, model: ModelWrapper) -> None:
        model.set_tensor_datatype(self.onnx_node.output[0], self.get_output_datatype())

    def verify_node(self) -> None:
        pass

    # ---- estimates

    def get_exp_cycles(self, mode: int | None = None) -> int:
        """Clock cycles per frame in the mode with index `mode`; in the node's own mode where omitted."""
        graph, layout = self.layout()
        index = self.get_nodeattr("mode") if mode is None else mode
        return int(frame_cost(graph, list(graph.modes)[index], layout.config).cycles)

    def lut_estimation(self, fpgapart: str) -> int:
        return resources.engine_resources(self.layout()[1].config)["LUT"]

    def dsp_estimation(self, fpgapart: str) -> int:
        return resources.engine_resources(self.layout()[1].config)["DSP"]

    def bram_estimation(self, fpgapart: str) -> int:
        return resources.engine_resources(self.layout()[1].config)["BRAM_18K"]

    # ---- execution

    def execute_node(self, context: dict[str, np.ndarray], graph: GraphProto) -> None:
        """In Python on the engine's integers, or with `exec_mode=rtlsim` on the RTL."""
        if self.get_nodeattr("exec_mode") == "rtlsim":
            RTLBackend.execute_node(self, context, graph)
            return
        build, interface = self.build(), load_interface()
        names = list(build.graph.modes)
        first = build.graph.layers[0]
        pixels = first.in_channels * first.in_size**2
        records = []
        for number, frame in enumerate(np.rint(context[self.onnx_node.input[0]]).astype(np.uint8)):
            index = int(frame[0])
            if index >= len(names):
                raise GatefoldError(f"Frame {number} asks for mode {index}; the engine has modes 0 to {len(names) - 1}.")
            image = frame[BEAT_BYTES:][:pixels].reshape(1, first.in_channels, first.in_size, first.in_size)
            result = run_planes(build.graph, image, names[index], hardware(build.table))
            records.append(
                interface.pack_record(frame=number, **frame_record(build.graph, build.plan.config, names[index], result, 0))
            )
        words = np.array(records, np.int64).astype(np.int32)  # logits are two's complement
        context[self.onnx_node.output[0]] = words.astype(np.float32)

    # ---- hardware

    def generate_hdl(self, model: ModelWrapper, fpgapart: str, clk: float) -> None:
        """Write the wrapper with FINN's port names, the interface package and the network image."""
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        top = self.get_verilog_top_module_name()
        build = self.build()
        words = np.frombuffer(build.image(NO_HASH), "<u8")
        (folder / f"{top}.mem").write_text("".join(f"{word:016x}\n" for word in words))
        write_package(folder / "gatefold_pkg.sv")
        (folder / f"{top}.v").write_text(_wrapper(top, build.plan.config, len(words)))
        self.set_nodeattr("gen_top_module", top)
        self.set_nodeattr("ipgen_path", str(folder))
        self.set_nodeattr("ip_path", str(folder))

    def get_rtl_file_list(self, abspath: bool = False) -> list[str]:
        """RTL and the network image; packages first."""
        folder = Path(self.get_nodeattr("code_gen_dir_ipgen"))
        sources = sorted(RTL.glob("engine_*.sv"), key=lambda file: (not file.stem.endswith("_pkg"), file.name))
        files = [folder / "gatefold_pkg.sv", *sources, RTL / "tile_engine.sv", folder / f"{self.get_nodeattr('gen_top_module')}.v"]
        files += sorted(folder.glob("*.mem"))
        return [str(file) if abspath else file.name for file in files]

    def code_generation_ipi(self) -> list[str]:
        """Tcl commands that add the files to a Vivado project and make the block-design cell."""
        commands = [f"add_files -norecurse {file}" for file in self.get_rtl_file_list(abspath=True)]
        return [*commands, f"create_bd_cell -type module -reference {self.get_nodeattr('gen_top_module')} {self.onnx_node.name}"]


class _Body:
    """Serialised body, hashed by content for the cache."""

    def __init__(self, data):
        self.data, self._key = data, hashlib.sha256(data).hexdigest()

    def __hash__(self):
        return hash(self._key)

    def __eq__(self, other):
        return self._key == other._key


@functools.lru_cache(maxsize=8)
def _layout(body: _Body, folding: Folding, engine: str) -> tuple[LayerGraph, Plan]:
    proto = GraphProto()
    proto.ParseFromString(body.data)
    graph = layer_graph(ModelWrapper(qonnx_make_model(proto)))
    return graph, plan(graph, folding, of_text(engine))


@functools.lru_cache(maxsize=8)
def _build(body: _Body, folding: Folding, engine: str) -> Compiled:
    graph, layout = _layout(body, folding, engine)
    return compile_graph(graph, folding, layout)


def _wrapper(top, config, words):
    values = config.parameters()
    parameters = ",\n".join(f"        .{name}({value})" for name, value in values.items())
    return f"""// Generated from the memory plan by flow/finn/tile_engine.py.
module {top} (
    input         ap_clk,
    input         ap_rst_n,
    input  [63:0] in0_V_tdata,
    input         in0_V_tvalid,
    output        in0_V_tready,
    output [63:0] out0_V_tdata,
    output        out0_V_tvalid,
    input         out0_V_tready
);
    wire [63:0] tdata;
    wire        tvalid, tready;
    engine_preload #(.WORDS({words}), .FILE("{top}.mem")) preload (
        .clk(ap_clk), .rst_n(ap_rst_n), .s_axis_tdata(in0_V_tdata), .s_axis_tvalid(in0_V_tvalid), .s_axis_tready(in0_V_tready),
        .m_axis_tdata(tdata), .m_axis_tvalid(tvalid), .m_axis_tready(tready)
    );
    tile_engine #(
{parameters}
    ) engine (
        .clk(ap_clk), .rst_n(ap_rst_n), .gate_host({HOST_BITS}'d0), .exit_host({EXIT_BITS}'d0),
        .s_axis_tdata(tdata), .s_axis_tvalid(tvalid), .s_axis_tready(tready), .network_done(), .network_error(), .network_modes(),
        .m_axis_tdata(out0_V_tdata), .m_axis_tvalid(out0_V_tvalid), .m_axis_tready(out0_V_tready)
    );
endmodule
"""
