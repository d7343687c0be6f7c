"""What the compiler needs to know of one layer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerSpec:
    """One layer of a network, in execution order.

    Attributes:
        name: module path, for example ``stage2.block1.conv1``.
        kind: ``"conv"`` (convolution, batch normalisation, 4-bit quantiser) or ``"linear"``.
        in_channels, out_channels: channel counts.
        kernel: kernel size k of a k x k convolution (1 for linear layers).
        stride: 1 or 2 (1 for linear layers).
        in_size, out_size: height = width of the input and output map (1 for linear layers).
        group_counts: the group counts n that the layer can run with, ascending.
        input: name of the layer that makes its input, or ``"image"``; several names where their outputs are concatenated.
        residual: name of the layer whose output is added before the clamp, or None.
        shuffle: whether the output channels are shuffled before the next layer reads them.
        pool: whether the global sum over the map follows.
        max_pool: whether a 2x2 maximum of the input map, of twice ``in_size`` pixels, comes before.
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    in_size: int
    out_size: int
    group_counts: tuple[int, ...]
    input: str | tuple[str, ...]
    residual: str | None = None
    shuffle: bool = False
    pool: bool = False
    max_pool: bool = False
