"""Data sets: uint8 images [N, 32, 32, 3] and integer labels [N]."""

from flow.data.dataset import Dataset, load, load_test, load_training

__all__ = ["Dataset", "load", "load_test", "load_training"]
