"""The layer graph: a trained network as the compiler sees it, in integers.

It is what the PyTorch model and a QONNX file both turn into, and what the memory plan, the program and the
images are made from. Layers stand in the order of execution.
"""

from dataclasses import dataclass, field

import numpy as np

from flow.errors import GatefoldError

IMAGE = "image"
SHUFFLE_GROUPS = 16
ACTIVATION_MAX = 15
IMAGE_MAX = 255
OWN_STATISTICS = 32
"""A mode's setting of a layer is n + OWN_STATISTICS·s: n groups, with batch-normalisation statistics number s. Those of number 0
belong to the group count; a mode that was searched has its own."""


def group_count(setting):
    """The group count n in a mode's setting of a layer."""
    return setting % OWN_STATISTICS


@dataclass
class Layer:
    """One convolution or the classifier.

    Attributes:
        name: e.g. "stage1.block1.conv1".
        kind: "conv" or "linear".
        weight: int64, [Co, Ci, k, k] with k = 1 or 3 for a convolution (padding k // 2), [K, C] for the classifier.
            Input index i is the channel slot as stored, after the producer's shuffle.
        stride: 1 or 2.
        in_size, out_size: height = width of the maps in pixels.
        group_counts: the group counts n that this layer was trained for.
        input: name of the producing layer, or "image".
        residual: name of the layer whose output is added before the last clamp, or None.
        shuffle: output channel c = a·n' + b is stored in slot b·16 + a, n' = Co / 16.
        pool: the output is the sum over all pixels per channel.
        affine: setting (n, where the statistics are the group count's) -> (A, B), float32 [Co] each: the output is
            round_half_even(fl(fl(acc·A) + B)), clamped to 0…15.
        bias: int64 [K], the classifier's only.
        logit_scale: real logits are the integer ones times this.
    """

    name: str
    kind: str
    weight: np.ndarray
    stride: int = 1
    in_size: int = 1
    out_size: int = 1
    group_counts: tuple = (1,)
    input: str = IMAGE
    residual: str | None = None
    shuffle: bool = False
    pool: bool = False
    affine: dict = field(default_factory=dict)
    bias: np.ndarray | None = None
    logit_scale: float = 1.0

    @property
    def out_channels(self):
        return self.weight.shape[0]

    @property
    def in_channels(self):
        return self.weight.shape[1]

    @property
    def kernel(self):
        return self.weight.shape[2] if self.kind == "conv" else 1

    @property
    def input_max(self):
        """The largest input integer; the smallest is 0."""
        return IMAGE_MAX if self.input == IMAGE else ACTIVATION_MAX

    def group_weight(self, groups):
        """The weights in use with `groups` groups, [n, Co/n, Ci/n, ...]: output o and input i connect
        iff o·n // Co == i·n // Ci."""
        per_out, per_in = self.out_channels // groups, self.in_channels // groups
        return np.stack(
            [self.weight[g * per_out : (g + 1) * per_out, g * per_in : (g + 1) * per_in] for g in range(groups)]
        )

    def accumulator_range(self, groups):
        """(lowest, highest) reachable accumulator per output channel, int64 [Co] each."""
        weight = self.group_weight(groups).reshape(self.out_channels, -1)
        return (
            np.minimum(weight, 0).sum(axis=1) * self.input_max,
            np.maximum(weight, 0).sum(axis=1) * self.input_max,
        )


@dataclass
class LayerGraph:
    """Layers in execution order and the modes they can run in.

    Attributes:
        name: the model's name.
        layers: list of Layer; the last one is the classifier.
        modes: mode name -> {layer name: setting, see `OWN_STATISTICS`}; the order gives the mode index. Layers that are not
            mentioned run with one group.
    """

    name: str
    layers: list
    modes: dict

    def __post_init__(self):
        self._by_name = {layer.name: layer for layer in self.layers}
        check(self)

    def __getitem__(self, name):
        return self._by_name[name]

    @property
    def classes(self):
        return self.layers[-1].out_channels

    def setting(self, mode, layer):
        """Setting of `layer` in the mode called `mode`: its key in `Layer.affine`."""
        try:
            return self.modes[mode].get(layer.name, 1)
        except KeyError:
            raise GatefoldError(f"unknown mode {mode!r}; {self.name} has {', '.join(self.modes)}") from None

    def groups(self, mode, layer):
        """Group count of `layer` in the mode called `mode`."""
        return group_count(self.setting(mode, layer))

    def used_groups(self, layer):
        """Sorted group counts that any mode uses for `layer`."""
        return sorted({self.groups(mode, layer) for mode in self.modes})

    def used_settings(self, layer):
        """Sorted settings that any mode has for `layer`."""
        return sorted({self.setting(mode, layer) for mode in self.modes})


def shuffle_slots(channels):
    """slot[c]: where output channel c is stored, int64 [channels]; the identity for 16 channels."""
    channel = np.arange(channels)
    per_group = channels // SHUFFLE_GROUPS
    return channel % per_group * SHUFFLE_GROUPS + channel // per_group


def check(graph):
    """Raise GatefoldError, naming the layer, where the graph contradicts itself."""
    seen = {}
    for layer in graph.layers:
        where = f"layer {layer.name} of {graph.name}"
        for source in (layer.input, layer.residual):
            if source not in (None, IMAGE) and source not in seen:
                raise GatefoldError(f"{where} reads {source}, which does not come before it; reorder the layers")
        if layer.kind not in ("conv", "linear"):
            raise GatefoldError(f"{where} is a {layer.kind}; only conv and linear layers are supported")
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
            if layer.kind == "conv" and setting not in layer.affine:
                raise GatefoldError(
                    f"{where} has no batch norm for {group_count(setting)} groups (it has {sorted(layer.affine)}); "
                    "train that group count"
                )
        if layer.shuffle and layer.out_channels % SHUFFLE_GROUPS:
            raise GatefoldError(
                f"{where}: channel shuffle needs a multiple of {SHUFFLE_GROUPS} channels, not {layer.out_channels}"
            )
        seen[layer.name] = layer
