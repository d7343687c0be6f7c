"""Networks as Brevitas' users write them: `brevitas.nn` and nothing of ours."""

import brevitas.nn as qnn
import torch
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int8WeightPerTensorFloat, Uint8ActPerTensorFloat
from torch import nn

PER_CHANNEL, PER_TENSOR = Int8WeightPerChannelFloat, Int8WeightPerTensorFloat


def pixels():
    """Input quantiser of x = p / 255 whose codes are the pixels."""
    return qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat, scaling_impl_type="const", min_val=0.0, max_val=1.0, bit_width=8)


def conv(inputs, outputs, kernel=3, stride=1, bits=4, quant=PER_CHANNEL, bias=False, groups=1):
    return qnn.QuantConv2d(
        inputs, outputs, kernel, stride, kernel // 2, bias=bias, weight_bit_width=bits, weight_quant=quant, groups=groups
    )


def unit(inputs, outputs, kernel=3, stride=1, bits=4, act_bits=4, **options):
    """Convolution, batch norm, ReLU."""
    return [conv(inputs, outputs, kernel, stride, bits, **options), nn.BatchNorm2d(outputs), qnn.QuantReLU(bit_width=act_bits)]


class Head(nn.Module):
    def __init__(self, channels, classes=10, bits=8, bias=True):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = qnn.QuantLinear(channels, classes, bias=bias, weight_bit_width=bits)

    def forward(self, x):
        return self.linear(self.pool(x).flatten(1))


class Block(nn.Module):
    """Residual block: both branches through one signed quantiser, a ReLU with a scale of its own after the sum."""

    def __init__(self, inputs, outputs, stride=1, shared=None, relu=None):
        super().__init__()
        self.body = nn.Sequential(*unit(inputs, outputs, stride=stride), conv(outputs, outputs), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        self.shared = shared or qnn.QuantIdentity(bit_width=4, act_quant=Int8ActPerTensorFloat)
        self.relu = relu or qnn.QuantReLU(bit_width=4)

    def forward(self, x):
        return self.relu(self.shared(self.body(x)) + self.shared(self.shortcut(x)))


class Normalised(nn.Module):
    """Mean and deviation, in the network or before it, then a signed quantiser of 8 bits."""

    MEAN, DEVIATION = (0.49, 0.48, 0.44), (0.25, 0.24, 0.26)

    def __init__(self, *layers, inside=True):
        super().__init__()
        self.inside = inside
        self.register_buffer("mean", torch.tensor(self.MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(self.DEVIATION).reshape(1, 3, 1, 1))
        self.quantiser = qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, bit_width=8)
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(self.quantiser(self.normalised(x) if self.inside else x))

    def normalised(self, x):
        return (x - self.mean) / self.deviation


def vgg():
    return nn.Sequential(
        pixels(), *unit(3, 8), *unit(8, 16), nn.MaxPool2d(2), *unit(16, 16, bias=True), nn.MaxPool2d(2), *unit(16, 32), Head(32)
    )


def residual():
    return nn.Sequential(pixels(), *unit(3, 8), Block(8, 8), Block(8, 16, 2), Head(16))


def one_by_one():
    return nn.Sequential(
        pixels(), *unit(3, 16), *unit(16, 24, 1), *unit(24, 16, 1, 2), *unit(16, 32, 1), *unit(32, 32, stride=2), Head(32, bits=4)
    )


def digits():
    """Grey, 28x28, first and last layer of 8 bits, an average pool between two quantisers of scale 1/4: a quarter of its sums are halves."""
    fixed = dict(scaling_impl_type="const", min_val=0.0, max_val=15 / 4, bit_width=4)
    return nn.Sequential(
        pixels(), *unit(1, 8, bits=8), nn.MaxPool2d(2), conv(8, 16), nn.BatchNorm2d(16), qnn.QuantReLU(**fixed),
        nn.AvgPool2d(2), qnn.QuantIdentity(act_quant=Uint8ActPerTensorFloat, **fixed), *unit(16, 24, bits=3), nn.MaxPool2d(2),
        *unit(24, 32), Head(32),
    )  # fmt: skip


def hundred():
    return nn.Sequential(pixels(), *unit(3, 16, stride=2), *unit(16, 16), *unit(16, 32, stride=2), Head(32, 100, bias=False))


def two_bits():
    options = dict(bits=2, act_bits=2)
    return nn.Sequential(
        pixels(), *unit(3, 16, act_bits=2), *unit(16, 32, stride=2, **options), *unit(32, 32, 1, **options), Head(32)
    )


def per_tensor():
    return nn.Sequential(
        pixels(), *unit(3, 16, quant=PER_TENSOR), *unit(16, 16, stride=2, quant=PER_TENSOR), *unit(16, 16, 1, quant=PER_TENSOR),
        *unit(16, 16, groups=4), Head(16)
    )  # fmt: skip


def normalised():
    return Normalised(*unit(3, 16), *unit(16, 16, stride=2), Block(16, 16), Head(16))


def one_scale(signed=False):
    """A quantiser with the fixed scale 0.4: unsigned of 4 bits, or signed of 5."""
    if signed:
        return qnn.QuantIdentity(
            act_quant=Int8ActPerTensorFloat, bit_width=5, scaling_impl_type="const", min_val=-6.0, max_val=6.0, narrow_range=True
        )
    return qnn.QuantReLU(bit_width=4, scaling_impl_type="const", min_val=0.0, max_val=6.0)


def adding():
    """Blocks that add and clamp, all on one scale: what an engine without tables runs."""

    def stage(inputs, outputs):
        return [
            *unit(inputs, outputs, stride=2), conv(outputs, outputs), nn.BatchNorm2d(outputs), one_scale(),
            Block(outputs, outputs, shared=one_scale(signed=True), relu=one_scale()),
        ]  # fmt: skip

    return nn.Sequential(pixels(), *unit(3, 8), *stage(8, 8), *stage(8, 16), Head(16))


def stack():
    return nn.Sequential(
        pixels(), *unit(3, 8), *unit(8, 8, stride=2), *unit(8, 12, 1), *unit(12, 16, stride=2), *unit(16, 16), Head(16, 5)
    )


class Odd(nn.Module):
    """Two colours, odd sizes that are not square, 2 and 3 bits, a signed map before a 1x1 kernel, a quantiser twice, a mean as head."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            pixels(), *unit(2, 8, act_bits=3), qnn.QuantIdentity(bit_width=4, act_quant=Uint8ActPerTensorFloat), *unit(8, 16, stride=2),
            conv(16, 16), nn.BatchNorm2d(16), qnn.QuantIdentity(bit_width=4, act_quant=Int8ActPerTensorFloat), *unit(16, 24, 1, bits=3),
            nn.MaxPool2d(2), *unit(24, 24, act_bits=2), *unit(24, 16, stride=2),
        )  # fmt: skip
        self.linear = qnn.QuantLinear(16, 7, bias=True, weight_bit_width=8)

    def forward(self, x):
        return self.linear(self.layers(x).mean((2, 3)))


def odd():
    return Odd()


def tiny():
    """Grey, 8x8: half of what the accelerator reads at a time."""
    return nn.Sequential(pixels(), *unit(1, 8), *unit(8, 16), Head(16))


NETWORKS = {
    "vgg": (vgg, (3, 32, 32)),
    "residual": (residual, (3, 32, 32)),
    "one_by_one": (one_by_one, (3, 32, 32)),
    "digits": (digits, (1, 28, 28)),
    "hundred": (hundred, (3, 32, 32)),
    "two_bits": (two_bits, (3, 32, 32)),
    "per_tensor": (per_tensor, (3, 32, 32)),
    "normalised": (normalised, (3, 32, 32)),
    "adding": (adding, (3, 32, 32)),
    "stack": (stack, (3, 32, 32)),
    "odd": (odd, (2, 20, 28)),
    "tiny": (tiny, (1, 8, 8)),
}
"""Name -> (how it is made, shape of an image)."""


def images(shape, count, seed):
    """uint8 [count, *shape]: digits, enlarged, in random colours, with noise."""
    from sklearn.datasets import load_digits

    rng = torch.Generator().manual_seed(seed)
    bunch = load_digits()
    index = torch.randint(0, len(bunch.target), (count,), generator=rng)
    small = torch.tensor(bunch.images, dtype=torch.float32)[index, None] / 16
    large = nn.functional.interpolate(small, shape[1:], mode="bilinear")
    colour = 0.4 + 0.6 * torch.rand((count, shape[0], 1, 1), generator=rng)
    noisy = large * colour + 0.08 * torch.randn((count, *shape), generator=rng)
    target = torch.tensor(bunch.target)[index]
    return (255 * noisy).round().clip(0, 255).to(torch.uint8), target


STEPS, A_MINUTE = 12, 1500
"""Batches of 32: enough for scales and statistics; a minute of one core for the larger ones."""


def train(network, shape, steps=STEPS):
    """Calibrated scales, batch norms that have statistics and both signs of gain, `steps` of Adam; returns it in eval."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            module.weight.data[::5] *= -1
            nn.init.normal_(module.bias, 0.3, 0.3)
            module.momentum = 0.3
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    pictures, labels = images(shape, 32 * steps, 1)
    for batch, label in zip(pictures.split(32), labels.split(32), strict=True):
        optimiser.zero_grad()
        logits = network(batch.float() / 255)
        nn.functional.cross_entropy(logits, label % logits.shape[1]).backward()
        optimiser.step()
    return network.eval()


def save(network, shape, path, **options):
    """Write a network's QONNX file."""
    import contextlib
    import io

    from brevitas.export import export_qonnx

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        export_qonnx(network, args=torch.zeros(1, *shape), export_path=str(path), **options)
    return path
