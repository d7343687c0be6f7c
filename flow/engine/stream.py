"""Frames as the engine's 64-bit streams carry them."""

import numpy as np

FRAME_BYTES = 128
"""An image takes a multiple of this, one burst of the DMA."""


def frame_bytes(planes: int, size: int) -> int:
    """Bytes that an image of so many planes [size, size] takes in memory, up to a multiple of FRAME_BYTES."""
    return -(-planes * size**2 // FRAME_BYTES) * FRAME_BYTES


def padded_frames(planes: np.ndarray) -> np.ndarray:
    """Images as they lie in memory, one after the other.

    Args:
        planes: uint8 [N, planes, size, size].

    Returns:
        uint8 [N, bytes], each with zeros up to a multiple of FRAME_BYTES.
    """
    flat = np.ascontiguousarray(planes, np.uint8).reshape(len(planes), -1)
    return np.ascontiguousarray(np.pad(flat, ((0, 0), (0, -flat.shape[1] % FRAME_BYTES))))


def frame_beats(image: np.ndarray, mode_index: int) -> np.ndarray:
    """One input frame: a header beat (mode index in bits 7:0), then the image.

    Args:
        image: uint8 [planes, size, size], size a multiple of 8; sent plane by plane, row by row, byte k of a beat is pixel
            8·beat + k. Zeros fill it up to a multiple of 16 beats.

    Returns:
        uint64 [1 + beats of the image].
    """
    pixels = padded_frames(np.asarray(image)[None])[0].view("<u8")
    return np.concatenate([np.array([mode_index], np.uint64), pixels.astype(np.uint64)])
