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


def record_beats(words):
    """A result record (32-bit words) as uint64 beats, low word first."""
    words = np.asarray(words, np.uint64)
    return words[0::2] | words[1::2] << np.uint64(32)
