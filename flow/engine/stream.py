"""Frames as the engine's 64-bit streams carry them."""

import numpy as np


def frame_beats(image, mode_index):
    """One input frame: a header beat (mode index in bits 7:0), then the image.

    Args:
        image: uint8 [3, 32, 32]; sent plane by plane, row by row, byte k of a beat is pixel 8·beat + k.

    Returns:
        uint64 [1 + 384].
    """
    pixels = np.ascontiguousarray(image, np.uint8).reshape(-1).view("<u8")
    return np.concatenate([np.array([mode_index], np.uint64), pixels.astype(np.uint64)])
