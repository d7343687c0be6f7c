"""Networks as Brevitas' users write them: `brevitas.nn` and nothing of ours."""

import brevitas.nn as qnn
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int8WeightPerTensorFloat, Uint8ActPerTensorFloat
from torch import nn

PER_CHANNEL, PER_TENSOR = Int8WeightPerChannelFloat, Int8WeightPerTensorFloat


def pixels(**options):
    """Input quantiser of x = p / 255 whose codes are the pixels."""
    return qnn.QuantIdentity(
        act_quant=Uint8ActPerTensorFloat, scaling_impl_type="const", min_val=0.0, max_val=1.0, bit_width=8, **options
    )


def conv(inputs, outputs, kernel=3, stride=1, bits=4, quant=PER_CHANNEL, bias=False):
    return qnn.QuantConv2d(
        inputs, outputs, kernel, stride, kernel // 2, bias=bias, weight_bit_width=bits, weight_quant=quant
    )


def unit(inputs, outputs, kernel=3, stride=1, bits=4, act_bits=4, quant=PER_CHANNEL):
    """Convolution, batch norm, ReLU."""
    return [conv(inputs, outputs, kernel, stride, bits, quant), nn.BatchNorm2d(outputs), qnn.QuantReLU(bit_width=act_bits)]


class Head(nn.Module):
    def __init__(self, channels, classes, bits=8):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.linear = qnn.QuantLinear(channels, classes, bias=True, weight_bit_width=bits)

    def forward(self, x):
        return self.linear(self.pool(x).flatten(1))


def vgg(classes=10):
    return nn.Sequential(
        pixels(), *unit(3, 16), *unit(16, 16), nn.MaxPool2d(2), *unit(16, 32), nn.MaxPool2d(2), *unit(32, 32), Head(32, classes)
    )


class Block(nn.Module):
    """Residual block: both branches through one signed quantiser, a ReLU with a scale of its own after the sum."""

    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.body = nn.Sequential(*unit(inputs, outputs, stride=stride), conv(outputs, outputs), nn.BatchNorm2d(outputs))
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        self.shared = qnn.QuantIdentity(bit_width=4, act_quant=Int8ActPerTensorFloat)
        self.relu = qnn.QuantReLU(bit_width=4)

    def forward(self, x):
        return self.relu(self.shared(self.body(x)) + self.shared(self.shortcut(x)))


def residual(classes=10):
    return nn.Sequential(pixels(), *unit(3, 16), Block(16, 16), Block(16, 32, 2), Head(32, classes))
