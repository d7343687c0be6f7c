"""A network that somebody wrote with Brevitas: from its QONNX file to layers of the tile engine.

    model = read_network("my.onnx")          # FINN model of SwitchableConv and SwitchableLinear nodes
    graph = layer_graph(model)               # the compiler's LayerGraph

`STEPS` are functions of (model, cfg) as FINN's builder takes them, `NetworkConfig` is their cfg.
"""

import logging
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError
from qonnx.core.modelwrapper import ModelWrapper

from flow.engine.config import EngineConfig
from flow.errors import GatefoldError
from flow.finn.infer import InferSwitchableLayers
from flow.finn.integers import refuse
from flow.finn.pixels import Pixels
from flow.finn.streamline import module_name, step_convert_to_finn, step_streamline, step_tidy_up

OPERATORS = {
    "Quant", "Conv", "BatchNormalization", "Relu", "Add", "Sub", "Mul", "Div", "MaxPool", "AveragePool", "GlobalAveragePool",
    "ReduceMean", "Reshape", "Flatten", "Squeeze", "Gemm", "MatMul", "Identity", "Dropout", "Constant", "Transpose", "Unsqueeze", "Cast",
    "Shape", "Gather", "Concat", "Trunc",
}  # fmt: skip
"""What Brevitas' exports of networks that may fit consist of; shapes are computed by the last ones."""
PARTS = "convolutions, batch norm, QuantReLU, QuantIdentity, 2x2 and global pools, additions and one linear layer"
ADVICE = {
    "BipolarQuant": "use 2 to 4 bits",
    "Sigmoid": "use QuantReLU",
    "Tanh": "use QuantReLU",
    "Softmax": "end the network with its logits",
    "ConvTranspose": "use a convolution of stride 1 or 2",
    "Pad": "pad inside the convolution, by half its kernel",
}


@dataclass(frozen=True)
class NetworkConfig:
    """What the steps need to know.

    Attributes:
        engine: EngineConfig whose folding the nodes carry.
        pixels: what the network was given for a pixel in training, where that is not p / 255.
    """

    engine: EngineConfig = EngineConfig()
    pixels: Pixels = Pixels()


def step_infer_layers(model, cfg):
    """Convolutions, thresholds, additions and pools become the engine's layers."""
    return model.transform(InferSwitchableLayers(cfg.engine, cfg.pixels))


STEPS = [step_tidy_up, step_convert_to_finn, step_streamline, step_infer_layers]


def read_network(path, cfg=None, steps=None, on_step=lambda name: None):
    """FINN model of layer nodes of a QONNX file.

    Args:
        path: file that Brevitas' `export_qonnx` wrote, with an input [1, colours, height, width].
        cfg: NetworkConfig.
        steps: functions of (model, cfg); `STEPS` unless given.
        on_step: called with each step's name before it runs.

    Raises:
        GatefoldError: the file is no QONNX model or the engine cannot run the network; nothing is written.
    """
    model = load_qonnx(path)
    for step in steps or STEPS:
        on_step(step.__name__)
        try:
            with _quiet():
                model = step(model, cfg or NetworkConfig())
        except GatefoldError:
            raise
        except Exception as error:  # FINN and qonnx raise whatever they meet
            first = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
            raise GatefoldError(
                f"FINN's {step.__name__} does not take {path} ({first}); export it with Brevitas' export_qonnx."
            ) from error
    model.graph.name = Path(path).stem
    return model


@contextmanager
def _quiet():
    """Without the remarks of FINN and qonnx on what a transformation leaves as it is."""
    log = logging.getLogger("finn_logger")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def load_qonnx(path):
    """ModelWrapper of a QONNX file whose operators and shapes the steps can work on.

    Raises:
        GatefoldError: it cannot be read, is no quantised ONNX model, or has operators or shapes that the engine has not.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GatefoldError(f"Cannot read {path} ({error.strerror}); give a QONNX file.") from None
    try:
        model = ModelWrapper(str(path)) if data else None
    except (DecodeError, ValueError, AttributeError, RuntimeError):
        model = None
    if model is None or not model.graph.node:
        raise GatefoldError(
            f"{path} is {'empty' if not data else 'no ONNX model'}; export the network with Brevitas' export_qonnx."
        )
    _check_shapes(model, path)
    for node in model.graph.node:
        node.doc_string = module_name(node)
    if not any(node.op_type == "Quant" for node in model.graph.node):
        raise GatefoldError(f"{path} has no quantisers; write the network with brevitas.nn and export it with export_qonnx.")
    for node in model.graph.node:
        if node.op_type not in OPERATORS:
            refuse(node, f"is nothing that the engine runs; {ADVICE.get(node.op_type, 'use ' + PARTS)}")
    return model


def _check_shapes(model, path):
    """One input [1, C, H, W] of fixed size and one output."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [tensor for tensor in model.graph.input if tensor.name not in constants]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise GatefoldError(
            f"{path} has {len(inputs)} inputs and {len(model.graph.output)} outputs; the engine runs networks from one image to one "
            "vector of logits."
        )
    sizes = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in inputs[0].type.tensor_type.shape.dim]
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        shape = ", ".join(map(str, sizes))
        raise GatefoldError(f"{path} takes inputs of the open shape [{shape}]; export it for one image of fixed size.")
    if len(sizes) != 4 or sizes[0] != 1:
        raise GatefoldError(f"{path} takes inputs of shape {sizes}; export it for one image, [1, colours, height, width].")
