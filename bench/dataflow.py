"""The same network on stock FINN dataflow and on the tile engine: multipliers, cycles, resources, in one run.

    .venv/bin/python bench/dataflow.py [--model resnet8] [--untrained] [--json]

The full-mode network goes through FINN's own steps (streamline, conversion to hardware layers, RTL where FINN has it,
folding). FINN's folding is searched for the fastest pipeline whose multipliers (PE·SIMD of all matrix units) do not
exceed the engine's. Cycles and resources of the pipeline are FINN's own estimates, FIFOs not included; the
engine's cycles are the formula that its RTL is tested against. What the channel shuffle does is wiring between
two layers, and is folded into the weights for FINN.
"""

import argparse
import contextlib
import io
import json
import logging
import warnings

import numpy as np

from flow.build.build import Request
from flow.build.source import weights_of
from flow.engine.boards import find_board
from flow.engine.cost import frame_cost, mode_costs
from flow.engine.plan import plan
from flow.engine.select import choose
from flow.export.from_model import layer_graph
from flow.finn import resources  # the package also keeps FINN's files in the build folder
from flow.graph.integer import run
from flow.graph.layers import Layer, LayerGraph, Setting, shuffle_slots

CLOCK_NS = 10.0
MULTIPLIERS_PER_LANE = 9
WEIGHT_STREAM_WIDTHS = (36, 48, 64, 96, 144)
"""Bits per PE that SetFolding may take (36 is FINN's default); the best result counts."""


def without_shuffle(graph):
    """The graph in the full mode with every shuffle folded into its producer's output order."""
    layers = []
    for layer in graph.layers:
        copy = Layer(**vars(layer))
        if layer.shuffle:
            slots = shuffle_slots(layer.out_channels)
            copy.weight = np.empty_like(layer.weight)
            copy.weight[slots] = layer.weight
            tables = [np.empty_like(table) for table in layer.affine[Setting()]]
            for table, source in zip(tables, layer.affine[Setting()], strict=True):
                table[slots] = source
            copy.affine, copy.shuffle = {Setting(): tuple(tables)}, False
        layers.append(copy)
    return LayerGraph(graph.name, layers, {"full": {}})


def qonnx_for_finn(graph):
    """The QONNX export without shuffle and modes."""
    from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames

    from flow.export.qonnx_export import export

    return export(without_shuffle(graph)).transform(GiveUniqueNodeNames()).transform(GiveReadableTensorNames())


def streamlined(model):
    """FINN's streamlining, to a fixed point."""
    from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
    from finn.transformation.streamline import Streamline
    from finn.transformation.streamline.reorder import MoveLinearPastEltwiseAdd, MoveLinearPastFork
    from qonnx.transformation.fold_constants import FoldConstants
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.util.cleanup import cleanup_model

    model = cleanup_model(model).transform(ConvertQONNXtoFINN()).transform(FoldConstants()).transform(InferDataTypes())
    before = None
    while before != [node.op_type for node in model.graph.node]:
        before = [node.op_type for node in model.graph.node]
        for step in (Streamline(), MoveLinearPastEltwiseAdd(), MoveLinearPastFork()):
            model = model.transform(step)
    return model


def hardware_layers(model):
    """FINN's hardware layers, channels last."""
    from finn.transformation.fpgadataflow.convert_to_hw.conv_inp_gen import InferConvInpGen
    from finn.transformation.fpgadataflow.convert_to_hw.duplicate_streams import InferDuplicateStreamsLayer
    from finn.transformation.fpgadataflow.convert_to_hw.elementwise_binary_operation import InferElementwiseBinaryOperation
    from finn.transformation.fpgadataflow.convert_to_hw.global_acc_pool import InferGlobalAccPoolLayer
    from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
        InferQuantizedMatrixVectorActivation,
    )
    from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
    from finn.transformation.streamline import Streamline, absorb, reorder
    from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
    from qonnx.transformation.general import GiveUniqueNodeNames
    from qonnx.transformation.infer_data_layouts import InferDataLayouts
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes
    from qonnx.transformation.lower_convs_to_matmul import LowerConvsToMatMul
    from qonnx.transformation.remove import RemoveIdentityOps

    def tidy(model):
        for step in (InferShapes(), InferDataLayouts(), InferDataTypes(), GiveUniqueNodeNames()):
            model = model.transform(step)
        return model

    model = tidy(model.transform(LowerConvsToMatMul()))
    before = None
    while before != [node.op_type for node in model.graph.node]:
        before = [node.op_type for node in model.graph.node]
        for step in (
            absorb.AbsorbTransposeIntoMultiThreshold(),
            reorder.MoveTransposePastFork(),
            reorder.MoveTransposePastJoinAdd(),
            absorb.AbsorbConsecutiveTransposes(),
        ):
            model = tidy(model.transform(step))
    for step in (
        InferGlobalAccPoolLayer(),
        absorb.AbsorbConsecutiveTransposes(),
        absorb.AbsorbTransposeIntoFlatten(),
        reorder.MoveTransposePastScalarMul(),
        Streamline(),
        RoundAndClipThresholds(),
        InferThresholdingLayer(),
        InferQuantizedMatrixVectorActivation(),
        InferConvInpGen(),
        InferElementwiseBinaryOperation(),
        InferDuplicateStreamsLayer(),
        RemoveIdentityOps(),
    ):
        model = tidy(model.transform(step))
    return model


def folded(model, part, multipliers):
    """The specialised model at the shortest frame time whose matrix units have at most `multipliers`."""
    from finn.transformation.fpgadataflow.minimize_accumulator_width import MinimizeAccumulatorWidth
    from finn.transformation.fpgadataflow.minimize_weight_bit_width import MinimizeWeightBitWidth
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.transformation.general import GiveUniqueNodeNames

    model = model.transform(SpecializeLayers(part)).transform(GiveUniqueNodeNames())
    model = model.transform(MinimizeWeightBitWidth()).transform(MinimizeAccumulatorWidth())
    candidates = [shortest(model, multipliers, width) for width in WEIGHT_STREAM_WIDTHS]
    return min((slowest(candidate), used_multipliers(candidate), index, candidate) for index, candidate in enumerate(candidates))[
        -1
    ]


def shortest(model, multipliers, width):
    """The folding for the shortest target that keeps to `multipliers`, by bisection; `width` is SetFolding's."""
    from finn.transformation.fpgadataflow.set_folding import SetFolding

    low, high, best = 1, 1 << 20, None  # cycles: too many multipliers, few enough
    while best is None or high - low > max(1, low // 200):
        middle = (low + high) // 2
        candidate = model.transform(SetFolding(middle, mvau_wwidth_max=width, two_pass_relaxation=False))
        if used_multipliers(candidate) <= multipliers:
            high, best = middle, candidate
        else:
            low = middle
    return best


def slowest(model):
    """Cycles of the slowest layer: the pipeline's time per frame."""
    from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer

    return int(max(model.analysis(exp_cycles_per_layer).values()))


def used_multipliers(model):
    """PE·SIMD of all matrix units."""
    from finn.util.basic import getHWCustomOp

    units = [getHWCustomOp(node) for node in model.graph.node if node.op_type.startswith("MVAU")]
    return sum(unit.get_nodeattr("PE") * unit.get_nodeattr("SIMD") for unit in units)


def dataflow_figures(model, part):
    """FINN's own estimates of a folded model.

    The latency is the longest path of layer cycles, an upper bound as in FINN's `dataflow_performance` (layers overlap);
    that function itself does not pass the reshape before the classifier.
    """
    from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer
    from finn.analysis.fpgadataflow.res_estimation import res_estimation

    cycles = model.analysis(exp_cycles_per_layer)
    used = model.analysis(lambda graph: res_estimation(graph, fpgapart=part))
    totals = {key: sum(node[key] for node in used.values()) for key in ("LUT", "DSP", "BRAM_18K")}
    reached = {}
    for node in model.graph.node:
        before = max((reached.get(tensor, 0) for tensor in node.input), default=0)
        for tensor in node.output:
            reached[tensor] = before + int(cycles.get(node.name, 0))
    return {
        "multipliers": used_multipliers(model),
        "cycles_per_frame": slowest(model),
        "latency_cycles": max(reached.values()),
        "layers": {name: int(value) for name, value in cycles.items()},
        **{key: int(value) for key, value in totals.items()},
    }


def engine_figures(graph, folding):
    """The tile engine: cycles of the formula in every mode, estimated resources."""
    config = plan(graph, folding).config
    return {
        "multipliers": config.p * config.pe * MULTIPLIERS_PER_LANE,
        "cycles_per_frame": frame_cost(graph, "full", config).cycles,
        "latency_cycles": frame_cost(graph, "full", config).cycles,
        "modes": {mode: frame_cost(graph, mode, config).cycles for mode in graph.modes},
        "layers": {name: cost.cycles for name, cost in mode_costs(graph, "full", config).items()},
        **resources.engine_resources(config),
    }


def equal_logits(model, graph, image):
    """Whether FINN's hardware graph, executed in Python, gives the integer model's logits."""
    import finn.core.onnx_exec as oxe

    feed = {model.graph.input[0].name: image.astype(np.float32)}
    logits = oxe.execute_onnx(model, feed)[model.graph.output[0].name]
    return bool(np.array_equal(logits, run(graph, image, "full").logits))


def compare(graph, folding, board):
    """Both implementations of one network on one part."""
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 32), dtype=np.uint8)
    engine = engine_figures(graph, folding)
    with quiet():
        hardware = hardware_layers(streamlined(qonnx_for_finn(graph)))
        equal = equal_logits(hardware, graph, image)
        pipeline = dataflow_figures(folded(hardware, board.part, engine["multipliers"]), board.part)
    for figures in (pipeline, engine):
        figures["frames_per_s"] = round(1e9 / CLOCK_NS / figures["cycles_per_frame"])
        figures["macs_per_cycle"] = round(network_macs(graph) / figures["cycles_per_frame"], 1)
    return {"model": graph.name, "part": board.part, "logits_equal": equal, "dataflow": pipeline, "engine": engine}


def network_macs(graph):
    """Multiplications of a full-mode frame."""
    return sum(layer.weight.size * layer.out_size**2 for layer in graph.layers)


@contextlib.contextmanager
def quiet():
    """FINN's notes on what its steps change are not this program's output."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


ROWS = (
    ("multipliers", "multipliers"),
    ("cycles_per_frame", "cycles a frame, full mode"),
    ("frames_per_s", "frames/s at 100 MHz"),
    ("latency_cycles", "latency, cycles (at most)"),
    ("macs_per_cycle", "useful MACs a cycle"),
    ("LUT", "LUT"),
    ("DSP", "DSP48"),
    ("BRAM_18K", "BRAM, 18 kbit"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet8", help="network of flow.models (default: resnet8)")
    parser.add_argument("--untrained", action="store_true", help="random weights")
    parser.add_argument("--board", default="pynq-z2")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()

    board = find_board(args.board)
    request = Request(args.model, board, choose(board), untrained=args.untrained)
    result = compare(layer_graph(weights_of(request)[0]), request.folding, board)
    if args.json:
        print(json.dumps(result))
        return
    print(f"{result['model']}, 4 bits, full mode, {result['part']}: FINN dataflow (estimates) and tile engine (formula, estimates)")
    print(f"FINN's hardware graph {'equals' if result['logits_equal'] else 'DIFFERS FROM'} the integer model on a random image")
    available = {"LUT": board.lut, "DSP": board.dsp, "BRAM_18K": 2 * board.bram36}
    print(f"{'':28} {'FINN dataflow':>14} {'tile engine':>14} {'part has':>14}")
    for key, label in ROWS:
        part = f"{available[key]:>14,}" if key in available else ""
        print(f"{label:28} {result['dataflow'][key]:>14,} {result['engine'][key]:>14,} {part}".rstrip())
    print("engine, other modes: " + ", ".join(f"{mode} {cycles:,} cycles" for mode, cycles in result["engine"]["modes"].items()))


if __name__ == "__main__":
    main()
