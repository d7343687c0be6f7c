"""Layer graphs with random weights, for checking hardware and compiler without a trained network.

Batch norm is calibrated on random images in every uniform mode, so that the activations use their whole range
as a trained network's do.
"""

from dataclasses import replace

import numpy as np

from flow.graph.excite import Expand
from flow.graph.integer import affine, multiply, run, run_layers
from flow.graph.layers import (
    ACTIVATION_MAX,
    IMAGE,
    MAP_SIZES,
    MAX,
    SUM,
    SUM_VALUES,
    ImageInput,
    Layer,
    LayerGraph,
    Setting,
    stored_size,
)
from flow.graph.lstm import Lstm, Rescale

GROUP_COUNTS = (1, 2, 4, 8, 16)
MODE_NAMES = ("full", "1/2", "1/4", "1/8", "1/16")


def uniform_modes(layers: list[Layer]) -> dict[str, dict[str, Setting]]:
    """The five standard modes: the same group count in every layer that can switch."""
    return {
        name: {layer.name: Setting(n) for layer in layers if n in layer.group_counts}
        for name, n in zip(MODE_NAMES, GROUP_COUNTS, strict=True)
    }


def random_resnet(
    seed: int = 0, widths: tuple[int, ...] = (16, 32, 64), blocks: tuple[int, ...] = (1, 1, 1), classes: int = 10
) -> LayerGraph:
    """A CIFAR ResNet with random 4-bit weights.

    Args:
        seed: everything follows from it.
        widths: channels of the stem and stages at 32, 16 and 8 pixels.
        blocks: residual blocks per stage; 0 leaves a stage out as long as its width equals the one before it
            and its map size is 32.
        classes: outputs of the classifier.

    Returns:
        LayerGraph with the modes full, 1/2, 1/4, 1/8 and 1/16.
    """
    rng = np.random.default_rng(seed)

    def conv(name, inputs, outputs, size, kernel=3, stride=1, **more):
        spread = rng.uniform(1.0, 4.0, size=(outputs, 1, 1, 1))
        weight = np.clip(np.rint(rng.normal(scale=spread, size=(outputs, inputs, kernel, kernel))), -7, 7)
        counts = GROUP_COUNTS if inputs % 16 == 0 else (1,)
        return Layer(name, "conv", weight.astype(np.int64), stride, size * stride, size, counts, **more)

    layers = [conv("stem", 3, widths[0], 32, input=IMAGE)]
    stream, channels = "stem", widths[0]
    for stage, (width, count, size) in enumerate(zip(widths, blocks, (32, 16, 8), strict=True), 1):
        for block in range(1, count + 1):
            at = f"stage{stage}.block{block}"
            stride = 2 if stage > 1 and block == 1 else 1
            residual = stream
            if stride == 2:
                residual = f"{at}.shortcut"
                layers.append(conv(residual, channels, width, size, kernel=1, stride=2, input=stream))
            layers.append(conv(f"{at}.conv1", channels, width, size, stride=stride, input=stream, shuffle=True))
            layers.append(conv(f"{at}.conv2", width, width, size, input=f"{at}.conv1", residual=residual))
            stream, channels = f"{at}.conv2", width
    layers[-1].pool = True
    classifier = Layer("classifier", "linear", rng.integers(-127, 128, (classes, channels)), input=stream)
    classifier.bias = rng.integers(-40000, 40000, classes)
    layers.append(classifier)
    modes = uniform_modes(layers)

    calibrate(layers, modes, rng.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8), rng)
    return LayerGraph(f"random{seed}", layers, modes)


GATE_KINDS = ("channel", "layer", "both", "pooled", "each", "ddi", "acs")
HIDDEN = 10
WEIGHT_SPREAD = 73  # of weights from −127 to 127


def random_gated(
    seed: int = 0,
    widths: tuple[int, ...] = (16, 32, 64),
    blocks: tuple[int, ...] = (1, 1, 1),
    kinds: tuple[str, ...] = GATE_KINDS,
    classes: int = 10,
) -> LayerGraph:
    """`random_resnet` with gates before its blocks, which decide about half and half on random images.

    Args:
        kinds: of which every block gets one in turn: "channel", a convolution of stride 2 and a gate that masks both of the block's
            convolutions; "layer", a gate of one decision on the sums of what the block reads, which skips it; "both", a layer gate
            and a channel gate that it skips too; "pooled", a gate on those sums that masks both convolutions; "each", a 1×1
            bottleneck, two convolutions and a gate for each of the two, the second of which read the first's masked output; "recurrent",
            a step of an LSTM that skips the block; "ddi", such a step and a channel gate that it skips too; "acs", "each" with convolutions
            in groups and squeeze-and-excitation between them.

    Returns:
        LayerGraph with the modes full, 1/2, 1/4, 1/8 and 1/16, and each of them "ungated".
    """
    plain = random_resnet(seed, widths, blocks, classes)
    rng = np.random.default_rng([seed, 1])
    layers, kind, grouped_layers = [], iter(kinds * len(plain.layers)), {}

    def conv(name, source, outputs, kernel=3, stride=1, **more):
        weight = np.clip(np.rint(rng.normal(scale=3, size=(outputs, source.out_channels, kernel, kernel))), -7, 7)
        side = (source.valid_size[0] - 1) // stride + 1
        size = max(side, MAP_SIZES[0])
        valid = None if side == size else (side, side)
        layers.append(
            Layer(
                name,
                "conv",
                weight.astype(np.int64),
                stride,
                source.out_size,
                size,
                input=source.name,
                gate=True,
                valid=valid,
                **more,
            )
        )
        return layers[-1]

    def gate(name, source, outputs, when=None):
        weight = rng.integers(-127, 128, (outputs, source.out_channels))
        layers.append(Layer(name, "gate", weight, input=source.name, bias=np.zeros(outputs, np.int64), when=when))
        return name

    lstm = Lstm(
        rng.integers(-127, 128, (4 * HIDDEN, 2 * HIDDEN)),
        rng.integers(-50000, 50000, 4 * HIDDEN),
        Rescale.of(1 / 300),
        rng.integers(-127, 128, HIDDEN),
        0,
    )

    def step(name, source):
        weight = rng.integers(-127, 128, (HIDDEN, source.out_channels))
        bias = np.zeros(HIDDEN, np.int64)
        layers.append(Layer(name, "lstm", weight, input=source.name, bias=bias, rescale=Rescale(0, 1), lstm=lstm))
        return name

    def channel(name, source, outputs, when):
        return gate(f"{name}.linear", conv(f"{name}.conv", source, source.out_channels, 3, 2, pool=True, when=when), outputs, when)

    def excite(name, source):
        sums = 5 * source.out_size**2 * WEIGHT_SPREAD * source.out_channels**0.5  # about as large as they are
        reduce, expand = (rng.integers(-127, 128, shape) for shape in ((4, source.out_channels), (source.out_channels, 4)))
        bias = rng.integers(-round(sums / 2), round(sums), 4)
        expand = Expand(expand, rng.integers(-300, 300, source.out_channels), Rescale.of(0.7))
        layers.append(Layer(name, "excite", reduce, input=source.name, bias=bias, rescale=Rescale.of(9 / sums), expand=expand))
        weight = 4 * np.eye(source.out_channels, dtype=np.int64)[:, :, None, None]
        applied = conv(f"{name}.output", source, source.out_channels, 1, excite=name, factor_shift=int(rng.integers(9, 12)))
        applied.weight = weight
        return applied

    def grouped(layer):
        layer.group_counts, grouped_layers[layer.name] = (4,), Setting(4)
        return layer

    def acs(name, source, outputs):
        first = grouped(conv(f"{name}.conv1", conv(f"{name}.bottleneck", source, 8, 1), 8, 3, 2))
        second = conv(f"{name}.conv2", grouped(excite(f"{name}.excite", first)), 8, pool=True)
        return gate(f"{name}.linear", grouped(second), outputs)

    def each(name, source, outputs):
        squeezed = conv(f"{name}.conv1", conv(f"{name}.bottleneck", source, 8, 1), 8, 3, 2)
        return gate(f"{name}.linear", conv(f"{name}.conv2", squeezed, 8, pool=True), outputs)

    chosen, when, mask = None, None, None
    for layer in plain.layers:
        block, _, part = layer.name.rpartition(".")
        if block and block != chosen:
            chosen, when, mask, this = block, None, None, next(kind)
            source, outputs = plain[layer.input], layer.out_channels
            if this in ("layer", "both"):
                when = gate(f"{block}.layer_gate", source, 1)
            if this in ("recurrent", "ddi"):
                when = step(f"{block}.step", source)
            if this in ("channel", "both", "ddi"):
                mask = channel(f"{block}.channel_gate", source, outputs, when)
            elif this == "pooled":
                mask = gate(f"{block}.pooled_gate", source, outputs)
            elif this in ("each", "acs"):
                mask = {"each": each, "acs": acs}[this](f"{block}.gate1", source, outputs)
        if part == "conv2" and this in ("each", "acs"):
            mask = {"each": each, "acs": acs}[this](f"{block}.gate2", plain[layer.input], outputs)
        if part in ("conv1", "conv2"):
            layer.mask, layer.when = mask, when
        layers.append(layer)
    images = rng.integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)
    calibrate([replace(layer, mask=None, when=None) for layer in layers], {"full": grouped_layers}, images, rng)
    plain.modes = {mode: {**settings, **grouped_layers} for mode, settings in plain.modes.items()}
    modes = plain.modes | {f"{mode} ungated": settings for mode, settings in plain.modes.items()}
    graph = LayerGraph(f"gated{seed}", layers, modes, ungated=frozenset(modes) - frozenset(plain.modes))
    _centre_steps(graph, images)
    for layer in graph.gates:
        if layer.kind == "lstm":
            continue
        sources = run(graph, images, "full").stations[layer.input]
        scores = multiply(layer, sources)
        low, high = np.sort(scores, axis=0)[[3, 4]]
        layer.bias = np.where(rng.random(layer.out_channels) < 0.2, -high - 1, -(low + high) // 2)
    return graph


def with_exits(plain: LayerGraph, blocks: tuple[str, ...], seed: int = 0) -> LayerGraph:
    """A graph of `random_resnet` or `random_gated` with an exit behind some blocks, as `flow.nn.exits` has them: 2×2 maxima down to 8×8,
    two convolutions, the second to 4×4, and a classifier.

    Args:
        blocks: their names, "stage1.block1" …
    """
    rng = np.random.default_rng([seed, 2])
    layers, fixed = [], {}

    def conv(name, before, weight, stride, side, **more):
        size, halved = max(side, MAP_SIZES[0]), side // 2 if more.get("pool2") else -(-side // stride)
        stored = max(halved, MAP_SIZES[0])
        valid = None if halved == stored else (halved, halved)
        layers.append(
            Layer(name, "conv", weight.astype(np.int64), stride, size, stored, input=before, exit=classifier, valid=valid, **more)
        )

    for layer in plain.layers:
        layers.append(layer)
        block, _, part = layer.name.rpartition(".")
        if block not in blocks or part != "conv2":
            continue
        before, side, channels, number = layer, layer.out_size, layer.out_channels, 1
        classifier = f"{block}.exit.classifier"
        while side > MAP_SIZES[0]:
            pool, one = f"{block}.exit.pool{number}", np.ones(channels, np.float32)
            weight = 7 * np.eye(channels)[:, :, None, None]
            conv(pool, before.name, weight, 1, side, group_counts=(16,), pool2=MAX, affine={Setting(16): (one / 7, 0 * one)})
            fixed[pool] = Setting(16)
            before, side, number = layers[-1], side // 2, number + 1
        for name, outputs, stride in (("conv1", 24, 1), ("conv2", 32, 2)):
            weight = np.clip(np.rint(rng.normal(scale=3, size=(outputs, before.out_channels, 3, 3))), -7, 7)
            conv(f"{block}.exit.{name}", before.name, weight, stride, side, pool=name == "conv2")
            before = layers[-1]
        weight = rng.integers(-127, 128, (plain.classes, before.out_channels))
        bias = rng.integers(-9000, 9000, plain.classes)
        layers.append(Layer(classifier, "linear", weight, input=before.name, bias=bias, logit_scale=1 / 4096, exit=classifier))
    modes = {mode: settings | fixed for mode, settings in plain.modes.items()}
    images = rng.integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)
    first = next(iter(modes))
    calibrate([replace(layer, mask=None, when=None) for layer in layers], {first: modes[first]}, images, rng)
    return LayerGraph(f"{plain.name}exits", layers, modes, ungated=plain.ungated)


def _centre_steps(graph, images):
    """Let the projections of an LSTM's steps differ from image to image, and the steps say yes about half and half."""
    steps = [layer for layer in graph.gates if layer.kind == "lstm"]
    if not steps:
        return
    stations, scores = run(graph, images, "full ungated").stations, []
    lstm, state = steps[0].lstm, steps[0].lstm.start(len(images))
    for step in steps:
        projected = multiply(step, stations[step.input])
        step.bias, step.rescale = -np.rint(projected.mean(axis=0)).astype(np.int64), Rescale.of(500 / projected.std(axis=0).mean())
        _, state = lstm.step(step.rescale(multiply(step, stations[step.input])), state)
        scores.append(lstm.score(state))
    centred = replace(lstm, output_bias=-int(np.median(scores)))
    for step in steps:
        step.lstm = centred


def calibrate(layers: list[Layer], modes: dict[str, dict[str, Setting]], planes: np.ndarray, rng: np.random.Generator) -> None:
    """Give every convolution random batch norms whose levels use its whole range, in every mode.

    Args:
        planes: uint8 [N, planes, size, size], what the first layer reads.
    """

    def calibrated(layer, setting, acc):
        if setting not in layer.affine:
            low, high = layer.level_range if layer.clamp else (0, ACTIVATION_MAX)
            usual = (high - low) / ACTIVATION_MAX
            gain = rng.uniform(2.5, 4.5, layer.out_channels) * usual * rng.choice([1, 1, 1, -1], layer.out_channels)
            scale = (gain / np.maximum(acc.std(axis=(0, 2, 3)), 1.0)).astype(np.float32)
            shift = low + rng.normal(2.0, 2.0, layer.out_channels) * usual - acc.mean(axis=(0, 2, 3)) * scale
            layer.affine[setting] = scale, shift.astype(np.float32)
        return affine(layer, setting, acc)

    for mode in modes.values():
        run_layers(layers, {layer.name: mode.get(layer.name, Setting()) for layer in layers}, planes, calibrated)


def random_plain(
    seed: int = 0,
    shape: tuple[int, int, int] = (3, 32, 32),
    signed: bool = False,
    weight_max: int = 7,
    steps: int = 4,
    tables: bool = True,
    pools: bool = True,
    classes: int = 10,
) -> LayerGraph:
    """A network with what a layer may have and the shipped networks have not: bounds and tables of its own, 2×2 pools, maps
    that are smaller than they are stored, wide weights in the first layer. Everything follows from the seed.

    Args:
        shape: (colours, height, width) of the images.
        signed: the first layer's integers are signed, so there are two planes for each colour.
        weight_max: largest weight of the first layer.
        steps: convolutions or residual blocks behind it, which may be none.
        tables: some layers have bounds and tables of their own, or pool sums.
        pools: some layers pool 2×2.

    Returns:
        LayerGraph with the modes full and 1/4.
    """
    rng = np.random.default_rng(seed)
    colours, *valid = shape
    layers, state = (
        [],
        (IMAGE, colours * (1 + signed), stored_size(*valid), tuple(valid)),
    )  # name, channels, stored size, valid pixels

    def levels():
        return (0, int(rng.choice([1, 3, 7, 15]))) if tables and rng.random() < 0.5 else None

    def conv(name, before, outputs, kernel, stride, limit=7, pool2=None, residual=None, pool=False):
        source, inputs, size, valid = before
        spread = rng.uniform(0.15, 0.6, size=(outputs, 1, 1, 1)) * limit
        weight = np.clip(np.rint(rng.normal(scale=spread, size=(outputs, inputs, kernel, kernel))), -limit, limit).astype(np.int64)
        weight[0] = rng.choice([-limit, limit], weight[0].shape)
        counts = (1, 4) if inputs % 4 == 0 and source != IMAGE else (1,)
        valid = tuple((side - 1) // stride + 1 for side in valid)
        conv_size = (size - 1) // stride + 1
        if pool2:
            valid, conv_size = tuple(side // 2 for side in valid), conv_size // 2
        stored = max(conv_size, MAP_SIZES[0])
        layer = Layer(name, "conv", weight, stride, size, stored, counts, source, residual, pool=pool, pool2=pool2, valid=valid)
        if pool2 == SUM:
            layer.clamp = levels() or (0, ACTIVATION_MAX)
            layer.sum_table = rng.integers(0, ACTIVATION_MAX + 1, SUM_VALUES)
        elif residual and (tables or rng.random() < 0.5):
            layer.clamp = ((-8, 7), (-15, 15), (-3, 4), (-16, 3))[rng.integers(4)]
            layer.residual_table = rng.integers(-16, 32 - layer.clamp[1], ACTIVATION_MAX + 1)
            layer.sum_table = rng.integers(0, ACTIVATION_MAX + 1, SUM_VALUES) if rng.random() < 0.7 else None
        elif not residual:
            layer.clamp = levels()
            if tables and rng.random() < 0.3:
                layer.sum_table = rng.integers(0, ACTIVATION_MAX + 1, SUM_VALUES)
        layers.append(layer)
        return name, outputs, stored, valid

    def halving():
        return int(rng.choice([1, 1, 2])) if min(state[3]) > 3 else 1

    def kind(before, stride=1):
        side = (min(before[3]) - 1) // stride + 1
        if not pools or side < 2 or rng.random() < (0.4 if side > 4 else 0.8):
            return None
        return SUM if tables and rng.random() < 0.5 else MAX

    stride = int(rng.choice([1, 1, 2])) if min(valid) > 8 else 1
    state = conv("stem", state, 8, 3, stride, weight_max, kind(state, stride), pool=steps == 0)
    for step in range(steps):
        last, outputs = step == steps - 1, int(rng.choice([8, 12, 16, 20]))
        if (rng.random() < 0.5 and step) or state[1] % 4:
            stream, channels = state, state[1]
            stride = halving()
            inner = conv(f"block{step}.conv1", stream, outputs, 3, stride)
            if stride == 2 or outputs != channels:
                stream = conv(f"block{step}.shortcut", stream, outputs, 1, stride)
            pool2 = MAX if last and pools and min(inner[3]) > 1 else None
            state = conv(f"block{step}.conv2", inner, outputs, 3, 1, pool2=pool2, residual=stream[0], pool=last)
        else:
            stride = halving()
            state = conv(f"conv{step}", state, outputs, int(rng.choice([1, 3])), stride, 7, kind(state, stride), pool=last)
    classifier = Layer("classifier", "linear", rng.integers(-127, 128, (classes, state[1])), input=state[0])
    classifier.bias = rng.integers(-40000, 40000, classes)
    layers.append(classifier)
    modes = {"full": {}, "1/4": {layer.name: Setting(4) for layer in layers if 4 in layer.group_counts}}
    offset = 128 if signed else 0
    image = ImageInput(tuple(shape[1:]), np.arange(-offset, 256 - offset)[:, None].repeat(colours, axis=1))
    images = rng.integers(0, 256, (4, *shape), dtype=np.uint8)
    calibrate(layers, modes, image.planes(images, layers[0].in_size), rng)
    return LayerGraph(f"plain{seed}", layers, modes, image)
