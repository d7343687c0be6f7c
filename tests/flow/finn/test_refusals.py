"""Networks that the engine cannot run: `gatefold build FILE.onnx` says one sentence that names the node and what to change, ends with 2,
and writes nothing."""

import re
import tempfile
import warnings

import brevitas.nn as qnn
import numpy as np
import plain_networks
import pytest
import torch
from brevitas.quant import Int8ActPerTensorFloat
from plain_networks import Head, conv, pixels, unit
from torch import nn

from flow.cli import main


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
    "large_image": (lambda: chain(*unit(3, 8)), (3, 96, 96), r"reads images of 96x96; the engine takes 8 to 32 pixels a side: scale the pictures"),
    "wide_image": (lambda: chain(*unit(3, 8)), (3, 24, 40), r"Node 1 \(Conv\) reads images of 24x40; the engine takes 8 to 32 pixels a side"),
    "small_image": (lambda: chain(*unit(3, 8)), (3, 7, 8), r"reads images of 7x8; the engine takes 8 to 32 pixels a side"),
    "four_colours": (lambda: chain(*unit(4, 8)), (4, 32, 32), r"Node 1 \(Conv\) reads an image of 4 colours; the engine takes 1 to 3"),
    "one_class": (lambda: nn.Sequential(pixels(), *unit(3, 8), Head(8, 1)), COLOUR, r"\(MatMul\) has 1 classes"),
    "too_large": (
        lambda: chain(*unit(3, 8), *unit(8, 8, 3, 2), *unit(8, 16, 3, 2), *unit(16, 240, 1), *unit(240, 240, 1), *unit(240, 240, 1), *unit(240, 240, 1), *unit(240, 8, 1)),
        COLOUR, r"too_large (needs \d+ kernels and the engine addresses|does not fit xc7z020clg400-1: its memories need)",
    ),
    "many_channels": (
        lambda: chain(*unit(3, 8, stride=2), *unit(8, 8, stride=2), *unit(8, 512, 1), channels=512), COLOUR,
        r"layer 7 has 512 channels; the engine counts to 511: use fewer",
    ),
    "many_classes": (lambda: nn.Sequential(pixels(), *unit(3, 8), Head(8, 300)), COLOUR, r"\(MatMul\) has 300 classes"),
}  # fmt: skip


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path_factory):
    """A function: a file must be refused with such words, in one line and nothing beside it; everything in its folder stays as it is,
    and no file and no folder comes to be where builds, temporary files and the command's own folder are."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for name in ("here", "temporary"):
        (elsewhere / name).mkdir()
    monkeypatch.chdir(elsewhere / "here")
    monkeypatch.setenv("GATEFOLD_BUILD", str(elsewhere / "builds"))
    monkeypatch.setenv("TMPDIR", str(elsewhere / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere / "temporary"))

    def call(path, words, *options):
        before = {file: file.stat().st_mtime_ns for folder in (path.parent, elsewhere) for file in folder.rglob("*")}
        capsys.readouterr()
        assert main(["build", str(path), *options]) == 2
        out, err = capsys.readouterr()
        (text,) = [line for line in err.splitlines() if line.strip()]
        assert (
            text.startswith("gatefold: ") and re.search(words, text) and text.endswith(".") and 20 < len(text) < 400 and not out
        ), err
        assert {file: file.stat().st_mtime_ns for folder in (path.parent, elsewhere) for file in folder.rglob("*")} == before

    return call


def saved(network, shape, path):
    """Write a network after one pass in training."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.train()
        network(torch.rand(4, *shape))
        return plain_networks.save(network.eval(), shape, path)


@pytest.mark.parametrize("name", CASES)
def test_a_network_that_cannot_run_is_named(name, tmp_path, refused):
    make, shape, words = CASES[name]
    torch.manual_seed(0)
    refused(saved(make(), shape, tmp_path / f"{name}.onnx"), words)


def test_files_that_are_no_qonnx(tmp_path, refused):
    missing, empty, text = (tmp_path / f"{name}.onnx" for name in ("missing", "empty", "text"))
    empty.write_bytes(b"")
    text.write_text("no model at all\n")
    refused(missing, "Cannot read .*missing.onnx")
    refused(empty, "empty.onnx is empty; export")
    refused(text, "text.onnx is no ONNX model; export")
    refused(tmp_path / ".onnx", "gives the network no name; call the file NAME.onnx")


def test_onnx_without_quantisers_and_open_shapes(tmp_path, refused):
    from onnx import TensorProto, helper, save

    def write(name, shape, operator):
        tensors = [helper.make_tensor_value_info(side, TensorProto.FLOAT, shape) for side in ("x", "y")]
        graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"], name="only")], "g", tensors[:1], tensors[1:])
        save(helper.make_model(graph), tmp_path / name)
        return tmp_path / name

    refused(write("float.onnx", [1, 3, 32, 32], "Relu"), "has no quantisers; write the network with brevitas.nn")
    refused(write("open.onnx", ["batch", 3, 32, 32], "Relu"), r"inputs of the open shape \[batch, 3, 32, 32\]; export it for one")
    refused(write("flat.onnx", [1, 300], "Relu"), r"inputs of shape \[1, 300\]; export it for one image")


def test_options_that_do_not_go_with_the_network(tmp_path, refused):
    """Names, sample images and pixels of another network, and options of another kind of model."""
    path = saved(chain(*unit(3, 8), *unit(8, 8, stride=2), *unit(8, 8, stride=2)), COLOUR, tmp_path / "own.onnx")
    names, images, text = tmp_path / "names.txt", tmp_path / "images.npz", tmp_path / "text.npz"
    names.write_text("cat\ndog\n")
    np.savez(images, x=np.zeros((2, 28, 28, 1), np.uint8))
    text.write_text("no archive\n")
    refused(path, "names 2 classes and own has 10; give one name a line", "--classes", str(names))
    names.write_text("cat\n\ndog\n")
    refused(path, "Line 2 of .* is no class name", "--classes", str(names))
    names.write_bytes(b"\xff\xfe")
    refused(path, "is no text in UTF-8", "--classes", str(names))
    refused(path, "Cannot read the class names in", "--classes", str(tmp_path / "nowhere.txt"))
    refused(path, r"are \[28, 28, 1\] and the network takes \[32, 32, 3\]; resize", "--samples", str(images))
    refused(path, "Cannot read images x in", "--samples", str(text))
    refused(path, "--deviation cannot be 0; give positive numbers", "--deviation", "0")
    refused(path, "reads 3 colours; give one mean", "--mean", "0.5,0.5")
    refused(path, "holds its weights; leave out --untrained", "--untrained")
    refused(path, "holds its weights; leave out --checkpoint", "--checkpoint", "x.safetensors")
    refused(path, "There is no mode '1/2'; own has full", "--modes", "1/2")


def test_a_file_s_options_do_not_go_with_a_name(tmp_path, capsys):
    for option, value in (("--mean", "0.5"), ("--classes", "x.txt"), ("--samples", "x.npz")):
        assert main(["build", "resnet8", option, value, "--output", str(tmp_path / "build")]) == 2
        assert "belong to a QONNX file; resnet8 brings its own." in capsys.readouterr().err
    assert not (tmp_path / "build").exists()
