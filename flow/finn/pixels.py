"""The image of a network: what it is given for a pixel, and the integer that it makes of it before the first convolution."""

from dataclasses import dataclass

import numpy as np
import qonnx.core.onnx_exec as oxe
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

from flow.errors import GatefoldError
from flow.finn.integers import Map, refuse, title
from flow.graph.layers import IMAGE, IMAGE_MAX, MAP_SIZES, ImageInput, stored_size

PLANES_MAX = 3


@dataclass(frozen=True)
class Pixels:
    """What a network is given for a pixel p of 0…255: (p / divisor − mean) / deviation in float32, as torchvision's ToTensor and
    Normalize compute it; mean and deviation are per colour, or one for all."""

    divisor: float = float(IMAGE_MAX)
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    def values(self) -> np.ndarray:
        """float32 [256, 1 or colours]."""
        pixel = np.arange(IMAGE_MAX + 1, dtype=np.float32)[:, None] / np.float32(self.divisor)
        return (pixel - np.array(self.mean, np.float32)) / np.array(self.deviation, np.float32)


def image_input(model: ModelWrapper, pixels: Pixels | None) -> tuple[ImageInput, str, Map, list[NodeProto]]:
    """What comes before the first convolution, which works on one pixel at a time.

    Args:
        model: streamlined.
        pixels: where None, the pixels themselves if the input's type is UINT8, else those of `Pixels`.

    Returns:
        (what the image is, tensor that the first convolution reads, its map, nodes behind).

    Raises:
        GatefoldError: names the node that reads something else than quantised pixels.
    """
    source = model.graph.input[0].name
    if pixels is None:
        pixels = Pixels(divisor=1.0) if model.get_tensor_datatype(source) == DataType["UINT8"] else Pixels()
    nodes, prefix = list(model.graph.node), []
    _, colours, height, width = model.get_tensor_shape(source)
    while (readers := model.find_consumers(source)) and readers[0].op_type in ("MultiThreshold", "Mul", "Add", "Sub", "Div"):
        if len(readers) > 1:
            refuse(readers[0], f"and {title(readers[1])} both read the image; let one convolution read it")
        if source not in readers[0].input or len(readers[0].input) > 1 and model.get_initializer(readers[0].input[1]) is None:
            break
        prefix.append(readers[0])
        source = readers[0].output[0]
    if not readers or readers[0].op_type != "Conv" or len(readers) > 1:
        refuse(readers[-1] if readers else nodes[0], "reads the image; a single convolution has to read it first")
    if colours > PLANES_MAX:
        refuse(readers[0], f"reads an image of {colours} colours; the engine takes 1 to {PLANES_MAX}")
    if stored_size(height, width) is None or min(height, width) < MAP_SIZES[0]:
        refuse(
            readers[0],
            f"reads images of {height}x{width}; the engine takes {MAP_SIZES[0]} to {MAP_SIZES[-1]} pixels a side: scale the pictures, in training too",
        )
    if any(len(per_colour) not in (1, colours) for per_colour in (pixels.mean, pixels.deviation)):
        raise GatefoldError(f"The network reads {colours} colours; give one mean and one deviation for each, or one for all.")
    table = _pixel_table(model, pixels, prefix, source, (colours, height, width))
    if table is None:
        refuse(readers[0], "reads an input that is not quantised; put a QuantIdentity of up to 8 bits before it")
    signed = bool((table < 0).any())
    size = stored_size(height, width)
    planes = colours * (2 if signed else 1)
    image = Map(IMAGE, (planes, height, width), None, 0, int(np.abs(table).max()), size)
    done = {node.name for node in prefix}
    return ImageInput((height, width), table), source, image, [node for node in nodes if node.name not in done]


def _pixel_table(model, given, prefix, tensor, shape):
    """Integer of every pixel value and colour, int64 [256, colours]; None where they are no integers."""
    colours, height, width = shape
    table = np.zeros((IMAGE_MAX + 1, colours), np.float32)
    name = model.graph.input[0].name
    given = np.broadcast_to(given.values(), table.shape)
    for start in range(0, IMAGE_MAX + 1, height * width):
        pixels = (start + np.arange(height * width)) % (IMAGE_MAX + 1)
        context = model.make_empty_exec_context()
        context[name] = given[pixels].T.reshape(1, *shape)
        for node in prefix:
            oxe.execute_node(node, context, model.graph, model.get_opset_imports().get(node.domain, 13))
        table[pixels] = context[tensor].reshape(colours, -1).T
    integers = np.rint(table).astype(np.int64)
    return integers if np.array_equal(integers, table) and np.abs(integers).max() <= IMAGE_MAX else None
