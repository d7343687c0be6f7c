"""Networks of brevitas.nn alone: Brevitas = FINN's execution of the streamlined graph = layer nodes = integer execution."""

import functools
import json
import subprocess
import warnings
from pathlib import Path
from typing import NamedTuple

import brevitas.nn as qnn
import finn.core.onnx_exec as oxe
import numpy as np
import plain_networks
import pytest
import torch
from finn.transformation.fpgadataflow.hlssynth_ip import HLSSynthIP
from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
from finn.util.basic import getHWCustomOp
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.util.basic import get_by_name

import flow.finn as gatefold_finn
from flow.cli import main
from flow.engine.config import Folding
from flow.engine.images import widths
from flow.engine.network import memories_digest, read_image
from flow.engine.requant import check_matched, hardware, requantise_layer
from flow.errors import GatefoldError
from flow.finn.infer import recognise
from flow.finn.steps import NetworkConfig, parse_qonnx, read_network, read_qonnx, step_infer_layers
from flow.finn.streamline import step_convert_to_finn, step_streamline, step_tidy_up
from flow.graph.integer import levels, run
from flow.graph.layers import Setting

ROOT = Path(__file__).parents[3]
BOARD_PYTHON = ROOT / ".venv-board" / "bin" / "python"
IMAGES, STEPS = 32, plain_networks.STEPS
ULPS = 64
"""Rounding errors of a float convolution, in units in the last place of its result."""


@functools.cache
def trained(name, steps):
    make, shape = plain_networks.NETWORKS[name]
    torch.manual_seed(3)
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return plain_networks.train(make(), shape, steps)


def made(name, folder, steps=STEPS):
    """(trained network, images uint8 [N, C, H, W], path of the QONNX file)."""
    network, (_, shape) = trained(name, steps), plain_networks.NETWORKS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = plain_networks.save(network, shape, folder / f"{name}.onnx")
    return network, plain_networks.images(shape, IMAGES, 2)[0], path


def streamlined(path):
    model = parse_qonnx(read_qonnx(path), path)
    for step in (step_tidy_up, step_convert_to_finn, step_streamline):
        model = step(model, None)
    return model


def for_images(model, count):
    """The model for `count` images."""
    from qonnx.transformation.infer_shapes import InferShapes

    model = model.transform(InferShapes())
    name = model.graph.input[0].name
    keep = {name, *(tensor.name for tensor in model.graph.initializer)}
    shape = [count, *model.get_tensor_shape(name)[1:]]
    for info in [*model.graph.value_info, *model.graph.output]:
        if info.name not in keep:
            model.set_tensor_shape(info.name, [count, *model.get_tensor_shape(info.name)[1:]])
    model.set_tensor_shape(name, shape)
    return model


def forced(network, images, codes):
    """Run Brevitas with the integers of every quantiser replaced by `codes` (name -> [N, C, H, W]) after comparing them.

    Returns (logits, number of integers that differ, all of them next to a rounding boundary).
    """
    calls, differ, hooks = {}, [0], []

    def compare(name):
        def hook(module, inputs, output):
            calls[name] = calls.get(name, 0) + 1
            wanted = torch.from_numpy(codes[name if calls[name] == 1 else f"{name}:{calls[name]}"]).double()
            scale = module.act_quant.scale().double()
            exact = inputs[0].double() / scale
            own = torch.round(output.double() / scale)
            off = own != wanted
            boundary = torch.maximum(own, wanted) - 0.5
            size = torch.maximum(exact.abs(), torch.tensor(16.0, dtype=torch.float64))
            assert ((own - wanted).abs()[off] == 1).all(), name
            assert ((exact - boundary).abs()[off] <= ULPS * 2.0**-23 * size[off]).all(), name
            differ[0] += int(off.sum())
            return (wanted * scale).float()

        return hook

    for name, module in network.named_modules():
        if isinstance(module, (qnn.QuantIdentity, qnn.QuantReLU)):
            hooks.append(module.register_forward_hook(compare(name)))
    with torch.no_grad():
        logits = network(images.float() / 255)
    for hook in hooks:
        hook.remove()
    return logits.numpy().astype(np.float64), differ[0]


def stored(layer, quantiser, values):
    """What the layer keeps of FINN's output of its quantiser: codes from 0, pooled, in the stored size."""
    bias = get_by_name(quantiser.attribute, "out_bias")
    codes = values.astype(np.int64) - (round(bias.f) if bias else 0)
    if layer.pool2:
        count, channels, height, width = codes.shape
        codes = (
            codes[:, :, : height // 2 * 2, : width // 2 * 2]
            .reshape(count, channels, height // 2, 2, width // 2, 2)
            .max(axis=(3, 5))
        )
    if layer.pool:
        return codes.sum(axis=(2, 3))
    return np.pad(codes, ((0, 0), (0, 0), *((0, layer.out_size - size) for size in codes.shape[2:])))


def in_order(graph, logits):
    """Integer logits [N, K] in the network's order."""
    order = list(graph.class_order or range(graph.classes))
    out = np.empty_like(logits)
    out[:, order] = logits
    return out


TRAINED_LONG = [pytest.param(name, plain_networks.A_MINUTE, marks=pytest.mark.slow) for name in plain_networks.NETWORKS]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("name", "steps"),
    [
        # The test of the simulated board below compares the logits of "adding".
        *(pytest.param(name, STEPS, marks=pytest.mark.slow if name == "adding" else ()) for name in plain_networks.NETWORKS),
        *TRAINED_LONG,
    ],
)
def test_every_station_has_the_same_integers(name, steps, tmp_path):
    network, images, path = made(name, tmp_path, steps)
    model = streamlined(path)
    graph = recognise(model)
    result = run(graph, images.numpy(), "full")
    logits = in_order(graph, result.logits)

    # FINN's own execution of the streamlined graph
    batch = for_images(model, IMAGES)
    feed = {batch.graph.input[0].name: images.numpy().astype(np.float32) / np.float32(255)}
    tensors = oxe.execute_onnx(batch, feed, return_full_exec_context=True)
    codes = {node.doc_string: tensors[node.output[0]] for node in batch.get_nodes_by_op_type("MultiThreshold")}
    makers = {node.doc_string: node for node in batch.get_nodes_by_op_type("Conv")}
    for layer in graph.layers[:-1]:
        if not layer.residual and layer.pool2 != "sum":
            quantiser, after = None, batch.find_consumers(makers[layer.name].output[0])
            while len(after) == 1 and after[0].op_type == "MultiThreshold":  # the second of two is the one that is stored
                quantiser, after = after[0], batch.find_consumers(after[0].output[0])
            assert np.array_equal(result.stations[layer.name], stored(layer, quantiser, tensors[quantiser.output[0]])), layer.name
    unit = graph.layers[-1].logit_scale
    bias = next(module.bias for module in network.modules() if isinstance(module, qnn.QuantLinear))
    real_bias = np.zeros(graph.classes) if bias is None else bias.detach().double().numpy() / unit
    products = logits - np.floor(real_bias).astype(np.int64)
    finn_logits = tensors[batch.graph.output[0].name].astype(np.float64)
    assert np.array_equal(np.rint(finn_logits / unit - real_bias), products)
    assert len(np.unique(products)) > IMAGES, "the network must use its range"

    # Brevitas, given the integers where rounding is ambiguous, and left alone
    theirs, ambiguous = forced(network, images, codes)
    assert not ambiguous or name != "digits", "exact halves have to round to even"
    assert np.array_equal(np.rint(theirs / unit - real_bias), products)
    classes = [(graph.class_order or range(graph.classes))[number] for number in result.classes]
    top = np.sort(theirs, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-5 * np.abs(top[:, -1])
    assert np.array_equal(np.array(classes)[clear], theirs.argmax(axis=1)[clear])
    with torch.no_grad():
        alone = network(images.float() / 255).numpy()
    different = (np.rint(alone / unit - real_bias) != products).any(axis=1)
    assert different.sum() <= ambiguous, "only ambiguous integers may change logits"
    print(f"{path.stem}: {ambiguous} ambiguous integers, logits of {different.sum()} of {IMAGES} images differ through them")

    # the layer nodes
    nodes = step_infer_layers(model, NetworkConfig())
    again = gatefold_finn.layer_graph(nodes)
    assert np.array_equal(run(again, images.numpy(), "full", levels).logits, result.logits)
    planes = graph.image.planes(images.numpy(), graph.layers[0].in_size)
    for number in range(2):
        feed = {"image": planes[number : number + 1].transpose(0, 2, 3, 1).astype(np.float32)}
        assert np.array_equal(oxe.execute_onnx(nodes, feed)["logits"], result.logits[number : number + 1])

    # the hardware's requantisation, but for accumulators of 8-bit weights, which have more than 18 bits
    convolutions = graph.layers[:-1]
    narrow = [layer for layer in convolutions if max(abs(bound).max() for bound in layer.accumulator_range(1)) < 1 << 17]
    assert len(narrow) == len(convolutions) - (name == "digits")
    table = {(layer.name, Setting()): requantise_layer(layer, Setting()) for layer in narrow}
    check_matched(graph, table)
    constants = hardware(table)

    def narrow_by_constants(layer, setting, acc):
        return constants(layer, setting, acc) if (layer.name, setting) in table else levels(layer, setting, acc)

    assert np.array_equal(run(graph, images.numpy(), "full", narrow_by_constants).logits, result.logits)


PART = "xc7z020clg400-1"
FOLDING = Folding(p=32, pe=1, r=16)
ENGINE = ["--p", str(FOLDING.p), "--pe", str(FOLDING.pe), "--r", str(FOLDING.r)]


class Engine(NamedTuple):
    memories: dict[str, list[int]]  # name -> words
    sizes: dict[str, int]  # name -> bits of a word
    logits: np.ndarray


def engine_in_rtlsim(graph, images):
    """The TileEngine node's RTL without the accelerator around it, in FINN's rtlsim."""
    model = gatefold_finn.build_layer_graph(graph, FOLDING, len(images))
    for step in (gatefold_finn.MapToTileEngine(), SetExecMode("rtlsim"), PrepareIP(PART, 10), HLSSynthIP(), PrepareRTLSim()):
        model = model.transform(step)
    planes = graph.image.planes(images.numpy(), graph.layers[0].in_size)
    feed = {"image": planes.transpose(0, 2, 3, 1).astype(np.float32), "mode": np.zeros((len(images), 1), np.float32)}
    logits = oxe.execute_onnx(model, feed)["logits"].astype(np.int64)
    compiled = getHWCustomOp(model.get_nodes_by_op_type("TileEngine")[0]).build()
    return Engine(compiled.memories, widths(compiled.plan.config), logits)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "steps"), [("adding", STEPS), *TRAINED_LONG])
def test_the_simulated_board_equals_brevitas(name, steps, tmp_path, capsys):
    """`gatefold build FILE.onnx`, the engine's RTL in FINN's rtlsim and `board/run.py`: arg-max and integer logits of 32 images,
    those of Brevitas and of FINN's road."""
    network, images, path = made(name, tmp_path, steps)
    pictures = images.numpy().transpose(0, 2, 3, 1)
    graph = gatefold_finn.layer_graph(read_network(path))
    names = [f"kind {number}" for number in range(graph.classes)]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    np.savez(tmp_path / "pictures.npz", x=pictures)
    build = ["build", str(path), *ENGINE, "--output", str(tmp_path / "build"), "--classes", str(tmp_path / "names.txt")]
    code = main([*build, "--samples", str(tmp_path / "pictures.npz")])
    assert code == 0
    deploy = tmp_path / "build" / "deploy"
    command = [BOARD_PYTHON, "board/run.py", "--board-dir", str(deploy), "--count", str(IMAGES), "--json"]
    seen = json.loads(
        subprocess.run([*command, "--images", str(tmp_path / "pictures.npz")], cwd=ROOT, capture_output=True, check=True).stdout
    )
    assert np.array_equal(seen["logits"], in_order(graph, run(graph, images.numpy(), "full").logits))
    with torch.no_grad():
        theirs = network(images.float() / 255).numpy()
    assert seen["predictions"] == theirs.argmax(axis=1).tolist()

    if steps == plain_networks.A_MINUTE:
        engine = engine_in_rtlsim(graph, images)
        assert np.array_equal(in_order(graph, engine.logits), seen["logits"])
        assert engine.memories == read_image((deploy / "network.bin").read_bytes(), engine.sizes)

    # the commands that take the file's name too
    capsys.readouterr()
    assert main(["simulate", str(path), "--folder", str(tmp_path / "build"), "--count", "4", "--json"]) == 0
    simulated = json.loads(capsys.readouterr().out)
    assert simulated["predictions"] == seen["predictions"][:4] and simulated["logits"] == seen["logits"][:4]
    assert main(["report", str(path), *ENGINE, "--no-synthesis", "--json"]) == 0
    reported = json.loads(capsys.readouterr().out)["modes"]["full"]
    assert reported["cycles_model"] == simulated["cycles"][0] and reported["cycles_rtl"] is None

    # another file of that name is another network
    other = tmp_path / "other" / path.name
    other.parent.mkdir()
    other.write_bytes(path.read_bytes() + b"\x12\x05other")  # its producer
    assert main(["simulate", str(other), "--folder", str(tmp_path / "build")]) == 2
    assert "was built from another file than" in capsys.readouterr().err
    assert (tmp_path / "build" / "origin").read_text() == f"{path.resolve()}\n"

    # what lies in the folder
    said = json.loads((deploy / "modes.json").read_text())
    assert said["model"] == name and said["classes"] == names and said["trained"]
    assert said["class_order"] == (None if graph.class_order is None else list(graph.class_order))
    with np.load(deploy / "samples.npz") as samples:
        assert np.array_equal(samples["x"], pictures[: len(samples["x"])]) and samples["names"][1] == "image1"
    node = getHWCustomOp(ModelWrapper(str(tmp_path / "build" / "engine.onnx")).get_nodes_by_op_type("TileEngine")[0])
    deployed = read_image((deploy / "network.bin").read_bytes(), widths(node.layout()[1].config))
    assert memories_digest(deployed) == node.get_nodeattr("memories_digest")


@pytest.mark.parametrize("inside", [True, False])
def test_every_pixel_value_is_what_brevitas_makes_of_it(inside, tmp_path):
    torch.manual_seed(1)
    network = plain_networks.Normalised(*plain_networks.unit(3, 8), plain_networks.Head(8), inside=inside)
    pixels = torch.arange(256).float().reshape(1, 1, 16, 16).expand(1, 3, 16, 16) / 255
    given = pixels if inside else network.normalised(pixels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network.train()(given)
        path = plain_networks.save(network.eval(), (3, 16, 16), tmp_path / "normalised.onnx")
    with torch.no_grad():
        quantiser = network.quantiser
        codes = torch.round(quantiser(network.normalised(pixels)) / quantiser.act_quant.scale())
    outside = gatefold_finn.Pixels(mean=network.MEAN, deviation=network.DEVIATION)
    config = NetworkConfig() if inside else NetworkConfig(pixels=outside)
    table = gatefold_finn.layer_graph(read_network(path, config)).image.table
    assert table.min() < 0 and np.array_equal(table, codes.reshape(3, 256).T.numpy())
    if not inside:
        with pytest.raises(GatefoldError, match="reads 3 colours; give one mean"):
            read_network(path, NetworkConfig(pixels=gatefold_finn.Pixels(mean=(0.5, 0.5))))
