"""Networks that the engine cannot run: one sentence that names the node and what to change, and nothing written."""

import warnings

import brevitas.nn as qnn
import plain_networks
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat
from plain_networks import Head, conv, pixels, unit
from torch import nn

from flow.errors import GatefoldError
from flow.finn.user_network import read_network


class Product(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Sequential(*unit(3, 8)), nn.Sequential(*unit(8, 8))

    def forward(self, x):
        x = self.first(x)
        return x * self.second(x)


class Sum(nn.Module):
    """A residual addition whose branches have quantisers of their own, or none."""

    def __init__(self, branch, shortcut):
        super().__init__()
        self.first, self.body = nn.Sequential(*unit(3, 8)), nn.Sequential(conv(8, 8), nn.BatchNorm2d(8))
        self.branch, self.shortcut, self.relu = branch, shortcut, qnn.QuantReLU(bit_width=4)

    def forward(self, x):
        x = self.first(x)
        return self.relu(self.branch(self.body(x)) + self.shortcut(x))


def signed(bits=4):
    return qnn.QuantIdentity(bit_width=bits, act_quant=Int8ActPerTensorFloat)


def chain(*layers, channels=8):
    return nn.Sequential(pixels(), *layers, Head(channels))


COLOUR, GREY = (3, 32, 32), (1, 28, 28)
CASES = {
    "kernel": (lambda: chain(*unit(3, 8, 5)), COLOUR, r"Node 1 \(Conv\) has a 5x5 kernel; use 3x3 or 1x1"),
    "sigmoid": (lambda: chain(conv(3, 8), qnn.QuantSigmoid(bit_width=4)), COLOUR, r"Node 2.*\(Sigmoid\) is nothing that the engine runs"),
    "product": (lambda: nn.Sequential(pixels(), Product(), Head(8)), COLOUR, r"\(Mul\) multiplies two maps"),
    "six_bits": (lambda: chain(*unit(3, 8, act_bits=6)), COLOUR, r"Node 1 \(Conv\) is quantised to 64 values; .* 2 to 4 bits"),
    "dilation": (
        lambda: chain(qnn.QuantConv2d(3, 8, 3, padding=2, dilation=2, bias=False, weight_bit_width=4), qnn.QuantReLU(bit_width=4)),
        COLOUR, r"Node 1 \(Conv\) is dilated by \[2, 2\]; use dilation 1",
    ),
    "transposed": (
        lambda: chain(qnn.QuantConvTranspose2d(3, 8, 3, padding=1, weight_bit_width=4), qnn.QuantReLU(bit_width=4)),
        COLOUR, r"Node 1 \(ConvTranspose\) is nothing that the engine runs",
    ),
    "signed_padding": (
        lambda: chain(conv(3, 8), nn.BatchNorm2d(8), signed(), *unit(8, 8)), COLOUR, r"Node 4 \(Conv\) pads signed activations",
    ),
    "no_padding": (
        lambda: chain(qnn.QuantConv2d(3, 8, 3, bias=False, weight_bit_width=4), qnn.QuantReLU(bit_width=4)), COLOUR,
        r"Node 1 \(Conv\) pads \[0, 0, 0, 0\]; pad a 3x3 kernel by 1",
    ),
    "stride": (lambda: chain(*unit(3, 8, 3, 4)), COLOUR, r"Node 1 \(Conv\) has stride \[4, 4\]; use 1 or 2"),
    "eight_bit_weights": (lambda: chain(*unit(3, 8), *unit(8, 8, bits=8)), COLOUR, r"Node 4 \(Conv\) has weights from -?\d+ to \d+; use 2 to 4 bits"),
    "float_weights": (lambda: chain(nn.Conv2d(3, 8, 3, padding=1), qnn.QuantReLU(bit_width=4)), COLOUR, r"Node 1 \(Conv\) has weights that are not quantised"),
    "float_activations": (lambda: chain(conv(3, 8), nn.BatchNorm2d(8), nn.ReLU(), *unit(8, 8)), COLOUR, r"Node 1 \(Conv\) is not followed by a quantiser of at most 4 bits"),
    "float_input": (lambda: nn.Sequential(*unit(3, 8), Head(8)), COLOUR, r"Node 0 \(Conv\) reads an input that is not quantised"),
    "unequal_scales": (lambda: nn.Sequential(pixels(), Sum(signed(), signed()), Head(8)), COLOUR, r"have no common grid; .* one QuantIdentity"),
    "unquantised_branch": (lambda: nn.Sequential(pixels(), Sum(nn.Identity(), nn.Identity()), Head(8)), COLOUR, r"Node 1.body.0 \(Conv\) is not followed by a quantiser .* before an addition one"),
    "pool3": (lambda: chain(*unit(3, 8), nn.MaxPool2d(3, 2, 1), *unit(8, 8)), COLOUR, r"Node 4 \(MaxPool\) pools 3x3 with stride 2; use 2x2"),
    "average_unquantised": (
        lambda: chain(*unit(3, 8), nn.AvgPool2d(2), *unit(8, 8)), COLOUR, r"\(AveragePool\) makes sums that .* reads without a quantiser",
    ),
    "flattened": (
        lambda: nn.Sequential(pixels(), *unit(1, 8, stride=2), nn.Flatten(), qnn.QuantLinear(8 * 14 * 14, 10, bias=True, weight_bit_width=4)),
        GREY, r"\(Flatten\) flattens a map; .*global average pool",
    ),
    "two_linear": (
        lambda: nn.Sequential(chain(*unit(3, 8)), qnn.QuantReLU(bit_width=4), qnn.QuantLinear(10, 10, bias=True, weight_bit_width=4)),
        COLOUR, r"reads the output of a linear layer; the engine has one",
    ),
    "no_head": (lambda: nn.Sequential(pixels(), *unit(3, 8)), COLOUR, r"ends the network; end it with a global average pool"),
    "large_image": (lambda: chain(*unit(3, 8)), (3, 96, 96), r"reads images of 96x96; the engine takes 8 to 64"),
    "many_classes": (lambda: nn.Sequential(pixels(), *unit(3, 8), Head(8, 300)), COLOUR, r"\(MatMul\) has 300 classes"),
}  # fmt: skip


def refused(path, words, folder):
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    with pytest.raises(GatefoldError, match=words) as error:
        read_network(path)
    text = str(error.value)
    assert "\n" not in text and text.endswith(".") and 20 < len(text) < 400, text
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


@pytest.mark.parametrize("name", CASES)
def test_a_network_that_cannot_run_is_named(name, tmp_path):
    make, shape, words = CASES[name]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = make()
        network.train()
        network(torch.rand(4, *shape))
        network.eval()
        path = plain_networks.save(network, shape, tmp_path / f"{name}.onnx")
    refused(path, words, tmp_path)


def test_files_that_are_no_qonnx(tmp_path):
    missing, empty, text = (tmp_path / f"{name}.onnx" for name in ("missing", "empty", "text"))
    empty.write_bytes(b"")
    text.write_text("no model at all\n")
    refused(missing, "Cannot read .*missing.onnx", tmp_path)
    refused(empty, "empty.onnx is empty; export", tmp_path)
    refused(text, "text.onnx is no ONNX model; export", tmp_path)


def test_onnx_without_quantisers_and_open_shapes(tmp_path):
    from onnx import TensorProto, helper, save

    def write(name, shape, operator):
        tensors = [helper.make_tensor_value_info(side, TensorProto.FLOAT, shape) for side in ("x", "y")]
        graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], name="only")], "g", tensors[:1], tensors[1:])
        save(helper.make_model(graph), tmp_path / name)
        return tmp_path / name

    refused(write("float.onnx", [1, 3, 32, 32], "Relu"), "has no quantisers; write the network with brevitas.nn", tmp_path)
    refused(
        write("open.onnx", ["batch", 3, 32, 32], "Relu"),
        r"inputs of the open shape \[batch, 3, 32, 32\]; export it for one",
        tmp_path,
    )
    refused(write("flat.onnx", [1, 300], "Relu"), r"inputs of shape \[1, 300\]; export it for one image", tmp_path)
