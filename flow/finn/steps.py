"""From a QONNX file to the accelerator, in steps of (model, cfg) as FINN's builder takes them; `NetworkConfig` is their cfg.

    model = read_network("my.onnx")              # FINN model of SwitchableConv and SwitchableLinear nodes
    engine = convert(model, ENGINE_STEPS, cfg)   # and of one TileEngine node
    convert(engine, ACCELERATOR_STEPS, cfg)      # network image and RTL

FINN's builder runs these functions as they are, but not for us: it ends with a report that asks for Vivado's folder, takes over the
standard output, and turns a refusal into a traceback and an exit code (docs/decisions/017).
"""

import logging
import warnings
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from qonnx.core.modelwrapper import ModelWrapper

from flow.engine.config import EngineConfig, Folding
from flow.errors import GatefoldError
from flow.finn.accelerator import MakeAccelerator
from flow.finn.infer import InferSwitchableLayers
from flow.finn.integers import refuse
from flow.finn.mapping import KeepModes, MapToTileEngine
from flow.finn.pixels import Pixels
from flow.finn.streamline import module_name, step_convert_to_finn, step_streamline, step_tidy_up

OPERATORS = {
    "Quant", "Conv", "BatchNormalization", "Relu", "Add", "Sub", "Mul", "Div", "MaxPool", "AveragePool", "GlobalAveragePool",
    "ReduceMean", "Reshape", "Flatten", "Squeeze", "Gemm", "MatMul", "Identity", "Dropout", "Constant", "Transpose", "Unsqueeze", "Cast",
    "Shape", "Gather", "Concat", "Trunc", "GreaterOrEqual", "And", "Where", "LstmStep", "Excite", "Excited",
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
        folding: that the nodes carry.
        pixels: what the network was given for a pixel in training; None: p where its input is of type UINT8, else p / 255.
        modes: names of the modes that the engine holds, None for all.
        folder: where the accelerator is written, see `MakeAccelerator`.
        engine: that the network goes onto; None: one is made for it.
    """

    folding: Folding = Folding()
    pixels: Pixels | None = None
    modes: tuple[str, ...] | None = None
    folder: Path | None = None
    engine: EngineConfig | None = None


Step = Callable[[ModelWrapper, NetworkConfig], ModelWrapper]
"""Takes a model and returns another, or the same one changed."""


def step_infer_layers(model: ModelWrapper, cfg: NetworkConfig) -> ModelWrapper:
    """Convolutions, thresholds, additions and pools become the engine's layers."""
    return model.transform(InferSwitchableLayers(cfg.folding, cfg.pixels))


def step_map_to_engine(model: ModelWrapper, cfg: NetworkConfig) -> ModelWrapper:
    """The layers become one TileEngine node, with the modes that are wanted."""
    return model.transform(KeepModes(cfg.modes)).transform(MapToTileEngine(cfg.engine))


def step_make_accelerator(model: ModelWrapper, cfg: NetworkConfig) -> ModelWrapper:
    """Network image, parameters and top module of the TileEngine node."""
    return model.transform(MakeAccelerator(cfg.folder))


LAYER_STEPS = [step_tidy_up, step_convert_to_finn, step_streamline, step_infer_layers]
ENGINE_STEPS = [step_map_to_engine]
ACCELERATOR_STEPS = [step_make_accelerator]
TITLES = {
    "step_tidy_up": "cleaning up the QONNX graph",
    "step_convert_to_finn": "converting to FINN",
    "step_streamline": "streamlining",
    "step_infer_layers": "finding the engine's layers",
    "step_map_to_engine": "laying out memories and requantisation",
    "step_make_accelerator": "writing the network image",
}
"""Name of a step -> what it does, for the user."""


def read_network(
    path: str | Path, cfg: NetworkConfig | None = None, on_step: Callable[[str], object] = lambda title: None
) -> ModelWrapper:
    """FINN model of layer nodes of a QONNX file.

    Args:
        path: file that Brevitas' `export_qonnx` wrote, with an input [1, colours, height, width], or `flow.export`.
        on_step: called with each step's title before it runs.

    Raises:
        GatefoldError: the file is no QONNX model or the engine cannot run the network; nothing is written.
    """
    return convert(parse_qonnx(read_qonnx(path), path), LAYER_STEPS, cfg or NetworkConfig(), Path(path).stem, on_step)


def convert(
    model: ModelWrapper,
    steps: Iterable[Step],
    cfg: NetworkConfig,
    name: str | None = None,
    on_step: Callable[[str], object] = lambda title: None,
) -> ModelWrapper:
    """The model after some steps.

    Args:
        name: that the model gets, or None.
        on_step: called with each step's title before it runs.

    Raises:
        GatefoldError: a step does not take the network.
    """
    for step in steps:
        on_step(TITLES.get(step.__name__, step.__name__))
        try:
            with _quiet():
                model = step(model, cfg)
        except (GatefoldError, MemoryError):
            raise
        except Exception as error:  # FINN and qonnx raise whatever they meet
            first = str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
            raise GatefoldError(
                f"FINN's {step.__name__} does not take {name or 'the network'} ({first}); export it with Brevitas' export_qonnx."
            ) from error
    if name:
        model.graph.name = name
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


def read_qonnx(path: str | Path) -> bytes:
    """Contents of an ONNX file; weights that it keeps in files of their own are taken in.

    Raises:
        GatefoldError: it cannot be read.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GatefoldError(f"Cannot read {path} ({error.strerror}); give a QONNX file.") from None
    try:
        proto = onnx.load_from_string(data)
        if any(onnx.external_data_helper.uses_external_data(tensor) for tensor in proto.graph.initializer):
            onnx.load_external_data_for_model(proto, str(path.parent))
            data = proto.SerializeToString()
    except OSError as error:
        raise GatefoldError(f"Cannot read the weights of {path} ({error.strerror or error}); save it as one file.") from None
    except (DecodeError, ValueError, AttributeError, RuntimeError):
        pass  # `parse_qonnx` tells what it is
    return data


def parse_qonnx(data: bytes, path: str | Path) -> ModelWrapper:
    """The model of a QONNX file whose operators and shapes the steps can work on.

    Args:
        data: the file's contents.
        path: what it is called in a sentence.

    Raises:
        GatefoldError: it is no quantised ONNX model, or has operators or shapes that the engine has not.
    """
    try:
        model = ModelWrapper(data) if data else None
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
    """One input [1, C, H, W] of fixed size; an output, and perhaps those of early exits."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [tensor for tensor in model.graph.input if tensor.name not in constants]
    if len(inputs) != 1 or not model.graph.output:
        raise GatefoldError(
            f"{path} has {len(inputs)} inputs and {len(model.graph.output)} outputs; the engine runs networks from one image to "
            "logits, those of early exits behind the network's."
        )
    sizes = [dim.dim_value if dim.HasField("dim_value") else dim.dim_param or "?" for dim in inputs[0].type.tensor_type.shape.dim]
    if any(not isinstance(size, int) or size < 1 for size in sizes):
        shape = ", ".join(map(str, sizes))
        raise GatefoldError(f"{path} takes inputs of the open shape [{shape}]; export it for one image of fixed size.")
    if len(sizes) != 4 or sizes[0] != 1:
        raise GatefoldError(f"{path} takes inputs of shape {sizes}; export it for one image, [1, colours, height, width].")
