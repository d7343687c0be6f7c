"""Parameters of the generated hardware: what a user asks for, and what the RTL takes."""

from dataclasses import asdict, dataclass, fields
from typing import Self

from flow.errors import GatefoldError


@dataclass(frozen=True)
class Folding:
    """How much of a network an engine computes at once: what may be asked for. The rest follows from the network, see
    `flow.engine.plan.plan`.

    Attributes:
        p: output pixels per cycle (lanes), 32 or 64.
        pe: output channels per cycle, 1 or 2.
        r: requantisers, 8…64.
        v: multipliers of the vector unit.
        mult_dsp: pairs of pixels whose multipliers are DSP48E1 slices instead of LUTs; 0 for none.
        requant_dsp: 1 where the requantisers' multipliers are DSP48E1 slices, 0 where they are LUTs.
    """

    p: int = 64
    pe: int = 2
    r: int = 64
    v: int = 16
    mult_dsp: int = 0
    requant_dsp: int = 1

    @property
    def quarters(self) -> bool:
        """Whether each quarter of the lanes can work on outputs of its own."""
        return self.p == 64 and self.pe == 2 and self.r == 64

    def __post_init__(self):
        for name, allowed in (
            ("p", (32, 64)),
            ("pe", (1, 2)),
            ("r", (8, 16, 32, 64)),
            ("v", (4, 8, 16, 32)),
            ("requant_dsp", (0, 1)),
        ):
            if getattr(self, name) not in allowed:
                raise GatefoldError(
                    f"engine parameter {name.upper()} = {getattr(self, name)} is not possible; "
                    f"choose one of {', '.join(map(str, allowed))}."
                )


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """One tile engine, as the memory plan of a network made it (`flow.engine.plan.plan`).

    Attributes:
        p, pe, r, v, requant_dsp: those of the Folding.
        x_depth, m_depth: words per bank of the feature memories.
        image_base: first word of the two image buffers in M.
        weight_depth: 36-bit kernel words.
        requant_depth: 54-bit requantisation entries.
        fc_depth: words of V 8-bit weights, of the classifier, gates and exits.
        modes, layers, classes: program size; `layers` is a power of two.
        mult_dsp: that of the Folding, fewer where wide requantisers take DSP48E1 slices from it.
        planes, image_size: planes of an image, and their height and width: 8, 16 or 32.
        high_digits, low_digits: kernels of the first layer that count 16 times and once, see `Layer.weight_digits`.
        acc_width: bits of an accumulator, 18…21; with more than 18 a requantiser takes two DSP48E1 slices.
        pool_width: bits of a pooled sum: 10, 12, 14 for maps of 8, 16, 32 pixels.
        tables: 1 where layers have bounds and tables of their own.
        pool2: 2×2 pools: 1 for "max", 2 for "sum", 3 for both.
        mask: 1 where maps are smaller than they are stored.
        gates: channels of the widest gate's mask at most, a power of two from 16 on; 0 without gates.
        decisions: decisions of all gates.
        exits: early exits; 0 without.
        hidden: hidden units of the layer gates' LSTM; 0 without one.
        factors: of squeeze-and-excitation at most, a power of two; 0 without it.
        inner: its hidden units at most.
        products: entries of the table of products, of either: two at least.
        pack: kernels that each quarter of the lanes has of its own, for gates on 4×4 pixels (`flow.engine.cost.packs`); 0 for none.
        biases: of the classifier, all gates and all exits.
        pool_depth: words of V pooled sums.
    """

    p: int
    pe: int
    r: int
    v: int
    x_depth: int
    m_depth: int
    image_base: int
    weight_depth: int
    requant_depth: int
    fc_depth: int
    modes: int
    layers: int
    classes: int
    mult_dsp: int
    planes: int
    image_size: int
    high_digits: int
    low_digits: int
    acc_width: int
    pool_width: int
    tables: int
    pool2: int
    mask: int
    requant_dsp: int
    gates: int
    decisions: int
    exits: int
    hidden: int
    factors: int
    inner: int
    products: int
    pack: int
    biases: int
    pool_depth: int

    @classmethod
    def of(cls, parameters: dict[str, int]) -> Self:
        """The engine whose `parameters` were written down, such as those of a build's modes.json.

        Raises:
            GatefoldError: they are others than an engine has now.
        """
        try:
            return cls(**{name.lower(): value for name, value in parameters.items()})
        except TypeError:
            raise GatefoldError(
                "The engine's parameters are those of another version of gatefold; build the network again."
            ) from None

    @property
    def folding(self) -> Folding:
        """How much it computes at once."""
        return Folding(**{field.name: getattr(self, field.name) for field in fields(Folding)})

    def parameters(self) -> dict[str, int]:
        """RTL parameter name -> value."""
        return {name.upper(): value for name, value in asdict(self).items()}
