"""From FINN's streamlined graph to the layers of the tile engine.

Streamlined, every tensor between the image and the logits holds integers, up to a scale per tensor. Nodes are taken in
order; each finds, by the kind of integers that it reads, which part of a layer it is:

    Conv            opens a layer (`Open`): its accumulators
    MultiThreshold  on accumulators: the levels; behind an addition or an average: the sum table; on a stored map: a
                    table of what its codes are worth, which only an addition can read
    MaxPool, AveragePool (2×2)   on an open layer: its pool
    Add             of an open layer and a stored map, or of two open layers, the shallower of which is stored: the residual
    Reshape, Transpose, Reshape  behind a layer: its channel shuffle
    GlobalAveragePool, Reshape or Flatten, MatMul, Mul, Add     the classifier, that of an early exit, or a gate
    LstmStep        behind a global average pool: a step of the LSTM of layer gates
    Excite, Excited behind a global average pool: the factors of squeeze-and-excitation; on accumulators: what multiplies by them
    GreaterOrEqual, And     the decisions of a gate, which does not run where another gate says so
    Unsqueeze, Where        behind a layer: the decision on its channels, or on the whole of it

A layer is stored as soon as something reads it that cannot be part of it. What is no part of any layer is refused by name.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation
from qonnx.util.basic import get_by_name

from flow.engine.config import Folding
from flow.export.excite_step import excite_layer
from flow.export.lstm_step import step_layer
from flow.finn.convert import build_layer_graph
from flow.finn.integers import Accumulators, Decisions, Factors, Logits, Map, Open, Pooled, Scaled, Score, State, refuse, title
from flow.finn.overlay import overlay
from flow.finn.pixels import Pixels, image_input
from flow.graph.layers import ACTIVATION_MAX, IMAGE, MAX, SHUFFLE_GROUPS, SUM, SUM_VALUES, Layer, LayerGraph, Setting

FULL = "full"
LEVELS = (-16, 15)
"""Levels that a branch may have before the addition."""
KERNEL_RANGE = (-8, 7)
WIDE_RANGE = (-128, 127)


class InferSwitchableLayers(Transformation):
    """Replace a streamlined network by SwitchableConv and SwitchableLinear nodes.

    A network of ours takes its modes and exact constants from its metadata (`flow.finn.overlay`); a node's `doc_string` says so.

    Args:
        folding: that the nodes carry, or None for the default.
        pixels: what the network is given for a pixel; None: what its input's type says.

    Raises:
        GatefoldError: a node is no part of a layer that the engine can run; names the node and what to change.
    """

    def __init__(self, folding: Folding | None = None, pixels: Pixels | None = None):
        super().__init__()
        self.folding, self.pixels = folding, pixels

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        graph, remarks = overlay(recognise(model, self.pixels), model)
        layers = build_layer_graph(graph, self.folding)
        for node in layers.graph.node:
            node.doc_string = remarks.get(node.name, "")
        return layers, False


def recognise(model: ModelWrapper, pixels: Pixels | None = None) -> LayerGraph:
    """The layer graph of a streamlined model's nodes, with the one mode "full"; see `InferSwitchableLayers`."""
    return _Walk(model, pixels).run()


@dataclass
class _Walk:
    model: ModelWrapper
    pixels: Pixels | None
    layers: list[Layer] = field(default_factory=list)
    values: dict[str, Scaled] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def run(self):
        model = self.model
        self.image, tensor, image, nodes = image_input(model, self.pixels)
        self.values[tensor] = Scaled(image)
        for node in nodes:
            if node.name in self.done:
                continue
            handler = getattr(self, f"_{node.op_type.lower()}", None)
            if handler is None:
                refuse(node, "is no part of a layer that the engine runs: it takes convolutions of 3x3 and 1x1, batch norm, 4-bit "
                             "ReLU, 2x2 and global pools, additions of two quantised branches and one linear layer")  # fmt: skip
            handler(node)
        exits = [self._exit(*self._logits(output)) for output in list(model.graph.output)[1:]]
        order = self._classifier(*self._logits(model.graph.output[0]))
        for exit in exits if order else ():  # one order for all: a record's logits are those of any exit
            exit.weight, exit.bias = exit.weight[list(order)], exit.bias[list(order)]
        _find_gates(self.layers)
        self.layers = _with_branches(self.layers, exits)
        name = model.graph.name or "network"
        return LayerGraph(name, self.layers, {FULL: {}}, self.image, order)

    def _logits(self, output):
        """(Logits, scale) of an output of the network."""
        out = self.values.get(output.name)
        if not isinstance(getattr(out, "what", None), Logits):
            last = self.model.find_producer(output.name)
            refuse(last, "ends the network; end it with a global average pool and one linear layer")
        return out.what, out.scale

    # ---- what a node reads

    def _read(self, node, index=0):
        """Scaled of an input."""
        found = self.values.get(node.input[index])
        if found is None:
            refuse(node, f"reads {node.input[index]}, which is no map of integers; quantise it to at most 4 bits before")
        return found

    def _constant(self, node):
        """The constant operand of a Mul or Add, or None."""
        return next((value for name in node.input if (value := self.model.get_initializer(name)) is not None), None)

    def _dynamic(self, node):
        """Index of the first input that is no constant."""
        return next(index for index, name in enumerate(node.input) if self.model.get_initializer(name) is None)

    def _alone(self, node, index=0):
        """Whether the node is the only reader of an input."""
        return len(self.model.find_consumers(node.input[index])) == 1

    def _stored(self, node, index=0):
        """The Map behind an input; an open layer is stored."""
        found = self._read(node, index)
        if isinstance(found.what, Open):
            found = Scaled(self._store(found.what, node), found.scale)
            self.values[node.input[index]] = found
        if not isinstance(found.what, Map):
            refuse(
                node, "reads the result of a global pool, a linear layer or a gate; only one linear layer may follow a global pool"
            )
        return found

    def _store(self, made, reader):
        """Append an open layer; returns its Map."""
        layer = made.layer
        if made.awaits is not None:
            refuse(made.awaits, f"makes sums that {title(reader)} reads without a quantiser of at most 4 bits between; put a "
                                "QuantReLU or QuantIdentity behind it")  # fmt: skip
        if not layer.thresholds and not layer.excite:
            refuse(made.node, "is not followed by a quantiser of at most 4 bits; put a QuantReLU or QuantIdentity behind it")
        if layer.residual is None and not layer.excite:
            count = layer.thresholds[Setting()].shape[1]
            if count > ACTIVATION_MAX:
                refuse(made.node, f"is quantised to {count + 1} values; the engine stores 16: use activations of 2 to 4 bits")
            layer.clamp = (0, count)
        elif layer.residual:
            _simplify(layer, made.added.out_max)
        self.layers.append(layer)
        _, height, width = made.shape
        size = layer.conv_size // (2 if layer.pool2 else 1)
        layer.out_size = max(size, 8)
        layer.valid = None if (height, width) == (layer.out_size, layer.out_size) else (height, width)
        values = np.arange(ACTIVATION_MAX + 1) + made.zero
        return Map(layer.name, made.shape, values, made.depth, layer.out_max, layer.out_size)

    # ---- convolution

    def _conv(self, node):
        source = self._stored(node).what
        weight = self.model.get_initializer(node.input[1])
        if weight is None or not np.array_equal(weight, np.rint(weight)):
            refuse(node, "has weights that are not quantised; use QuantConv2d with a weight quantiser of 2 to 4 bits")
        weight = weight.astype(np.int64)
        if weight.ndim != 4:
            refuse(node, f"has {weight.ndim - 2} dimensions; the engine convolves in two")
        kernel, stride, pads = weight.shape[2], *self._geometry(node)
        if weight.shape[2:] not in ((1, 1), (3, 3)):
            refuse(node, f"has a {weight.shape[2]}x{weight.shape[3]} kernel; use 3x3 or 1x1")
        if pads != [kernel // 2] * 4:
            refuse(node, f"pads {pads}; pad a 3x3 kernel by 1 on every side and a 1x1 kernel not at all")
        if stride not in ([1, 1], [2, 2]):
            refuse(node, f"has stride {stride}; use 1 or 2 both ways")
        weight = _dense(weight, get_by_name(node.attribute, "group"))
        first, values = source.layer == IMAGE, source.values
        if first and self.image.signed:
            weight = np.concatenate([weight, -weight], axis=1)
        if weight.shape[1] != source.shape[0]:
            refuse(node, f"takes {weight.shape[1]} channels of a map that has {source.shape[0]}")
        low, high = WIDE_RANGE if first else KERNEL_RANGE
        if weight.min() < low or weight.max() > high:
            refuse(node, f"has weights from {weight.min()} to {weight.max()}; use {'at most 8' if first else '2 to 4'} bits")
        zero = 0
        if values is not None:
            used = values[: source.out_max + 1]
            zero = int(used[0])
            if not np.array_equal(used, np.arange(len(used)) + zero):
                refuse(node, "reads a map that is quantised twice; let it read the map that its producer's quantiser makes")
            if zero and kernel != 1:
                refuse(node, "pads signed activations, whose zero is no code of the engine; put a QuantReLU before it")
        _, height, width = source.shape
        shape = (weight.shape[0], *(-(-length // stride[0]) for length in (height, width)))
        layer = Layer(
            title(node), "conv", weight, stride[0], source.size, input=source.layer, reach=source.out_max,
        )  # fmt: skip
        self.values[node.output[0]] = Scaled(Accumulators(node, layer, shape, source.depth + 1, -zero * weight.sum(axis=(1, 2, 3))))

    def _geometry(self, node):
        """(strides, pads) of a convolution or pool; refuses dilation and automatic padding."""
        dilations = get_by_name(node.attribute, "dilations")
        if dilations is not None and set(dilations.ints) != {1}:
            refuse(node, f"is dilated by {list(dilations.ints)}; use dilation 1")
        auto = get_by_name(node.attribute, "auto_pad")
        if auto is not None and auto.s.decode() not in ("NOTSET", "VALID"):
            refuse(node, f"pads automatically ({auto.s.decode()}); give the padding as numbers")
        strides, pads = get_by_name(node.attribute, "strides"), get_by_name(node.attribute, "pads")
        return list(strides.ints) if strides else [1, 1], list(pads.ints) if pads else [0] * 4

    # ---- thresholds

    def _multithreshold(self, node):
        found = self._read(node)
        steps, bias = self._steps(node)
        unfinished = isinstance(found.what, Accumulators) or isinstance(found.what, Open) and found.what.awaits is not None
        if unfinished and not self._alone(node):
            second = next(other for other in self.model.find_consumers(node.input[0]) if other.name != node.name)
            refuse(found.what.node, f"has two readers, {title(node)} and {title(second)}, before it is quantised; quantise it once "
                                    "and let both read that")  # fmt: skip
        if isinstance(found.what, Map) or (isinstance(found.what, Open) and found.what.awaits is None and not self._alone(node)):
            found = self._stored(node)
            worth = self._table(node, found.what.values, found.scale, steps, bias)
            made = replace(found.what, values=worth)
        elif isinstance(found.what, Accumulators):
            made = self._levels(node, found.what, found.scale, steps, bias)
        elif isinstance(found.what, Open) and found.what.awaits is not None:
            made = self._sum_table(node, found.what, found.scale, steps, bias)
        elif isinstance(found.what, Open):
            made = self._requantised(node, found.what, found.scale, steps, bias)
        elif isinstance(found.what, Logits):
            refuse(node, "reads the output of a linear layer; the engine has one linear layer, the last, and those of exits")
        else:
            refuse(node, "quantises between the global pool and the linear layer; leave that quantiser out")
        self.values[node.output[0]] = Scaled(made)

    def _steps(self, node):
        """(thresholds [1 or C, L], integer of the lowest level)."""
        steps = self.model.get_initializer(node.input[1])
        attributes = {name: get_by_name(node.attribute, name) for name in ("out_scale", "out_bias")}
        scale = attributes["out_scale"].f if attributes["out_scale"] else 1.0
        bias = attributes["out_bias"].f if attributes["out_bias"] else 0.0
        if scale != 1 or bias != round(bias) or np.isnan(steps).any():
            refuse(node, f"quantises in steps of {scale:g} from {bias:g}; use an integer quantiser of 2 to 4 bits")
        return np.sort(steps, axis=1), round(bias)

    def _common(self, node, steps):
        """The one row of thresholds of all channels."""
        if not (steps == steps[0]).all():
            refuse(node, "has thresholds of their own for every channel behind an addition or a pool; put the batch norm before it")
        return steps[0]

    def _table(self, node, integers, scale, steps, bias):
        """What a quantiser makes of integers times a scale, as FINN executes it."""
        values = (np.asarray(integers, np.float32) * np.float32(scale)).astype(np.float32)
        return np.searchsorted(self._common(node, steps), values, side="right").astype(np.int64) + bias

    def _levels(self, node, acc, scale, steps, bias):
        """Accumulators become levels: integer thresholds."""
        if scale <= 0:
            refuse(acc.node, f"is scaled by {scale:g} before its quantiser; scales have to be positive")
        channels = len(acc.layer.weight)
        exact = np.broadcast_to(steps, (channels, steps.shape[1])).astype(np.float64) / scale
        limit = float(1 << 40)
        layer = acc.layer
        integers = np.ceil(np.clip(exact, -limit, limit)).astype(np.int64) + acc.offset[:, None]
        low, high = layer.accumulator_range(1)
        layer.thresholds = {Setting(): np.clip(integers, low[:, None], high[:, None] + 1)}
        if steps.shape[1] > LEVELS[1] - LEVELS[0]:
            refuse(acc.node, f"is quantised to {steps.shape[1] + 1} values; the engine's activations have 2 to 4 bits")
        layer.pool2 = acc.pool2
        return Open(acc.node, layer, acc.shape, acc.depth, bias)

    def _requantised(self, node, made, scale, steps, bias):
        """A second quantiser behind the first, and nothing between: a table of codes, or nothing where it only counts anew."""
        layer = made.layer
        last = layer.out_max if layer.sum_table is not None else layer.thresholds[Setting()].shape[1]
        worth = self._table(node, np.arange(last + 1) + made.zero, scale, steps, bias)
        codes = worth - worth[0]
        self._check_codes(node, codes)
        if layer.sum_table is not None:
            layer.sum_table = codes[layer.sum_table]
        elif not np.array_equal(codes, np.arange(last + 1)):
            if last > ACTIVATION_MAX:
                refuse(made.node, f"is quantised to {last + 1} values; the engine's activations have 2 to 4 bits")
            layer.sum_table = np.zeros(SUM_VALUES, np.int64)
            layer.sum_table[: last + 1] = codes
        return replace(made, zero=int(worth[0]))

    # ---- additions and pools

    def _add(self, node):
        constant = self._constant(node)
        if constant is not None:
            self._add_constant(node, constant)
            return
        pair = [self._read(node, index) for index in (0, 1)]
        for found in pair:
            if isinstance(found.what, Accumulators):
                refuse(node, f"adds the unquantised output of {title(found.what.node)}; put one QuantIdentity, shared by both "
                             "branches, before the addition")  # fmt: skip
        ready = [
            isinstance(found.what, Open) and found.what.awaits is None and found.what.layer.sum_table is None
            and found.what.layer.pool2 is None and not found.what.layer.shuffle and self._alone(node, index) for index, found in enumerate(pair)
        ]  # fmt: skip
        if not any(ready):
            refuse(node, "adds two stored maps; one branch has to end in a convolution that nothing else reads")
        branch = max((index for index in (0, 1) if ready[index]), key=lambda index: pair[index].what.depth)
        made, other = pair[branch].what, self._stored(node, 1 - branch)
        if not isinstance(other.what, Map) or other.what.layer == IMAGE:
            refuse(node, "adds the image; add the maps of two layers")
        ratio = other.scale / pair[branch].scale
        if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6 * ratio:
            refuse(node, f"adds branches whose scales {pair[branch].scale:g} and {other.scale:g} have no common grid; let both "
                         "branches share one QuantIdentity")  # fmt: skip
        if other.what.shape != made.shape:
            refuse(node, f"adds maps of {made.shape} and {other.what.shape}; add maps of one shape")
        layer = made.layer
        count = layer.thresholds[Setting()].shape[1]
        layer.clamp = (made.zero, made.zero + count)
        if layer.clamp[0] < LEVELS[0] or layer.clamp[1] > LEVELS[1]:
            refuse(made.node, f"adds levels from {layer.clamp[0]} to {layer.clamp[1]}; the engine adds {LEVELS[0]} to {LEVELS[1]}: "
                              "use 2 to 5 bits, signed, before the addition")  # fmt: skip
        layer.residual = other.what.layer
        layer.residual_table = round(ratio) * other.what.values
        self.values[node.output[0]] = Scaled(replace(made, awaits=node, added=other.what), pair[branch].scale)

    def _sum_table(self, node, made, scale, steps, bias):
        """The quantiser behind a residual addition or an average."""
        layer = made.layer
        low, high = layer.clamp
        if layer.pool2 == SUM:
            sums = np.arange(4 * high + 1)
            codes = self._table(node, (sums + 4 * made.zero) / np.float32(4), scale, steps, bias)
            index = sums
        else:
            added = layer.residual_table[: made.added.out_max + 1]
            lowest, highest = low + added.min(), high + added.max()
            if highest - lowest >= SUM_VALUES:
                refuse(node, f"quantises sums from {lowest} to {highest}; the engine's table has {SUM_VALUES} entries: use fewer "
                             "bits before the addition, or scales nearer to each other")  # fmt: skip
            sums = np.arange(lowest, highest + 1)
            codes = self._table(node, sums, scale, steps, bias)
            shift = max(-SUM_VALUES // 2 - lowest, min(0, SUM_VALUES // 2 - 1 - highest))
            layer.residual_table = layer.residual_table + shift
            index = sums + shift
        self._check_codes(node, codes - codes.min())
        table = np.zeros(SUM_VALUES, np.int64)
        table[index % SUM_VALUES] = codes - codes.min()
        layer.sum_table = table
        return replace(made, awaits=None, zero=int(codes.min()))

    def _check_codes(self, node, codes):
        if codes.max() > ACTIVATION_MAX:
            refuse(node, f"makes {codes.max() + 1} values; the engine stores 16: use activations of 2 to 4 bits")

    def _maxpool(self, node):
        self._check_pool(node)
        found = self._poolable(node)
        made = found.what
        if isinstance(made, (Open, Accumulators)) and (made.layer.pool2 or getattr(made, "pool2", None)):
            refuse(node, "pools twice behind one convolution; put a convolution between")
        if isinstance(made, Accumulators):
            made = replace(made, pool2=MAX, shape=_halved(made.shape))
        else:
            made.layer.pool2 = MAX
            made = replace(made, shape=_halved(made.shape))
        self.values[node.output[0]] = Scaled(made, found.scale)

    def _averagepool(self, node):
        shape = self.model.get_tensor_shape(node.input[0])
        kernel = list(get_by_name(node.attribute, "kernel_shape").ints)
        if kernel == shape[2:]:
            self._globalaveragepool(node)
            return
        self._check_pool(node)
        found = self._poolable(node)
        made = found.what
        if (
            not isinstance(made, Open)
            or made.awaits is not None
            or made.layer.sum_table is not None
            or made.layer.pool2
            or made.zero
        ):
            refuse(node, "averages what is no unsigned 4-bit output of a convolution; put conv, QuantReLU, average pool and "
                         "quantiser in this order")  # fmt: skip
        count = made.layer.thresholds[Setting()].shape[1]
        if count > ACTIVATION_MAX:
            refuse(made.node, f"is quantised to {count + 1} values; the engine stores 16: use activations of 2 to 4 bits")
        made.layer.pool2, made.layer.clamp = SUM, (0, count)
        self.values[node.output[0]] = Scaled(replace(made, shape=_halved(made.shape), awaits=node), found.scale)

    def _check_pool(self, node):
        strides, pads = self._geometry(node)
        kernel = list(get_by_name(node.attribute, "kernel_shape").ints)
        ceil = get_by_name(node.attribute, "ceil_mode")
        if kernel != [2, 2] or strides != [2, 2] or set(pads) != {0} or (ceil is not None and ceil.i):
            refuse(node, f"pools {kernel[0]}x{kernel[-1]} with stride {strides[0]}; use 2x2 with stride 2, without padding, or a "
                         "global average pool")  # fmt: skip

    def _poolable(self, node):
        found = self._read(node)
        if isinstance(found.what, Map) or not self._alone(node):
            others = [title(other) for other in self.model.find_consumers(node.input[0]) if other.name != node.name]
            also = f", which {others[0]} reads too" if others else ""
            refuse(node, f"pools a stored map{also}; pool right behind a convolution, where nothing else reads the larger map")
        if not isinstance(found.what, (Open, Accumulators)):
            refuse(node, "pools something that is no map of a convolution; pool right behind a convolution")
        return found

    # ---- gates

    def _greaterorequal(self, node):
        found, zero = self._read(node, self._dynamic(node)), self._constant(node)
        if not isinstance(found.what, (Logits, Score)) or zero is None or zero.any() or self._dynamic(node):
            refuse(node, "compares what is no output of a linear layer with zero, which is all that decides in the engine")
        if isinstance(found.what, Score):
            self.values[node.output[0]] = Scaled(Decisions(found.what.layer, 1))
            return
        made = found.what
        layer = self._linear(made, found.scale, "gate")
        layer.bias = np.floor(layer.bias).astype(np.int64)
        self.values[node.output[0]] = Scaled(Decisions(layer, len(made.weight)))

    def _several(self, node, make):
        """The layer that `make` makes of a node which reads sums over the pixels of a map."""
        found = self._read(node)
        pooled, layer = found.what, make(title(node), getCustomOp(node).get_nodeattr)
        if not isinstance(pooled, Pooled) or pooled.zero or found.scale != pooled.pixels:
            refuse(node, "reads something else than the sums over the pixels of a map, times one; export the network again")
        if layer.in_channels != pooled.channels:
            refuse(node, f"takes {layer.in_channels} channels of a map that has {pooled.channels}")
        layer.input = pooled.layer
        self.layers.append(layer)
        return layer

    def _excite(self, node):
        self.values[node.output[0]] = Scaled(Factors(self._several(node, excite_layer)))

    def _excited(self, node):
        acc, made = (self._read(node, index) for index in (0, 1))
        if (
            not (isinstance(acc.what, Accumulators) and isinstance(made.what, Factors) and self._alone(node))
            or (acc.scale, made.scale) != (1, 1)
            or acc.what.offset.any()
            or acc.what.pool2
        ):
            refuse(node, "multiplies something else than the accumulators of a convolution by factors; export the network again")
        layer = acc.what.layer
        layer.excite, layer.factor_shift = made.what.layer.name, getCustomOp(node).get_nodeattr("shift")
        self.values[node.output[0]] = Scaled(Open(acc.what.node, layer, acc.what.shape, acc.what.depth))

    def _lstmstep(self, node):
        before = next((each for each in reversed(self.layers) if each.kind == "lstm"), None)
        state = self._read(node, 1).what if len(node.input) > 1 else None
        if (state.layer if isinstance(state, State) else state) is not before:
            refuse(node, "does not go on from the state of the step before it; the engine has one LSTM for all steps")
        layer = self._several(node, step_layer)
        for tensor, made in zip(node.output, (Score(layer), State(layer)), strict=False):
            self.values[tensor] = Scaled(made)

    def _and(self, node):
        gate, when = (self._read(node, index).what for index in (0, 1))
        if (
            not (isinstance(gate, Decisions) and isinstance(when, Decisions) and when.count == 1)
            or gate.layer.when
            or not self._alone(node)
        ):
            refuse(node, "is no decision of a gate and of a layer gate, once; the engine has no other")
        gate.layer.when = when.layer.name
        self.values[node.output[0]] = Scaled(gate)

    def _unsqueeze(self, node):
        found = self._read(node)
        if not isinstance(found.what, Decisions):
            refuse(node, "gives dimensions to what is no decision of a gate; the engine has no such layer")
        self.values[node.output[0]] = found

    def _where(self, node):
        """What is left where a decision says no: the map that was added, or zeros."""
        decisions, made = self._read(node).what, self._read(node, 1).what
        if (
            not isinstance(decisions, Decisions)
            or not isinstance(made, Open)
            or made.awaits is not None
            or not self._alone(node, 1)
        ):
            refuse(
                node,
                "selects something else than, by the decision of a gate, the quantised map of a convolution that nothing else reads",
            )
        layer, left = made.layer, self.model.get_initializer(node.input[2])
        if left is None:
            other = self._stored(node, 2).what
            if other.layer != layer.residual or other.shape != made.shape:
                refuse(
                    node,
                    f"leaves the map of {other.layer} where {title(made.node)} is not computed; leave the one that is added to it",
                )
        elif left.any() or layer.residual:
            refuse(node, "leaves a constant where a convolution is not computed; leave zero, or the map that is added to it")
        if layer.shuffle or layer.when or (decisions.count > 1 and layer.mask):
            refuse(
                node, "decides once more on what is decided or shuffled; decide on the channels, then on the layer, then shuffle"
            )
        if decisions.count == 1:
            layer.when = decisions.layer.name
        else:
            layer.mask = decisions.layer.name
        self.values[node.output[0]] = Scaled(made, self._read(node, 1).scale)

    # ---- head

    def _globalaveragepool(self, node):
        found = self._read(node)
        made, also = found.what, [other for other in self.model.find_consumers(node.input[0]) if other.name != node.name]
        if isinstance(made, Open) and not also:
            self._store(made, node)
            made.layer.pool = True
            pooled = Pooled(made.layer.name, made.zero, made.shape[1] * made.shape[2], made.shape[0])
        else:
            made = self._stored(node).what
            if made.values is None or not np.array_equal(np.diff(made.values), np.ones(ACTIVATION_MAX)):
                refuse(node, "pools a map that is quantised twice, or the image; pool a map that its producer's quantiser makes")
            pooled = Pooled(made.layer, int(made.values[0]), made.shape[1] * made.shape[2], made.shape[0], (also or [node])[0])
        self.values[node.output[0]] = Scaled(pooled, found.scale)

    def _reshape(self, node):
        found = self._read(node)
        if len(self.model.get_tensor_shape(node.output[0])) == 5:
            self._shuffle(node, found)
            return
        if not isinstance(found.what, Pooled):
            refuse(node, "flattens a map; the classifier reads one value per channel: put a global average pool "
                         "(AdaptiveAvgPool2d(1)) before it")  # fmt: skip
        self.values[node.output[0]] = found

    _flatten = _squeeze = _reshape

    def _shuffle(self, node, found):
        """Channels [16, n] become [n, 16]: the address at which an open layer stores them."""
        nodes, shape = [node], self.model.get_tensor_shape(node.input[0])
        while len(nodes) < 3 and (after := self.model.find_consumers(nodes[-1].output[0])) and len(after) == 1:
            nodes.append(after[0])
        perm = get_by_name(nodes[1].attribute, "perm") if len(nodes) == 3 else None
        split, merged = (self.model.get_tensor_shape(each.output[0]) for each in (node, nodes[-1]))
        if (
            [each.op_type for each in nodes] != ["Reshape", "Transpose", "Reshape"]
            or list(split[1:3]) != [SHUFFLE_GROUPS, shape[1] // SHUFFLE_GROUPS]
            or perm is None or list(perm.ints) != [0, 2, 1, 3, 4] or merged != shape
        ):  # fmt: skip
            refuse(node, f"is no channel shuffle of {SHUFFLE_GROUPS} groups; the engine has no other one")
        if not isinstance(found.what, Open) or found.what.awaits is not None or found.what.layer.shuffle or not self._alone(node):
            refuse(node, "shuffles what is no quantised map of a convolution, or a map that something else reads too; shuffle right "
                         "behind a convolution's quantiser")  # fmt: skip
        found.what.layer.shuffle = True
        self.done.update(each.name for each in nodes)
        self.values[nodes[-1].output[0]] = found

    def _matmul(self, node):
        found = self._read(node)
        if not isinstance(found.what, Pooled):
            refuse(node, "does not read a global average pool; the engine has one linear layer, behind a global average pool")
        weight = self.model.get_initializer(node.input[1])
        if weight is None or not np.array_equal(weight, np.rint(weight)):
            refuse(node, "has weights that are not quantised; use QuantLinear with a weight quantiser of 2 to 8 bits")
        if weight.min() < WIDE_RANGE[0] or weight.max() > WIDE_RANGE[1]:
            refuse(node, f"has weights from {weight.min():g} to {weight.max():g}; use at most 8 bits")
        self.values[node.output[0]] = Scaled(Logits(node, found.what, weight.T.astype(np.int64)), found.scale)

    def _mul(self, node):
        found, constant = self._read(node, self._dynamic(node)), self._constant(node)
        if constant is None:
            refuse(node, "multiplies two maps; the engine adds branches, it cannot multiply them")
        if isinstance(found.what, Accumulators):
            refuse(found.what.node, "is not followed by a quantiser of at most 4 bits; put a QuantReLU behind it, or before an "
                                    "addition one QuantIdentity that both branches share")  # fmt: skip
        if (constant == constant.flat[0]).all():
            constant = constant.flat[:1]
        if constant.size != 1 or float(constant.reshape(-1)[0]) <= 0:
            head = isinstance(found.what, Logits)
            refuse(node, "scales every class by its own factor; use one weight scale for the whole linear layer" if head else
                   "scales every channel by its own factor where no quantiser follows; put the batch norm between a convolution and "
                   "its quantiser")  # fmt: skip
        self.values[node.output[0]] = Scaled(found.what, found.scale * float(constant.reshape(-1)[0]))

    def _add_constant(self, node, constant):
        found = self._read(node, self._dynamic(node))
        if not isinstance(found.what, Logits) or found.what.bias is not None:
            refuse(
                node, "adds a constant that no quantiser takes up; put batch norm and bias between a convolution and its quantiser"
            )
        bias = np.broadcast_to(constant.reshape(-1), (len(found.what.weight),)).astype(np.float64)
        self.values[node.output[0]] = Scaled(replace(found.what, bias=bias), found.scale)

    def _linear(self, logits, scale, kind):
        """Append a classifier or gate; its bias, in its units, is not rounded yet."""
        node, source, weight = logits.node, logits.source, logits.weight
        unit = scale / source.pixels
        bias = np.zeros(len(weight)) if logits.bias is None else logits.bias / unit
        bias = bias + source.pixels * source.zero * weight.sum(axis=1)
        if np.abs(bias).max() > 1 << 30:
            refuse(node, "has a bias far beyond its weights; train on, or use a larger weight scale")
        self.layers.append(Layer(title(node), kind, weight, input=source.layer, bias=bias, logit_scale=unit))
        return self.layers[-1]

    def _classifier(self, logits, scale):
        """Append the linear layer; returns the class of each logit, None where the order is the network's."""
        node, classes = logits.node, len(logits.weight)
        if not 2 <= classes <= 255:
            refuse(node, f"has {classes} classes; the engine takes 2 to 255")
        if logits.source.also is not None:
            refuse(
                logits.source.also, "pools a map that something else reads too; let the global pool alone read the last convolution"
            )
        layer = self._linear(logits, scale, "linear")
        whole = np.floor(layer.bias)
        order = np.argsort(-(layer.bias - whole), kind="stable")
        layer.weight, layer.bias = layer.weight[order], whole.astype(np.int64)[order]
        return None if (order == np.arange(classes)).all() else tuple(int(number) for number in order)

    def _exit(self, logits, scale):
        """Append the linear layer of an early exit."""
        node = logits.node
        if logits.source.also is not None:
            refuse(
                logits.source.also, "pools a map that something else reads too; put an exit's convolutions before its global pool"
            )
        layer = self._linear(logits, scale, "linear")
        whole = np.rint(layer.bias)
        if np.abs(layer.bias - whole).max() > 1e-3:
            refuse(node, "is the linear layer of an early exit, whose bias is no whole number of logit units; round it to those")
        layer.bias = whole.astype(np.int64)
        return layer


def _with_branches(layers, exits):
    """The layers with those that only an exit needs marked as its branch, one behind the other from where they branch off."""
    for exit in exits:
        exit.exit = exit.name
        for layer in reversed(layers):
            readers = [other for other in layers if layer.name in (other.input, other.residual)]
            if readers and all(other.exit == exit.name for other in readers):
                layer.exit = exit.name
        branch = [layer for layer in layers if layer.exit == exit.name]
        rest = [layer for layer in layers if layer.exit != exit.name]
        names, own = [layer.name for layer in rest], {layer.name for layer in branch}
        behind = max((names.index(layer.input) for layer in branch if layer.input not in own | {IMAGE}), default=-1)
        while behind + 1 < len(rest) and rest[behind + 1].exit and rest[behind + 1].exit != exit.name:
            behind += 1  # another exit of the same map
        layers = rest[: behind + 1] + branch + rest[behind + 1 :]
    return layers


def _find_gates(layers):
    """Mark the convolutions that only gates, or convolutions of gates, read."""
    for layer in reversed(layers):
        readers = [other for other in layers if layer.name in (other.input, other.residual)]
        layer.gate = layer.kind == "conv" and bool(readers) and all(other.decides for other in readers)


def _halved(shape):
    return shape[0], shape[1] // 2, shape[2] // 2


def _dense(weight, group):
    """Weights of a grouped convolution with the zeros of the pairs that are not connected: [Co, Ci, k, k]."""
    groups = group.i if group is not None else 1
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    dense = np.zeros((weight.shape[0], inputs * groups, *weight.shape[2:]), np.int64)
    for number in range(groups):
        rows = slice(number * outputs, (number + 1) * outputs)
        dense[rows, number * inputs : (number + 1) * inputs] = weight[rows]
    return dense


def _simplify(layer, reach):
    """Leave out the tables where they only add and clamp, which the engine does without them."""
    codes = np.arange(reach + 1)
    (low, high), added = layer.clamp, layer.residual_table[codes]
    sums = np.arange(low + added.min(), high + added.max() + 1)
    clamps = np.array_equal(layer.sum_table[sums % SUM_VALUES], np.clip(sums, 0, ACTIVATION_MAX))
    if np.array_equal(added, codes) and clamps and low <= -ACTIVATION_MAX and high == ACTIVATION_MAX:
        layer.residual_table = layer.sum_table = None
