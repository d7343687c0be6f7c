"""Layer graphs with random weights, for checking hardware and compiler without a trained network.

Batch norm is calibrated on random images in every uniform mode, so that the activations use their whole range
as a trained network's do.
"""

import numpy as np

from flow.graph.integer import affine, run_layers
from flow.graph.layers import IMAGE, Layer, LayerGraph

GROUP_COUNTS = (1, 2, 4, 8, 16)
MODE_NAMES = ("full", "1/2", "1/4", "1/8", "1/16")


def uniform_modes(layers):
    """The five standard modes: the same group count in every layer that can switch."""
    return {
        name: {layer.name: n for layer in layers if n in layer.group_counts}
        for name, n in zip(MODE_NAMES, GROUP_COUNTS, strict=True)
    }


def random_resnet(seed=0, widths=(16, 32, 64), blocks=(1, 1, 1), classes=10):
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

    images = rng.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)

    def calibrated(layer, groups, acc):
        if groups not in layer.affine:
            gain = rng.uniform(2.5, 4.5, layer.out_channels) * rng.choice([1, 1, 1, -1], layer.out_channels)
            scale = (gain / np.maximum(acc.std(axis=(0, 2, 3)), 1.0)).astype(np.float32)
            shift = rng.normal(2.0, 2.0, layer.out_channels) - acc.mean(axis=(0, 2, 3)) * scale
            layer.affine[groups] = scale, shift.astype(np.float32)
        return affine(layer, groups, acc)

    for mode in modes.values():
        run_layers(layers, {layer.name: mode.get(layer.name, 1) for layer in layers}, images, calibrated)
    return LayerGraph(f"random{seed}", layers, modes)
