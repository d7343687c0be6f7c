"""Parameters of the generated hardware, as the engine's RTL takes them."""

from dataclasses import asdict, dataclass

from flow.errors import GatefoldError


@dataclass(frozen=True)
class EngineConfig:
    """One tile engine.

    Attributes:
        p: output pixels per cycle (lanes), 32 or 64.
        pe: output channels per cycle, 1 or 2.
        r: requantisers, 8…64.
        v: multipliers of the vector unit.
        x_depth, m_depth: words per bank of the feature memories.
        image_base: first word of the two image buffers in M.
        weight_depth: 36-bit kernel words.
        requant_depth: 54-bit requantisation entries.
        fc_depth: words of V 8-bit weights.
        modes, layers, classes: program size; `layers` is a power of two.
        mult_dsp: pairs of pixels whose multipliers are DSP48E1 slices instead of LUTs; 0 for none.
        planes, image_size: planes of an image, and their height and width: 8, 16 or 32.
        high_digits, low_digits: kernels of the first layer that count 16 times and once, see `Layer.weight_digits`.
        acc_width: bits of an accumulator, 18…21; with more than 18 a requantiser takes two DSP48E1 slices.
        pool_width: bits of a pooled sum: 10, 12, 14 for maps of 8, 16, 32 pixels.
        tables: 1 where layers have bounds and tables of their own.
        pool2: 2×2 pools: 1 for "max", 2 for "sum", 3 for both.
        mask: 1 where maps are smaller than they are stored.
    """

    p: int = 64
    pe: int = 2
    r: int = 64
    v: int = 16
    x_depth: int = 64
    m_depth: int = 64
    image_base: int = 32
    weight_depth: int = 0
    requant_depth: int = 0
    fc_depth: int = 0
    modes: int = 1
    layers: int = 1
    classes: int = 10
    mult_dsp: int = 0
    planes: int = 3
    image_size: int = 32
    high_digits: int = 0
    low_digits: int = 1
    acc_width: int = 18
    pool_width: int = 10
    tables: int = 0
    pool2: int = 0
    mask: int = 0

    def __post_init__(self):
        for name, allowed in (("p", (32, 64)), ("pe", (1, 2)), ("r", (8, 16, 32, 64)), ("v", (4, 8, 16, 32))):
            if getattr(self, name) not in allowed:
                raise GatefoldError(
                    f"engine parameter {name.upper()} = {getattr(self, name)} is not possible; "
                    f"choose one of {', '.join(map(str, allowed))}."
                )

    def parameters(self):
        """RTL parameter name -> value."""
        return {name.upper(): value for name, value in asdict(self).items()}
