"""One-node FINN models for the tests: base op, shapes, folding; specialised to RTL and run by FINN itself."""

import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveUniqueNodeNames
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model

PART = "xc7z020clg400-1"
DOMAIN = "finn.custom_op.fpgadataflow"


def one_node(op: str, in_shape, out_shape, in_type: str, out_type: str, initializers=(), **attributes) -> ModelWrapper:
    """Graph `inp -> op -> outp`; `initializers` are (name, array, datatype) of the further inputs."""
    inp = helper.make_tensor_value_info("inp", TensorProto.FLOAT, list(in_shape))
    outp = helper.make_tensor_value_info("outp", TensorProto.FLOAT, list(out_shape))
    names = ["inp", *(name for name, _, _ in initializers)]
    node = helper.make_node(op, names, ["outp"], domain=DOMAIN, backend="fpgadataflow", preferred_impl_style="rtl", **attributes)
    model = ModelWrapper(qonnx_make_model(helper.make_graph([node], op, [inp], [outp])))
    for name, value, datatype in initializers:
        model.set_initializer(name, value.astype(np.float32))
        model.set_tensor_datatype(name, DataType[datatype])
    model.set_tensor_datatype("inp", DataType[in_type])
    model.set_tensor_datatype("outp", DataType[out_type])
    return model.transform(InferShapes()).transform(InferDataTypes()).transform(GiveUniqueNodeNames())


def fmpadding(size=(16, 16), padding=(1, 1, 1, 1), channels=8, simd=2, datatype="INT4") -> ModelWrapper:
    """`padding` is top, left, bottom, right."""
    height, width = size[0] + padding[0] + padding[2], size[1] + padding[1] + padding[3]
    return one_node(
        "FMPadding", (1, *size, channels), (1, height, width, channels), datatype, datatype,
        ImgDim=list(size), Padding=list(padding), NumChannels=channels, SIMD=simd, inputDataType=datatype, numInputVectors=1,
    )  # fmt: skip


def swg(
    size=(18, 18), kernel=(3, 3), stride=(1, 1), dilation=(1, 1), channels=8, simd=2, datatype="INT4", depthwise=0, parallel=0
) -> ModelWrapper:
    """Sliding windows; `parallel` emits a whole window per beat."""
    out = [(s - (k - 1) * d - 1) // step + 1 for s, k, d, step in zip(size, kernel, dilation, stride, strict=True)]
    return one_node(
        "ConvolutionInputGenerator", (1, *size, channels), (1, *out, kernel[0] * kernel[1] * channels), datatype, datatype,
        ConvKernelDim=list(kernel), IFMChannels=channels, IFMDim=list(size), OFMDim=out, SIMD=simd, M=1, Stride=list(stride),
        Dilation=list(dilation), inputDataType=datatype, outputDataType=datatype, depthwise=depthwise, is1D=0,
        parallel_window=parallel,
    )  # fmt: skip


def thresholding(channels=16, pe=2, in_type="INT8", step_type="INT8", out_type="UINT4", size=16) -> ModelWrapper:
    levels = DataType[out_type].get_num_possible_values() - 1
    low, high = max(DataType[step_type].min(), -1000), min(DataType[step_type].max(), 1000)
    steps = np.sort(np.random.default_rng(3).integers(low, high + 1, (channels, levels)), axis=1)
    return one_node(
        "Thresholding", (1, size, size, channels), (1, size, size, channels), in_type, out_type, [("thresh", steps, step_type)],
        NumChannels=channels, PE=pe, numSteps=levels, inputDataType=in_type, weightDataType=step_type, outputDataType=out_type,
        numInputVectors=[1, size, size], ActVal=int(DataType[out_type].min()),
    )  # fmt: skip


def mvau(width=72, height=16, simd=12, pe=4, in_type="UINT4", weight_type="INT4", size=8, **attributes) -> ModelWrapper:
    """Matrix [width, height] applied to size × size vectors, accumulators out."""
    high = int(DataType[weight_type].max())  # narrow range, as FINN demands of the RTL unit on DSP48E1
    weights = np.random.default_rng(4).integers(-high, high + 1, (width, height))
    return one_node(
        "MVAU", (1, size, size, width), (1, size, size, height), in_type, "INT32", [("weights", weights, weight_type)],
        MW=width, MH=height, SIMD=simd, PE=pe, inputDataType=in_type, weightDataType=weight_type, outputDataType="INT32", ActVal=0,
        binaryXnorMode=0, noActivation=1, numInputVectors=[1, size, size], mem_mode="internal_decoupled", resType="dsp",
        **attributes,
    )  # fmt: skip


def dwc(shape=(1, 64, 24), in_width=24, out_width=16, datatype="INT4") -> ModelWrapper:
    return one_node(
        "StreamingDataWidthConverter", shape, shape, datatype, datatype,
        inShape=list(shape), outShape=list(shape), inWidth=in_width, outWidth=out_width, dataType=datatype,
    )  # fmt: skip


def rtlsim_node(build, part=PART, **attributes):
    """(model ready for rtlsim, inputs, output of the Python execution); `attributes` belong to the RTL node."""
    import finn.core.onnx_exec as oxe
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from finn.util.basic import getHWCustomOp
    from qonnx.util.basic import gen_finn_dt_tensor

    model = build()
    np.random.seed(7)
    feed = {
        tensor.name: gen_finn_dt_tensor(model.get_tensor_datatype(tensor.name), model.get_tensor_shape(tensor.name))
        for tensor in model.graph.input
    }
    feed = {name: value.astype(np.float32) for name, value in feed.items()}
    expected = oxe.execute_onnx(model, feed)["outp"]
    model = model.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())
    assert model.graph.node[0].op_type.endswith("_rtl")
    for name, setting in attributes.items():
        getHWCustomOp(model.graph.node[0]).set_nodeattr(name, setting)
    model = model.transform(SetExecMode("rtlsim")).transform(PrepareIP(part, 10)).transform(HLSSynthIP())
    return model.transform(PrepareRTLSim()), feed, expected


def run(model, feed):
    """(output of the rtlsim, the node)."""
    import finn.core.onnx_exec as oxe
    from finn.util.basic import getHWCustomOp

    return oxe.execute_onnx(model, feed)["outp"], getHWCustomOp(model.graph.node[0])
