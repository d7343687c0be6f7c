"""One small node for every RTL class of FINN, or the reason why the class is refused."""

import finn_nodes
import numpy as np
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveUniqueNodeNames
from qonnx.util.basic import qonnx_make_model

VERSAL = "xcvc1902-vsva2197-2MP-e-S"


def node(op, inputs, output, initializers=(), **attributes):
    """Graph of one node; `inputs` maps name to (shape, type), `output` is (shape, type), initialisers (array, type)."""
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, (shape, _) in inputs.items()]
    outp = helper.make_tensor_value_info("outp", TensorProto.FLOAT, output[0])
    names = [*inputs, *(f"constant{index}" for index in range(len(initializers)))]
    made = helper.make_node(
        op, names, ["outp"], domain=finn_nodes.DOMAIN, backend="fpgadataflow", preferred_impl_style="rtl", **attributes
    )
    model = ModelWrapper(qonnx_make_model(helper.make_graph([made], op, infos, [outp])))
    for name, (value, datatype) in zip(names[len(inputs) :], initializers, strict=True):
        model.set_initializer(name, value.astype(np.float32))
        model.set_tensor_datatype(name, DataType[datatype])
    for name, (_, datatype) in [*inputs.items(), ("outp", output)]:
        model.set_tensor_datatype(name, DataType[datatype])
    return model.transform(GiveUniqueNodeNames())


def elementwise(op, left, constant=False):
    """Two streams of eight times twelve numbers, or one and a constant; the second operand and the result are FLOAT32."""
    right = out = "FLOAT32"
    shape = [1, 8, 12]
    value = np.random.default_rng(2).normal(size=12)
    inputs = {"inp": (shape, left)} | ({} if constant else {"inp1": (shape, right)})
    return node(
        f"Elementwise{op}", inputs, (shape, out), [(value, right)] if constant else (), lhs_dtype=left, rhs_dtype=right,
        out_dtype=out, lhs_shape=shape, rhs_shape=[12] if constant else shape, out_shape=shape, PE=4,
        rhs_style="const" if constant else "input",
    )  # fmt: skip


def pad1d():
    tokens = np.random.default_rng(3).integers(-8, 8, (2, 1, 2, 12))
    return node(
        "Pad1D", {"inp": ([1, 5, 12], "INT4")}, ([1, 9, 12], "INT4"), [(tokens[0], "INT4"), (tokens[1], "INT4")],
        NumTokens=5, NumChannels=12, PadLeft=2, PadRight=2, SIMD=4, inputDataType="INT4", outputDataType="INT4",
    )  # fmt: skip


def crop():
    return node(
        "Crop", {"inp": ([1, 6, 5, 8], "INT4")}, ([1, 3, 3, 8], "INT4"), DataType="INT4", ImgDim=[6, 5], NumChannels=8,
        CropNorth=1, CropSouth=2, CropWest=2, CropEast=0, SIMD=4, numInputVectors=[1],
    )  # fmt: skip


def selecttoken():
    return node(
        "SelectToken", {"inp": ([1, 6, 8], "INT4")}, ([1, 8], "INT4"), DataType="INT4", ImgDim=[0, 6], NumChannels=8,
        CropNorth=0, CropSouth=0, CropWest=3, CropEast=2, NumTokens=6, TokenIndex=3, SIMD=4, inputDataType="INT4",
        outputDataType="INT4", numInputVectors=[1],
    )  # fmt: skip


def where():
    return node(
        "HWWhere", {"inp": ([2, 1, 6], "BINARY"), "inp1": ([2, 3, 6], "INT4"), "inp2": ([1, 3, 1], "INT4")}, ([2, 3, 6], "INT4"),
        Shape=[2, 3, 6], CondShape=[2, 1, 6], XShape=[2, 3, 6], YShape=[1, 3, 1], PE=2, conditionDataType="BINARY",
        inputDataType="INT4", outputDataType="INT4",
    )  # fmt: skip


def requant():
    rng = np.random.default_rng(5)
    scale, bias = rng.uniform(0.002, 0.05, 6).astype(np.float32), rng.uniform(-3, 3, 6).astype(np.float32)
    return node(
        "Requant", {"inp": ([1, 7, 6], "INT12")}, ([1, 7, 6], "UINT4"), [(scale, "FLOAT32"), (bias, "FLOAT32")],
        PE=2, NumChannels=6, inputDataType="INT12", outputDataType="UINT4", numInputVectors=[1, 7],
    )  # fmt: skip


def float_node(op, shape=(1, 6, 12), **attributes):
    return node(op, {"inp": (list(shape), "FLOAT32")}, (list(shape), "FLOAT32"), **attributes)


def layernorm():
    return float_node("LayerNorm", SIMD=3, ifm_dim=[1, 6, 12], epsilon=1e-5, inputDataType="FLOAT32", outputDataType="FLOAT32")


def softmax():
    return float_node("HWSoftmax", ifm_dim=[1, 6, 12], SIMD=3, input_data_type="FLOAT32", NumChannels=12)


def pwpolyf():
    return float_node(
        "PWPolyF", func="gelu", PE=3, NumChannels=12, inputDataType="FLOAT32", outputDataType="FLOAT32", numInputVectors=[1, 6]
    )


def shuffle():
    return node(
        "InnerShuffle", {"inp": ([1, 6, 12], "INT4")}, ([1, 12, 6], "INT4"), in_shape=[1, 6, 12], transpose_in_shape=[1, 6, 12],
        out_shape=[1, 12, 6], data_type="INT4", SIMD=3,
    )  # fmt: skip


def vvau():
    weights = np.random.default_rng(6).integers(-7, 8, (8, 1, 3, 3))
    return node(
        "VVAU", {"inp": ([1, 4, 4, 72], "INT8")}, ([1, 4, 4, 8], "INT32"), [(weights, "INT4")], PE=4, SIMD=3, Dim=[4, 4],
        Channels=8, Kernel=[3, 3], resType="dsp", inputDataType="INT8", weightDataType="INT4", outputDataType="INT32",
        noActivation=1, mem_mode="internal_decoupled",
    )  # fmt: skip


def reshape():
    return node(
        "Reshape", {"inp": ([1, 6, 12], "INT4")}, ([1, 72], "INT4"), inp_shape=[1, 6, 12], out_shape=[1, 72], dtype="INT4", PE=4
    )


def fifo(depth=20, ram_style="auto"):
    return node(
        "StreamingFIFO", {"inp": ([1, 40, 12], "INT4")}, ([1, 40, 12], "INT4"), depth=depth, folded_shape=[1, 40, 3, 4],
        normal_shape=[1, 40, 12], dataType="INT4", ram_style=ram_style,
    )  # fmt: skip


def remove_data():
    return node(
        "RemoveDataPath", {"inp": ([1, 40, 12], "INT4")}, ([1, 40, 12], "INT4"), folded_shape=[1, 40, 3, 4],
        normal_shape=[1, 40, 12], dataType="INT4",
    )  # fmt: skip


NODES = {
    "ConvolutionInputGenerator_rtl": (lambda: finn_nodes.swg(size=(6, 6), channels=4), finn_nodes.PART),
    "Crop_rtl": (crop, finn_nodes.PART),
    "ElementwiseAdd_rtl": (lambda: elementwise("Add", "INT8"), VERSAL),
    "ElementwiseSub_rtl": (lambda: elementwise("Sub", "FLOAT32"), VERSAL),
    "ElementwiseMul_rtl": (lambda: elementwise("Mul", "FLOAT32", constant=True), VERSAL),
    "FMPadding_rtl": (lambda: finn_nodes.fmpadding(size=(5, 4), channels=4), finn_nodes.PART),
    "HWSoftmax_rtl": (softmax, VERSAL),
    "HWWhere_rtl": (where, finn_nodes.PART),
    "InnerShuffle_rtl": (shuffle, finn_nodes.PART),
    "LayerNorm_rtl": (layernorm, VERSAL),
    "MVAU_rtl": (lambda: finn_nodes.mvau(size=2), finn_nodes.PART),
    "MVAU_rtl tiled": (lambda: finn_nodes.mvau(width=12, height=4, simd=3, pe=2, size=2, TH=2), VERSAL),
    "PWPolyF_rtl": (pwpolyf, VERSAL),
    "Pad1D_rtl": (pad1d, finn_nodes.PART),
    "Requant_rtl": (requant, finn_nodes.PART),
    "Reshape_rtl": (reshape, finn_nodes.PART),
    "SelectToken_rtl": (selecttoken, finn_nodes.PART),
    "StreamingDataWidthConverter_rtl": (lambda: finn_nodes.dwc(shape=(1, 8, 24)), finn_nodes.PART),
    "Thresholding_rtl": (lambda: finn_nodes.thresholding(channels=6, pe=3, size=4), finn_nodes.PART),
    "VVAU_rtl": (vvau, VERSAL),
}
"""Class, or class and variant -> (builder of the base node, part that it is specialised for)."""
