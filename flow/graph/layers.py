"""The layer graph: a trained network as the compiler sees it, in integers.

It is what the PyTorch model and a QONNX file both turn into, and what the memory plan, the program and the
images are made from. Layers stand in the order of execution.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from flow.errors import GatefoldError
from flow.graph.excite import Expand
from flow.graph.exits import check_exits
from flow.graph.gates import check_gates
from flow.graph.lstm import Lstm, Rescale

IMAGE = "image"
SHUFFLE_GROUPS = 16
ACTIVATION_MAX = 15
IMAGE_MAX = 255
MAP_SIZES = (8, 16, 32)
"""Height = width of stored maps (docs/decisions/018 has what 64 would take)."""
SUM_VALUES = 64
"""Entries of a sum table; it is indexed by the sum modulo 64."""
MAX, SUM = "max", "sum"
WEIGHT_BITS = 4
WEIGHT_MAX = 7
_CODE_GROUPS = 32


@dataclass(frozen=True)
class Setting:
    """What a mode sets in a layer.

    Attributes:
        groups: group count n, 1…31.
        statistics: number of the batch-normalisation statistics. Those of number 0 belong to the group count; a mode that was
            searched has its own.
    """

    groups: int = 1
    statistics: int = 0

    def __lt__(self, other: "Setting") -> bool:
        """The order of the requantisation memory: all group counts' own statistics come first."""
        return self.code < other.code

    @property
    def code(self) -> int:
        """The setting as files have it."""
        return self.groups + _CODE_GROUPS * self.statistics

    @classmethod
    def of_code(cls, code: int) -> "Setting":
        """The inverse of `code`."""
        statistics, groups = divmod(int(code), _CODE_GROUPS)
        return cls(groups, statistics)


@dataclass
class Layer:
    """One convolution, the classifier, or a gate.

    A convolution makes a level of every accumulator, clamps it, adds the residual, looks up the sum, pools, and stores:

        level = clamp(requantised accumulator, *level_range)        (by `affine`, or by `thresholds`)
        sum   = level, or with a residual level + residual_table[its code]
        code  = sum_table[sum mod 64], or clamp(sum, 0, 15) without a table
        pool2 "max": the largest of four codes;  pool2 "sum": sum_table[sum of four clamped levels]

    Pixels outside `valid` are stored as zero, so that padding and pooled sums of the layers behind are exact.

    The classifier and the gates read the sums over all pixels of each channel of the map that `input` stores (its `pool`, where it
    has that). A gate decides on K things at once, decision[k] = 1 where Σ_c weight[k, c]·sums[c] + bias[k] >= 0. Where a
    decision says no, a channel or a whole layer is not computed, and what is left is the code of the residual, or zero without one.

    Attributes:
        name: e.g. "stage1.block1.conv1".
        kind: "conv", "linear", "gate", or "lstm": a gate of one decision, whose projection `rescale(weight @ sums + bias)` is what
            the frame's LSTM reads next (`flow.graph.lstm`); all such layers of a graph share it and its state, in their order. Or
            "excite": `rescale(weight @ sums + bias)` are codes of hidden units, of which `expand` makes factors (`flow.graph.excite`).
        weight: int64, [Co, Ci, k, k] with k = 1 or 3 for a convolution (padding k // 2), [K, C] for the classifier and for a
            gate (−127…127), [H, C] for the projection of an LSTM, [J, C] for J hidden units of an "excite".
            Input index i is the channel slot as stored, after the producer's shuffle.
        stride: 1 or 2.
        in_size, out_size: height = width of the stored maps in pixels; a layer halves its map (not below 8) for a stride of 2
            and for a pool of 2×2.
        group_counts: the group counts n that this layer was trained for.
        input: name of the producing layer, or "image".
        residual: name of the layer whose output is added before the last clamp, or None.
        shuffle: output channel c = a·n' + b is stored in slot b·16 + a, n' = Co / 16.
        pool: the output is the sum over all pixels per channel.
        affine: Setting -> (A, B), float32 [Co] each: the output is
            round_half_even(fl(fl(acc·A) + B)), clamped to 0…15.
        thresholds: Setting -> int64 [Co, L], ascending, instead of `affine`: the level is the lowest level plus the number of
            thresholds that the accumulator reaches, acc >= threshold.
        clamp: (lowest, highest) level, None for 0…15, with a residual −15…15. Without a residual the lowest level is 0.
        residual_table: int64 [16], what is added for each code of the residual; None adds the code itself.
        sum_table: int64 [64], codes 0…15, indexed by the sum modulo 64: a sum lies in −32…31, four pooled levels in 0…60.
        pool2: 2×2 pool with stride 2 behind the convolution, "max" or "sum", or None.
        valid: (height, width) of the output map, at its upper left in the stored one; None where it fills that.
        reach: largest integer in the input where that is less than the map's 15 or the image's 255, or None.
        bias: int64 [K], of the classifier and of gates.
        logit_scale: real logits are the integer ones times this.
        mask: of a convolution, name of the gate whose decision k says whether output channel k (before the shuffle) is computed.
        when: of a convolution or gate, name of a gate of one decision, which says whether the layer runs. Of a gate that does not
            run all decisions are 0.
        rescale: of an "lstm" or "excite"; lstm, expand: of either.
        excite, factor_shift: of a convolution of a gate, name of the "excite" layer by whose factors its accumulators are multiplied,
            in place of a requantisation: level = round half up(acc · factor / 2^factor_shift).
        gate: the convolution belongs to a gate: only gates and other such convolutions read it.
        exit: name of the classifier of the early exit that a convolution or that classifier itself belongs to, or None. A branch's layers
            follow one another, and only they read its convolutions.
    """

    name: str
    kind: str
    weight: np.ndarray
    stride: int = 1
    in_size: int = 1
    out_size: int = 1
    group_counts: tuple[int, ...] = (1,)
    input: str = IMAGE
    residual: str | None = None
    shuffle: bool = False
    pool: bool = False
    affine: dict[Setting, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    bias: np.ndarray | None = None
    logit_scale: float = 1.0
    thresholds: dict[Setting, np.ndarray] = field(default_factory=dict)
    clamp: tuple[int, int] | None = None
    residual_table: np.ndarray | None = None
    sum_table: np.ndarray | None = None
    pool2: str | None = None
    valid: tuple[int, int] | None = None
    reach: int | None = None
    mask: str | None = None
    when: str | None = None
    gate: bool = False
    exit: str | None = None
    rescale: Rescale | None = None
    lstm: Lstm | None = None
    expand: Expand | None = None
    excite: str | None = None
    factor_shift: int = 8

    @property
    def decisions(self) -> int:
        """How many things a gate decides on; 0 of another layer."""
        return {"gate": self.out_channels, "lstm": 1}.get(self.kind, 0)

    @property
    def decides(self) -> bool:
        """Whether the layer is a gate or belongs to one, so that a mode without gates does not run it."""
        return self.gate or self.decisions > 0 or self.kind == "excite"

    @property
    def out_channels(self) -> int:
        return self.weight.shape[0]

    @property
    def in_channels(self) -> int:
        return self.weight.shape[1]

    @property
    def kernel(self) -> int:
        return self.weight.shape[2] if self.kind == "conv" else 1

    @property
    def input_max(self) -> int:
        """The largest input integer; the smallest is 0."""
        if self.reach is not None:
            return self.reach
        return IMAGE_MAX if self.input == IMAGE else ACTIVATION_MAX

    @property
    def level_range(self) -> tuple[int, int]:
        """(lowest, highest) level of a requantised accumulator."""
        return self.clamp or (0 if self.residual is None else -ACTIVATION_MAX, ACTIVATION_MAX)

    @property
    def out_max(self) -> int:
        """The largest code of the output map."""
        if self.sum_table is not None:
            return int(self.sum_table.max())
        return ACTIVATION_MAX if self.residual else self.level_range[1]

    @property
    def valid_size(self) -> tuple[int, int]:
        """(height, width) of the valid pixels of the output map."""
        size = self.conv_size // (2 if self.pool2 else 1)
        return self.valid or (size, size)

    @property
    def settings(self) -> list[Setting]:
        """Settings that the layer has requantisations for, ascending."""
        return sorted(self.thresholds or self.affine)

    @property
    def conv_size(self) -> int:
        """Height = width of the convolution's own map, before a pool, in stored pixels."""
        return (self.in_size - 1) // self.stride + 1

    def weight_digits(self) -> list[tuple[int, np.ndarray]]:
        """[(shift, kernels)], kernels int64 in −7…7, what the engine's lanes multiply: the weight is the sum of kernels·2^shift.

        One pair with shift 0 for weights in −7…7. Wider ones, which the first layer may have, are w = 16·high + low, high
        ones first; a part that reaches 8 takes two kernels.
        """
        if np.abs(self.weight).max() <= WEIGHT_MAX:
            return [(0, self.weight)]
        low = (self.weight + 8) % 16 - 8
        parts = ((WEIGHT_BITS, (self.weight - low) // 16), (0, low))
        return [(shift, kernels) for shift, part in parts for kernels in _kernels(part)]

    def group_weight(self, groups: int) -> np.ndarray:
        """The weights in use with `groups` groups, [n, Co/n, Ci/n, ...]: output o and input i connect
        iff o·n // Co == i·n // Ci."""
        per_out, per_in = self.out_channels // groups, self.in_channels // groups
        return np.stack([self.weight[g * per_out : (g + 1) * per_out, g * per_in : (g + 1) * per_in] for g in range(groups)])

    def accumulator_range(self, groups: int) -> tuple[np.ndarray, np.ndarray]:
        """(lowest, highest) reachable accumulator per output channel, int64 [Co] each."""
        weight = self.group_weight(groups).reshape(self.out_channels, -1)
        return (
            np.minimum(weight, 0).sum(axis=1) * self.input_max,
            np.maximum(weight, 0).sum(axis=1) * self.input_max,
        )


@dataclass(frozen=True)
class ImageInput:
    """How pixels become the planes that the first layer reads.

    The host looks every pixel up, since what a network does to its input before the first convolution (mean, deviation,
    quantiser) is a function of one pixel. Where the table has negative entries there are two planes per colour, first the positive
    parts of all colours, then the negative parts as positive integers, with the negated weights: zeros around the map
    then are zeros of the network, which no constant folded into thresholds can give.

    Attributes:
        size: (height, width) of the images in pixels.
        table: int64 [256, colours], integer of each pixel and colour, −255…255.
    """

    size: tuple[int, int]
    table: np.ndarray

    @property
    def colours(self) -> int:
        return self.table.shape[1]

    @property
    def signed(self) -> bool:
        return bool((self.table < 0).any())

    def planes(self, images: np.ndarray, size: int) -> np.ndarray:
        """uint8 [N, colours, height, width] -> uint8 [N, planes, size, size], zero outside the image."""
        values = self.table[images, np.arange(self.colours)[:, None, None]]
        if self.signed:
            values = np.concatenate([np.maximum(values, 0), np.maximum(-values, 0)], axis=1)
        height, width = self.size
        return np.pad(values, ((0, 0), (0, 0), (0, size - height), (0, size - width))).astype(np.uint8)


@dataclass
class LayerGraph:
    """Layers in execution order and the modes they can run in.

    Attributes:
        name: the model's name.
        layers: list of Layer; the last one is the classifier, those before it are of exits.
        modes: mode name -> {layer name: Setting}; the order gives the mode index. Layers that are not
            mentioned have the setting `Setting()`, one group.
        image: ImageInput, or None where the first layer reads the pixels as they are.
        class_order: number of the network's class that each logit belongs to, or None where they are the same. Logits whose
            integers are equal are told apart by what their real biases are above the integer ones, so the class with
            the largest rest comes first.
        ungated: names of the modes in which no gate runs, and everything else does.
    """

    name: str
    layers: list[Layer]
    modes: dict[str, dict[str, Setting]]
    image: ImageInput | None = None
    class_order: tuple[int, ...] | None = None
    ungated: frozenset[str] = frozenset()

    def __post_init__(self):
        self._by_name = {layer.name: layer for layer in self.layers}
        check(self)

    def __getitem__(self, name):
        return self._by_name[name]

    def __contains__(self, name):
        return name in self._by_name

    @property
    def classes(self) -> int:
        return self.layers[-1].out_channels

    @property
    def gates(self) -> list[Layer]:
        """The layers that decide."""
        return [layer for layer in self.layers if layer.decisions]

    @property
    def exits(self) -> list[Layer]:
        """The classifiers of the early exits."""
        return [layer for layer in self.layers if layer.exit == layer.name]

    @property
    def layer_gates(self) -> set[str]:
        """Names of the gates that decide whether layers run."""
        return {layer.when for layer in self.layers if layer.when}

    def masked_source(self, layer: Layer) -> Layer | None:
        """The layer whose masked outputs a convolution reads; None where it reads all of its inputs, since dropped outputs are not
        there or are what a residual left."""
        source = self._by_name.get(layer.input)
        return source if source and source.mask and not source.residual else None

    def executed(self, mode: str, forced: Collection[str] = ()) -> list[Layer]:
        """The layers that a frame passes in a mode, some of which its own decisions may skip.

        Args:
            mode: with gates, or an ungated one, which has no layers that decide.
            forced: names of gates whose decisions are given; neither they nor convolutions that only they need are there.
        """
        needed, layers = set(), []
        for layer in reversed(self.layers):
            unread = not layer.decisions and layer.name not in needed
            if layer.decides and (mode in self.ungated or layer.name in forced or unread):
                continue
            needed.update((layer.input, layer.residual, layer.excite))
            layers.append(layer)
        return layers[::-1]

    @property
    def picture_shape(self) -> tuple[int, int, int]:
        """(height, width, colours) of the pictures that the network takes."""
        if self.image:
            return (*self.image.size, self.image.colours)
        first = self.layers[0]
        return first.in_size, first.in_size, first.in_channels

    def setting(self, mode: str, layer: Layer) -> Setting:
        """Setting of `layer` in the mode called `mode`: its key in `Layer.affine`."""
        try:
            return self.modes[mode].get(layer.name, Setting())
        except KeyError:
            raise GatefoldError(f"unknown mode {mode!r}; {self.name} has {', '.join(self.modes)}") from None

    def groups(self, mode: str, layer: Layer) -> int:
        """Group count of `layer` in the mode called `mode`."""
        return self.setting(mode, layer).groups

    def used_groups(self, layer: Layer) -> list[int]:
        """Sorted group counts that any mode uses for `layer`."""
        return sorted({self.groups(mode, layer) for mode in self.modes})

    def used_settings(self, layer: Layer) -> list[Setting]:
        """Sorted settings that any mode has for `layer`."""
        return sorted({self.setting(mode, layer) for mode in self.modes})


def _kernels(part):
    """Kernels in −7…7 whose sum is `part`; none for zeros."""
    found = []
    while part.any():
        found.append(np.clip(part, -WEIGHT_MAX, WEIGHT_MAX))
        part = part - found[-1]
    return found


def shuffle_slots(channels: int) -> np.ndarray:
    """slot[c]: where output channel c is stored, int64 [channels]; the identity for 16 channels."""
    channel = np.arange(channels)
    per_group = channels // SHUFFLE_GROUPS
    return channel % per_group * SHUFFLE_GROUPS + channel // per_group


def stored_size(height: int, width: int) -> int | None:
    """The smallest map that the engine stores for height × width pixels, or None."""
    return next((size for size in MAP_SIZES if size >= max(height, width)), None)


def check(graph: LayerGraph) -> None:
    """Raise GatefoldError, naming the layer, where the graph contradicts itself."""
    seen = {}
    for layer in graph.layers:
        where = f"layer {layer.name} of {graph.name}"
        for source in (layer.input, layer.residual):
            if source not in (None, IMAGE) and source not in seen:
                raise GatefoldError(f"{where} reads {source}, which does not come before it; reorder the layers")
        if layer.kind not in ("conv", "linear", "gate", "lstm", "excite"):
            raise GatefoldError(f"{where} is a {layer.kind}; only conv, linear, gate, lstm and excite layers are supported")
        source = seen.get(layer.input)
        if source is not None and source.out_channels != layer.in_channels:
            raise GatefoldError(
                f"{where} takes {layer.in_channels} channels but {source.name} makes {source.out_channels}; fix the model"
            )
        for groups in graph.used_groups(layer):
            if layer.out_channels % groups or layer.in_channels % groups:
                raise GatefoldError(
                    f"{where}: {groups} groups do not divide {layer.in_channels} -> {layer.out_channels} channels; "
                    "choose a smaller group count"
                )
        for setting in graph.used_settings(layer):
            if layer.kind == "conv" and not layer.excite and setting not in layer.settings:
                raise GatefoldError(
                    f"{where} has no batch norm for {setting.groups} groups (it has {sorted({each.groups for each in layer.settings})}); train that group count"
                )
        if layer.shuffle and layer.out_channels % SHUFFLE_GROUPS:
            raise GatefoldError(f"{where}: channel shuffle needs a multiple of {SHUFFLE_GROUPS} channels, not {layer.out_channels}")
        if layer.kind == "conv":
            _check_levels(layer, where, seen.get(layer.residual))
        seen[layer.name] = layer
    check_gates(graph)
    check_exits(graph)


def _check_levels(layer, where, residual):
    """Refuse levels, tables and pools that contradict each other."""
    low, high = layer.level_range
    if layer.residual is None and low != 0:
        raise GatefoldError(f"{where} has levels from {low} but adds nothing; levels without a residual start at 0")
    if layer.pool2 not in (None, MAX, SUM):
        raise GatefoldError(f"{where} has a pool {layer.pool2!r}; choose {MAX} or {SUM}")
    if layer.pool2 == SUM and (layer.sum_table is None or layer.residual):
        raise GatefoldError(f"{where} pools sums, which takes a sum table and no residual; quantise behind the pool")
    if layer.sum_table is None:
        return
    lowest, highest = (4 * low, 4 * high) if layer.pool2 == SUM else (low, high)
    bounds = (0, SUM_VALUES - 1) if layer.pool2 == SUM else (-SUM_VALUES // 2, SUM_VALUES // 2 - 1)
    if layer.residual:
        codes = np.arange(residual.out_max + 1)
        added = codes if layer.residual_table is None else layer.residual_table[codes]
        lowest, highest = lowest + added.min(), highest + added.max()
    if lowest < bounds[0] or highest > bounds[1]:
        raise GatefoldError(
            f"{where} looks up sums from {lowest} to {highest}; its table takes {bounds[0]} to {bounds[1]}: use fewer bits"
        )
    if layer.sum_table.shape != (SUM_VALUES,) or layer.sum_table.min() < 0 or layer.out_max > ACTIVATION_MAX:
        raise GatefoldError(f"{where} needs a sum table of {SUM_VALUES} codes from 0 to {ACTIVATION_MAX}")
