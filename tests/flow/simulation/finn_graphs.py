"""Graphs of several FINN nodes for the tests: a convolution layer as a chain, with FIFOs, ready to be stitched."""

import numpy as np
from finn_nodes import DOMAIN, PART
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.basic import qonnx_make_model


class Graph:
    """Nodes of FINN, one call each; tensors are NHWC."""

    def __init__(self, shape, datatype, seed=0):
        self.random = np.random.default_rng(seed)
        self.nodes, self.initializers = [], []
        self.shapes, self.types = {"inp": list(shape)}, {"inp": datatype}

    def add(self, op, inputs, outputs, datatype, **attributes):
        """`outputs` maps name to shape; tensors of the inputs that are arrays become initialisers (array, datatype)."""
        names = []
        for item in inputs:
            if not isinstance(item, str):
                self.initializers.append((f"{op}_{len(self.nodes)}_{len(names)}", *item))
                item = self.initializers[-1][0]
            names.append(item)
        self.nodes.append(helper.make_node(op, names, list(outputs), domain=DOMAIN, backend="fpgadataflow", **attributes))
        for name, shape in outputs.items():
            self.shapes[name], self.types[name] = list(shape), datatype
        return list(outputs)[0]

    def padding(self, x, y, simd):
        n, height, width, channels = self.shapes[x]
        return self.add(
            "FMPadding", [x], {y: (n, height + 2, width + 2, channels)}, self.types[x], ImgDim=[height, width],
            Padding=[1, 1, 1, 1], NumChannels=channels, SIMD=simd, inputDataType=self.types[x], preferred_impl_style="rtl",
        )  # fmt: skip

    def windows(self, x, y, simd, kernel=3, stride=1):
        n, height, width, channels = self.shapes[x]
        out = [(size - kernel) // stride + 1 for size in (height, width)]
        return self.add(
            "ConvolutionInputGenerator", [x], {y: (n, *out, kernel * kernel * channels)}, self.types[x],
            ConvKernelDim=[kernel] * 2, IFMChannels=channels, IFMDim=[height, width], OFMDim=out, SIMD=simd, M=1,
            Stride=[stride] * 2, Dilation=[1, 1], inputDataType=self.types[x], outputDataType=self.types[x], depthwise=0, is1D=0,
            parallel_window=0, preferred_impl_style="rtl",
        )  # fmt: skip

    def matrix(self, x, y, height, simd, pe, **attributes):
        *outer, width = self.shapes[x]
        weights = self.random.integers(-7, 8, (width, height))
        return self.add(
            "MVAU", [x, (weights, "INT4")], {y: (*outer, height)}, "INT16", MW=width, MH=height, SIMD=simd, PE=pe,
            inputDataType=self.types[x], weightDataType="INT4", outputDataType="INT16", ActVal=0, binaryXnorMode=0,
            noActivation=1, numInputVectors=outer, mem_mode="internal_decoupled", resType="dsp", preferred_impl_style="rtl",
            **attributes,
        )  # fmt: skip

    def thresholds(self, x, y, pe, datatype="UINT4", spread=120):
        channels, levels = self.shapes[x][-1], DataType[datatype].get_num_possible_values() - 1
        steps = np.sort(self.random.integers(-spread, spread, (channels, levels)), axis=1)
        return self.add(
            "Thresholding", [x, (steps, self.types[x])], {y: self.shapes[x]}, datatype, NumChannels=channels, PE=pe,
            numSteps=levels, inputDataType=self.types[x], weightDataType=self.types[x], outputDataType=datatype,
            numInputVectors=self.shapes[x][:-1], ActVal=int(DataType[datatype].min()), preferred_impl_style="rtl",
        )  # fmt: skip

    def duplicate(self, x, outputs, pe):
        return self.add(
            "DuplicateStreams", [x], dict.fromkeys(outputs, self.shapes[x]), self.types[x], NumChannels=self.shapes[x][-1], PE=pe,
            NumOutputStreams=len(outputs), inputDataType=self.types[x], numInputVectors=self.shapes[x][:-1],
            outFIFODepths=[2] * len(outputs), preferred_impl_style="rtl",
        )  # fmt: skip

    def plus(self, x, other, y, pe):
        datatype, shape = self.types[x], self.shapes[x]
        return self.add(
            "ElementwiseAdd", [x, other], {y: shape}, f"INT{DataType[datatype].bitwidth() + 1}", lhs_dtype=datatype,
            rhs_dtype=datatype, out_dtype=f"INT{DataType[datatype].bitwidth() + 1}", lhs_shape=shape, rhs_shape=shape,
            out_shape=shape, PE=pe, inFIFODepths=[2, 2], preferred_impl_style="rtl",
        )  # fmt: skip

    def model(self, output):
        infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in self.shapes.items()}
        graph = helper.make_graph(
            self.nodes, "graph", [infos["inp"]], [infos[output]],
            value_info=[info for name, info in infos.items() if name not in ("inp", output)],
        )  # fmt: skip
        model = ModelWrapper(qonnx_make_model(graph))
        for name, value, datatype in self.initializers:
            model.set_initializer(name, value.astype(np.float32))
            model.set_tensor_datatype(name, DataType[datatype])
        for name, datatype in self.types.items():
            model.set_tensor_datatype(name, DataType[datatype])
        return model.transform(InferShapes()).transform(InferDataTypes()).transform(GiveUniqueNodeNames())


def chain(size=6, **matrix):
    """FMPadding → SWG → MVAU → Thresholding, folded so that a width converter stands before and behind the MVAU."""
    graph = Graph((1, size, size, 4), "UINT4")
    graph.padding("inp", "padded", simd=2)
    graph.windows("padded", "windows", simd=2)
    graph.matrix("windows", "sums", height=8, simd=4, pe=4, **matrix)
    graph.thresholds("sums", "outp", pe=2)
    return graph.model("outp")


def residual(size=8):
    """A block: 3×3 convolution and thresholds on one branch, a 1×1 convolution on the other, their sum and thresholds."""
    graph = Graph((1, size, size, 4), "INT8")
    graph.thresholds("inp", "quantised", pe=2, spread=100)
    graph.duplicate("quantised", ["left", "right"], pe=2)
    graph.padding("left", "padded", simd=2)
    graph.windows("padded", "windows", simd=2)
    graph.matrix("windows", "branch", height=4, simd=6, pe=2)
    graph.matrix("right", "shortcut", height=4, simd=2, pe=2)
    graph.plus("branch", "shortcut", "sum", pe=2)
    graph.thresholds("sum", "outp", pe=2)
    return graph.model("outp")


def converted(model, part=PART):
    """RTL nodes with width converters, without FIFOs."""
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

    from flow.simulation.nodes import IntegerAddsToRTL

    model = model.transform(IntegerAddsToRTL()).transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())
    return model.transform(InsertDWC()).transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())


def specialised(model, part=PART):
    """RTL nodes with width converters and FIFOs between them, by FINN's own transformations."""
    from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers

    model = converted(model, part).transform(InsertFIFO(create_shallow_fifos=True))
    model = model.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames()).transform(GiveReadableTensorNames())
    return model


def stitched(model, part=PART, **options):
    """The model with its `CreateStitchedIP` project."""
    from finn.transformation.fpgadataflow.create_stitched_ip import CreateStitchedIP
    from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    model = model.transform(PrepareIP(part, 10)).transform(HLSSynthIP())
    return model.transform(CreateStitchedIP(part, 10, **options))
