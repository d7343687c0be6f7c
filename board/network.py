"""The network image of a build, network.bin: what the accelerator loads before it runs frames."""

from pathlib import Path

import numpy as np

from board.description import BURST_BYTES, LARGEST_FILE
from board.errors import BoardError

MAGIC = b"GATEFOLD"
HEADER = 3  # 64-bit words that a header says something in


def read_network(path: Path, engine_hash: int, remedy: str) -> np.ndarray:
    """The image, uint8 [bytes], whole bursts.

    Args:
        engine_hash: first 32 bits of the engine's SHA-256, as its register holds them.
        remedy: what to do, in words.

    Raises:
        BoardError: it is none, or one for another engine.
    """
    try:
        image = np.fromfile(path, np.uint8) if path.stat().st_size <= LARGEST_FILE else np.empty(0, np.uint8)
    except OSError as problem:
        raise BoardError(f"{path} cannot be read ({problem.strerror}); {remedy}.") from None
    if len(image) < 2 * BURST_BYTES or len(image) % BURST_BYTES or image[: len(MAGIC)].tobytes() != MAGIC:
        raise BoardError(f"{path} is no network image; {remedy}.")
    words = image[: 8 * HEADER].view("<u4")
    if words[3] * BURST_BYTES != len(image):
        raise BoardError(f"{path} has {len(image)} bytes and says {words[3] * BURST_BYTES}; {remedy}.")
    if words[4] != engine_hash:
        raise BoardError(f"{path} is for engine {words[4]:08x}, and this one is {engine_hash:08x}; {remedy}.")
    return image
