"""One-node FINN models for the tests: base op, shapes, folding; specialised to RTL by FINN itself."""

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


def fmpadding() -> ModelWrapper:
    return one_node(
        "FMPadding", (1, 16, 16, 8), (1, 18, 18, 8), "INT4", "INT4",
        ImgDim=[16, 16], Padding=[1, 1, 1, 1], NumChannels=8, SIMD=2, inputDataType="INT4", numInputVectors=1,
    )  # fmt: skip


def swg() -> ModelWrapper:
    return one_node(
        "ConvolutionInputGenerator", (1, 18, 18, 8), (1, 16, 16, 72), "INT4", "INT4",
        ConvKernelDim=[3, 3], IFMChannels=8, IFMDim=[18, 18], OFMDim=[16, 16], SIMD=2, M=1, Stride=[1, 1], Dilation=[1, 1],
        inputDataType="INT4", outputDataType="INT4", depthwise=0, is1D=0,
    )  # fmt: skip


def thresholding() -> ModelWrapper:
    steps = np.sort(np.random.default_rng(3).integers(-100, 100, (16, 15)), axis=1)
    return one_node(
        "Thresholding", (1, 16, 16, 16), (1, 16, 16, 16), "INT8", "UINT4", [("thresh", steps, "INT8")],
        NumChannels=16, PE=2, numSteps=15, inputDataType="INT8", weightDataType="INT8", outputDataType="UINT4",
        numInputVectors=[1, 16, 16], ActVal=0,
    )  # fmt: skip


def mvau() -> ModelWrapper:
    weights = np.random.default_rng(4).integers(-7, 8, (72, 16))
    return one_node(
        "MVAU", (1, 8, 8, 72), (1, 8, 8, 16), "UINT4", "INT32", [("weights", weights, "INT4")],
        MW=72, MH=16, SIMD=12, PE=4, inputDataType="UINT4", weightDataType="INT4", outputDataType="INT32", ActVal=0,
        binaryXnorMode=0, noActivation=1, numInputVectors=[1, 8, 8], mem_mode="internal_decoupled", resType="dsp",
    )  # fmt: skip


def dwc() -> ModelWrapper:
    return one_node(
        "StreamingDataWidthConverter", (1, 64, 24), (1, 64, 24), "INT4", "INT4",
        inShape=[1, 64, 24], outShape=[1, 64, 24], inWidth=24, outWidth=16, dataType="INT4",
    )  # fmt: skip
