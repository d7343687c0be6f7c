"""Networks whose topology is written once.

A subclass makes its layers in ``__init__``, ``classifier`` among them. Unless it says otherwise in ``topology``, the others
run in the order in which they were made. Training, the hardware's integers, the description of the layers, their scales and
the layer graph all follow from that:

    class Net(Network):
        def __init__(self, num_classes):
            super().__init__(num_classes)
            self.stem = Conv(3, 16)
            self.block1 = Residual(16, 16)
            self.block2 = Residual(16, 32, stride=2)
            self.block3 = Residual(32, 64, stride=2)
            self.classifier = Classifier(64, num_classes)
"""

from collections import Counter, OrderedDict
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from flow.errors import GatefoldError
from flow.models.adaptive import Adaptive
from flow.models.executions import Describe, Description, Integer, Real, Visit
from flow.models.gated import Gating
from flow.models.integer import IntegerConv, IntegerLinear
from flow.models.integer_gates import ByIntegers, gate_integers
from flow.models.searched import activate_statistics, add_searched
from flow.nn.conv import SwitchableConv2d
from flow.nn.gates.decision import Judge
from flow.nn.gates.gating import BlockShape, rename
from flow.nn.layers import ConvUnit
from flow.nn.linear import SwitchableLinear
from flow.nn.maps import Map
from flow.nn.modes import group_vector
from flow.nn.spec import LayerSpec
from flow.nn.trace import Trace

CLASSIFIER = "classifier"
BESIDE = (CLASSIFIER, "gates", "exits")


class Network(Adaptive):
    """A network of convolutions with group modes, for square images, behind whose last map are a global sum and a classifier.

    ``forward`` takes float images [N, 3, H, W] in 0..1 and gives float logits [N, classes]. While training it computes
    with fake quantisation (or in floating point, see ``set_quantised``). In eval a quantised network computes with the
    integers of the hardware; ``exact = False`` keeps fake quantisation there too.

    With gates and exits (see ``flow.models.gated.equip``) every group mode works with every setting of them. In training the
    gates decide softly, unless ``soft_gates`` is off; in eval they always decide hard, and a quantised network keeps to
    integers: its gates too decide by integers, see ``flow.models.integer_gates``.

    Args:
        num_classes: number of classes.
        name: of the network; None: that of the class.

    Attributes:
        classifier: a ``Classifier``.
        image_size: height and width of the images.
        trace: the ``Trace`` of the last batch, if there are gates or exits.
        source: of a user's class its file, name and digest (see ``flow.models.user``); None for the networks here.
        exit_specs: layers of the exits, named as in the trace.
    """

    image_size = 32
    source: dict[str, str] | None = None

    def __init__(self, num_classes: int, name: str | None = None):
        super().__init__()
        self.name = name or type(self).__name__
        self.num_classes = num_classes
        self.exact = True
        self.quantised = True
        self.searched: dict[str, dict[str, int]] = {}
        self.gates = None
        self.exits = {}
        self.gates_on = self.exits_on = False
        self.soft_gates = True
        self.trace = Trace()
        self.exit_logits: list[Tensor] = []
        self.exit_specs: list[LayerSpec] = []
        self._described: Description | None = None

    def topology(self, x: Map) -> Map:
        """The last map, from the image: the layers in the order in which they were made, unless a subclass says otherwise."""
        for name, layer in self.named_children():
            if name not in BESIDE:
                x = layer(x)
        return x

    def start(self) -> None:
        """Draw the weights of a network that is to be trained."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # A residual stream of 16 levels saturates in deep networks unless each block adds less.
        described = self._description()
        adding = {name: described.ends[name][1] for name, spec in described.specs.items() if spec.residual}
        blocks = Counter(map(id, adding.values()))
        for name, stream in adding.items():
            for norm in self.get_submodule(name).norm.norms.values():
                nn.init.constant_(norm.weight, blocks[id(stream)] ** -0.5)
        self.to(memory_format=torch.channels_last)

    # -- structure ----------------------------------------------------------------------------------------------------

    def _description(self) -> Description:
        """What follows from the topology; found once."""
        if self._described is None:
            run = Describe({module: name for name, module in self.named_modules()}, self.name)
            last = self.topology(Map(run, (3, self.image_size)))
            described = run.description
            if not isinstance(last, Map) or last.source not in described.specs:
                raise GatefoldError(f"The topology of {self.name} gives no map of a layer; return that of its last one.")
            unused = [name for name, module in self.named_modules() if isinstance(module, ConvUnit) and name not in described.specs]
            if unused and not unused[0].startswith(BESIDE):
                raise GatefoldError(f"Layer {unused[0]} of {self.name} is not used; use it in topology, or leave it out.")
            classifier, (channels, _) = getattr(self, CLASSIFIER, None), last.value
            if not isinstance(classifier, SwitchableLinear):
                raise GatefoldError(
                    f"{self.name} has no classifier; end __init__ with self.classifier = Classifier({channels}, num_classes)."
                )
            features, classes = classifier.in_features, classifier.out_features
            if (features, classes) != (channels, self.num_classes):
                raise GatefoldError(
                    f"The classifier of {self.name} makes {classes} classes of {features} channels, and there are {self.num_classes} and "
                    f"{channels}; write Classifier({channels}, num_classes)."
                )
            described.specs[last.source] = replace(described.specs[last.source], pool=True)
            described.specs[CLASSIFIER] = LayerSpec(
                CLASSIFIER, "linear", features, classes, 1, 1, 1, 1, classifier.group_counts, last.source
            )
            described.ends[CLASSIFIER] = (last.activation, last.activation)
            self._described = described
        return self._described

    def layers(self) -> list[LayerSpec]:
        """All layers in execution order."""
        return list(self._description().specs.values())

    def output_scale(self, name: str) -> float:
        """One unit of the map that a layer makes."""
        return self._description().ends[name][1].scale

    def block_shapes(self) -> list[BlockShape]:
        """The residual blocks in execution order."""
        return list(self._description().blocks)

    def gate_layers(self) -> list[LayerSpec]:
        """Layers of gates and exits, named as in the trace."""
        gates = [] if self.gates is None else rename(self.gates.layers(), "gates")
        return [*gates, *self.exit_specs]

    def exact_gate_layers(self) -> dict[str, LayerSpec]:
        """Those of the gates that the hardware's integers are defined for, and all of the exits, by name."""
        exact = [
            f"{name}." for name, module in self.named_modules() if name.startswith("gates.") and getattr(module, "exact", False)
        ]
        exact += [f"exits.{name}." for name in self.exits]
        return {spec.name: spec for spec in self.gate_layers() if spec.name.startswith(tuple(exact))}

    def switch(self, name: str) -> SwitchableConv2d | SwitchableLinear:
        """What chooses the group count of a layer."""
        if name not in self._description().specs:
            raise GatefoldError(f"Model {self.name} has no layer '{name}'; take the names from its layers().")
        module = self.get_submodule(name)
        return module.conv if isinstance(module, ConvUnit) else module

    # -- modes --------------------------------------------------------------------------------------------------------

    def add_mode(self, name: str, groups: dict[str, int]) -> None:
        """Add a named mode with a group count per layer and batch normalisations of its own, at first those of the counts."""
        add_searched(self, name, groups)

    def set_mode(self, mode: str | dict[str, int]) -> None:
        """Select a named mode, or a group count per layer name (layers not named keep theirs)."""
        vector = group_vector(self, mode) if isinstance(mode, str) else mode
        activate_statistics(self, mode if isinstance(mode, str) and mode in self.searched else None)
        for name, n in vector.items():
            self.switch(name).set_groups(n)

    def set_grouped(self, grouped: bool | None) -> None:
        """Choose real grouped convolution (True), masked dense weights (False) or the faster one (None)."""
        for spec in self.layers():
            self.switch(spec.name).grouped = grouped

    def set_fused(self, maps: torch.dtype | None) -> None:
        """Train with what follows a convolution as one function, on maps of the given type (see ``flow.nn.fused``); None: not."""
        for module in self.modules():
            if isinstance(module, ConvUnit):
                module.fused = maps

    # -- one batch ----------------------------------------------------------------------------------------------------

    def _visit(self, judge: Judge | None = None) -> Visit | None:
        """What accompanies the next batch; ``judge`` says how gates decide, see ``Gating``."""
        return Gating(self, judge) if self.gates is not None or self.exits else None

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        if self.quantised and self.exact and not self.training:
            logits = self._integers(torch.round(x.detach() * 255))[1]
            return (logits * self.integer_layer(CLASSIFIER).logit_scale).float()
        visit = self._visit()
        run = Real(self._description().names, visit)
        x = self.topology(Map(run, x.contiguous(memory_format=torch.channels_last))).value
        if visit:
            visit.layer(CLASSIFIER)
        return self.all_logits(self.classifier(x.mean((2, 3), dtype=self.classifier.weight.dtype)))

    def integer_layer(self, name: str) -> IntegerConv | IntegerLinear:
        """The integers of one layer, all group counts (see ``IntegerConv`` and ``IntegerLinear``), or of a gate's or exit's, see
        ``exact_gate_layers``."""
        if name.startswith(("gates.", "exits.")):
            return gate_integers(self, self.exact_gate_layers(), name)
        switch, described = self.switch(name), self._description()
        if name == CLASSIFIER:
            pixels = described.specs[described.specs[CLASSIFIER].input].out_size ** 2
            return IntegerLinear(switch, described.scales(CLASSIFIER)[0] / pixels)
        return IntegerConv(switch, self.get_submodule(name).norm, *described.scales(name))

    @torch.no_grad()
    def _integers(self, pixels: Tensor, stations: dict[str, np.ndarray] | None = None) -> tuple[Tensor, Tensor]:
        """Pool sums [N, C] and integer logits [N, classes] (float64) of integer-valued float pixels [N, 3, H, W].

        Args:
            stations: see ``Integer``.
        """
        visit = self._visit(ByIntegers(self, stations))
        run = Integer(self._description().names, self.integer_layer, visit, stations)
        sums = self.topology(Map(run, pixels.float().contiguous(memory_format=torch.channels_last))).value.sum((2, 3))
        if visit:
            visit.layer(CLASSIFIER)
        integers = self.integer_layer(CLASSIFIER)
        weight, bias = (torch.from_numpy(value).to(sums.device).double() for value in (integers.weight, integers.bias))
        return sums, sums.double() @ weight.t() + bias

    def _pixels(self, images: np.ndarray) -> Tensor:
        images, size = np.asarray(images), self.image_size
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (size, size, 3):
            raise GatefoldError(
                f"Images must be uint8 of shape [N, {size}, {size}, 3], not {images.dtype} of shape {list(images.shape)}; "
                "resize them first."
            )
        device = self.classifier.weight.device
        return torch.from_numpy(np.ascontiguousarray(images)).to(device).permute(0, 3, 1, 2).float()

    def integer_logits(self, images: np.ndarray) -> np.ndarray:
        """Integer logits in the active mode, as the hardware computes them.

        Args:
            images: uint8 [N, H, W, 3].

        Returns:
            int64 [N, classes]; the predicted class is the first largest.
        """
        return self._integers(self._pixels(images))[1].cpu().numpy().astype(np.int64)

    def integer_stations(self, images: np.ndarray) -> "OrderedDict[str, np.ndarray]":
        """Output of every layer in the active mode, int64, in execution order.

        Convolutions: [N, Co, H, W] in 0..15 in natural channel order (before the shuffle); ``pool``: sums [N, C];
        ``classifier``, and those of exits: logits [N, classes].
        """
        stations: OrderedDict[str, np.ndarray] = OrderedDict()
        sums, logits = self._integers(self._pixels(images), stations)
        stations["pool"] = sums.cpu().numpy().astype(np.int64)
        stations[CLASSIFIER] = logits.cpu().numpy().astype(np.int64)
        return stations
