"""Simulated cycles per second of processor time: the C++ stream loop against FINN's Python SimEngine, on one node in one run.

    .venv/bin/python bench/sim.py [--node padding|engine] [--rounds 3] [--compile] [--json]

Both engines drive the same compiled model with the same input, and every output is checked against Python:
`padding` is FINN's own FMPadding_rtl (32×32×16 pixels of 4 bits, two a beat), `engine` our TileEngine with a random
ResNet-8, one frame in each of its five modes. `--compile` adds the processor time of compiling the node's model, with
Verilator's runtime and the precompiled header already there.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from flow.simulation import install

PART = "xc7z020clg400-1"
SIZE, CHANNELS, SIMD = 32, 16, 2


def compiled(model):
    """The model with generated code, ready for rtlsim."""
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim

    return model.transform(PrepareIP(PART, 10)).transform(HLSSynthIP()).transform(PrepareRTLSim())


def padding():
    """(node, input, expected output, mask of the compared values) of one FMPadding node."""
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from finn.util.basic import getHWCustomOp
    from onnx import TensorProto, helper
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.general import GiveUniqueNodeNames
    from qonnx.util.basic import qonnx_make_model

    inp = helper.make_tensor_value_info("inp", TensorProto.FLOAT, [1, SIZE, SIZE, CHANNELS])
    outp = helper.make_tensor_value_info("outp", TensorProto.FLOAT, [1, SIZE + 2, SIZE + 2, CHANNELS])
    node = helper.make_node(
        "FMPadding", ["inp"], ["outp"], domain="finn.custom_op.fpgadataflow", backend="fpgadataflow",
        preferred_impl_style="rtl", ImgDim=[SIZE, SIZE], Padding=[1, 1, 1, 1], NumChannels=CHANNELS, SIMD=SIMD,
        inputDataType="INT4", numInputVectors=1,
    )  # fmt: skip
    model = ModelWrapper(qonnx_make_model(helper.make_graph([node], "padding", [inp], [outp])))
    for tensor in ("inp", "outp"):
        model.set_tensor_datatype(tensor, DataType["INT4"])
    model = compiled(model.transform(SpecializeLayers(PART)).transform(GiveUniqueNodeNames()))
    image = np.random.default_rng(0).integers(-8, 8, (1, SIZE, SIZE, CHANNELS)).astype(np.float32)
    expected = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return getHWCustomOp(model.graph.node[0]), image, expected, np.ones(expected.shape, bool)


def engine():
    """As `padding`, of a TileEngine; the record's cycle count is the one word that Python only models."""
    import finn.core.onnx_exec as oxe
    from finn.util.basic import getHWCustomOp

    import flow.finn as gatefold_finn
    from flow.engine.interface import load_interface
    from flow.graph.random_graph import random_resnet

    graph = random_resnet(1)
    frames = len(graph.modes)
    model = gatefold_finn.build_layer_graph(graph, frames=frames).transform(gatefold_finn.MapToTileEngine())
    images = np.random.default_rng(0).integers(0, 256, (frames, 32, 32, 3)).astype(np.float32)
    feed = {"image": images, "mode": np.arange(frames, dtype=np.float32)[:, None]}
    tensors = oxe.execute_onnx(model, feed, return_full_exec_context=True)
    mask = np.ones(tensors["record"].shape, bool)
    mask[:, load_interface().record.index("cycles")] = False
    model = compiled(model)
    return getHWCustomOp(model.get_nodes_by_op_type("TileEngine")[0]), tensors["frame"], tensors["record"], mask


def through_finn(node, beats, rounds):
    """(cycles of one run, best cycles per second, output beats) through `finn.xsi`."""
    from finn import xsi

    best, last = 0.0, None
    for _ in range(rounds):
        sim = node.get_rtlsim()
        node.reset_rtlsim(sim)
        io = {"inputs": {"in0": beats}, "outputs": {"out0": []}}
        start = time.process_time()
        cycles = xsi.rtlsim_multi_io(sim, io, node.get_number_output_values(), sname="_V", liveness_threshold=1_000_000)
        best = max(best, cycles / (time.process_time() - start))
        node.close_rtlsim(sim)
        last = cycles, io["outputs"]["out0"]
    return last[0], best, last[1]


def on_arrays(node, beats, rounds):
    """As `through_finn`, for `Model.stream` with arrays in and out."""
    from flow.simulation import Model

    library = Path(node.get_nodeattr("rtlsim_so"))
    width = node.get_instream_width_padded() // 8
    stream = np.frombuffer(b"".join(int(beat).to_bytes(width, "little") for beat in beats), np.uint8).reshape(-1, width)
    best, last = 0.0, None
    for _ in range(rounds):
        with Model(library, library.parents[2]) as model:
            model.reset()
            start = time.process_time()
            last = model.stream({"in0_V": stream}, {"out0_V": node.get_number_output_values()})
            best = max(best, last.cycles / (time.process_time() - start))
    return last.cycles, best, [int.from_bytes(beat.tobytes(), "little") for beat in last.outputs["out0_V"]]


ENGINES = {
    "sim_engine": ("FINN's SimEngine (Python)", False, through_finn),
    "stream_loop": ("stream loop behind finn.xsi", True, through_finn),
    "stream_loop_arrays": ("stream loop on arrays", True, on_arrays),
}


def measure(case, rounds):
    """Every engine on one case."""
    from finn.util.data_packing import npy_to_rtlsim_input, rtlsim_output_to_npy

    node, value, expected, mask = case
    folded = value.reshape(node.get_folded_input_shape())
    beats = npy_to_rtlsim_input(folded, node.get_input_datatype(), node.get_instream_width())
    datatype = node.get_output_datatype()
    result = {"node": node.onnx_node.op_type}
    for name, (_, stream_loop, run) in ENGINES.items():
        install(stream_loop=stream_loop)
        cycles, rate, output = run(node, beats, rounds)
        values = rtlsim_output_to_npy(
            output, None, datatype, node.get_folded_output_shape(), node.get_outstream_width(), datatype.bitwidth()
        )
        result[name] = {
            "cycles": int(cycles),
            "cycles_per_second": round(rate),
            "equal": bool(np.array_equal(values.reshape(expected.shape)[mask], expected[mask])),
        }
    for name in ENGINES:
        result[name]["ratio"] = round(result[name]["cycles_per_second"] / result["sim_engine"]["cycles_per_second"], 1)
    return result


def compilation(node):
    """Seconds of processor time for one compilation of the node's model, the cache passed by through a name of its own."""
    from flow.simulation.compile import compile_model, design_sources

    sources, _ = design_sources([file for file in map(str, node.get_rtl_file_list(abspath=True)) if not file.endswith(".mem")])
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    compile_model(node.get_verilog_top_module_name(), sources, defines=[f"BENCH_{time.time_ns()}"])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--node", choices=("padding", "engine"), default="padding", help="what is simulated (default: padding)")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each engine; the fastest counts (default: 3)")
    parser.add_argument("--compile", action="store_true", help="also measure a compilation")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    install()
    case = {"padding": padding, "engine": engine}[args.node]()
    result = measure(case, args.rounds)
    if args.compile:
        result["compilation_seconds"] = compilation(case[0])
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['node']}, fastest of {args.rounds} runs")
    for name, (label, _, _) in ENGINES.items():
        row = result[name]
        check = "equal to Python" if row["equal"] else "DIFFERS from Python"
        print(f"{label:28} {row['cycles_per_second']:>12,} cycles/s   ratio {row['ratio']:>6}   {row['cycles']} cycles, {check}")
    if args.compile:
        print(f"compilation {result['compilation_seconds']} s of processor time")


if __name__ == "__main__":
    main()
