"""Simulated cycles per second: the C++ stream loop against FINN's Python SimEngine, on one node in one run.

    .venv/bin/python bench/sim.py [--rounds 3] [--json]

The node is FINN's own FMPadding_rtl (32×32×16 pixels of 4 bits, two a beat); both engines drive the same
compiled model with the same input, and both outputs are checked against FINN's Python execution.
"""

import argparse
import json
import time

import numpy as np

from flow.rtlsim import install

PART = "xc7z020clg400-1"
SIZE, CHANNELS, SIMD = 32, 16, 2


def padding_node():
    """A FINN model of one FMPadding node, generated and compiled for rtlsim."""
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
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
    model = model.transform(SpecializeLayers(PART)).transform(GiveUniqueNodeNames())
    model = model.transform(SetExecMode("rtlsim")).transform(PrepareIP(PART, 10)).transform(HLSSynthIP())
    return model.transform(PrepareRTLSim())


def measure(node, beats, rounds):
    """(cycles of one frame, best cycles per second, output beats) through `finn.xsi`."""
    from finn import xsi

    best, frame = 0.0, None
    for _ in range(rounds):
        sim = node.get_rtlsim()
        node.reset_rtlsim(sim)
        io = {"inputs": {"in0": beats}, "outputs": {"out0": []}}
        start = time.perf_counter()
        cycles = xsi.rtlsim_multi_io(sim, io, node.get_number_output_values(), sname="_V")
        best = max(best, cycles / (time.perf_counter() - start))
        node.close_rtlsim(sim)
        frame = (cycles, io["outputs"]["out0"])
    return frame[0], best, frame[1]


def measure_arrays(node, beats, rounds):
    """As `measure`, for `Model.stream` with arrays in and out: what our own nodes use."""
    from flow.rtlsim import Model

    width = node.get_instream_width_padded() // 8
    stream = np.frombuffer(b"".join(int(beat).to_bytes(width, "little") for beat in beats), np.uint8).reshape(-1, width)
    best, frame = 0.0, None
    for _ in range(rounds):
        with Model(node.get_nodeattr("rtlsim_so")) as model:
            model.reset()
            start = time.perf_counter()
            frame = model.stream({"in0_V": stream}, {"out0_V": node.get_number_output_values()})
            best = max(best, frame.cycles / (time.perf_counter() - start))
    return frame.cycles, best, [int.from_bytes(beat.tobytes(), "little") for beat in frame.outputs["out0_V"]]


ENGINES = {
    "sim_engine": ("FINN's SimEngine (Python)", False, measure),
    "stream_loop": ("stream loop behind finn.xsi", True, measure),
    "stream_loop_arrays": ("stream loop on arrays", True, measure_arrays),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each engine; the fastest counts (default 3)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    install()
    from finn.util.basic import getHWCustomOp
    from finn.util.data_packing import npy_to_rtlsim_input, rtlsim_output_to_npy

    model = padding_node()
    node = getHWCustomOp(model.graph.node[0])
    image = np.random.default_rng(0).integers(-8, 8, (1, SIZE, SIZE, CHANNELS)).astype(np.float32)
    datatype = node.get_input_datatype()
    beats = npy_to_rtlsim_input(image.reshape(node.get_folded_input_shape()), datatype, node.get_instream_width())
    expected = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)))

    result = {"node": "FMPadding_rtl", "cycles_estimate": int(node.get_exp_cycles())}
    for name, (_, stream_loop, run) in ENGINES.items():
        install(stream_loop=stream_loop)
        cycles, rate, output = run(node, beats, args.rounds)
        values = rtlsim_output_to_npy(
            output, None, datatype, node.get_folded_output_shape(), node.get_outstream_width(), datatype.bitwidth()
        )
        result[name] = {
            "cycles": int(cycles),
            "cycles_per_second": round(rate),
            "equal": bool(np.array_equal(values.reshape(expected.shape), expected)),
        }
    for name in ENGINES:
        result[name]["ratio"] = round(result[name]["cycles_per_second"] / result["sim_engine"]["cycles_per_second"], 1)
    if args.json:
        print(json.dumps(result))
        return
    for name, (label, _, _) in ENGINES.items():
        row = result[name]
        check = "equal to Python" if row["equal"] else "DIFFERS from Python"
        print(
            f"{label:28} {row['cycles_per_second']:>12,} cycles/s   ratio {row['ratio']:>6}   {row['cycles']} cycles, {check}"
        )


if __name__ == "__main__":
    main()
