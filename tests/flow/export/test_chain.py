"""Brevitas, QONNX, the layer graph that FINN's road makes of it and the hardware's requantisation: the same integers at every station."""

import re

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

import flow.finn as gatefold_finn
from flow import models
from flow.engine.requant import check_matched, hardware, requantise
from flow.errors import GatefoldError
from flow.export import metadata
from flow.export.from_model import layer_graph
from flow.export.modes import ApplyMode
from flow.export.qonnx_export import export
from flow.graph.integer import run
from flow.graph.layers import Setting, shuffle_slots
from flow.graph.random_graph import random_resnet

MODES = ["full", "1/2", "1/4", "1/8", "1/16"]
IMAGES = 4


def converted(qonnx, folder):
    """LayerGraph of a QONNX model, through FINN."""
    qonnx.save(str(folder / "again.onnx"))
    return gatefold_finn.layer_graph(gatefold_finn.read_network(folder / "again.onnx"))


class Chain:
    """One network at every stage of the flow."""

    def __init__(self, name, path, images):
        torch.set_num_threads(1)
        self.model = models.initialise(models.create(name), 1)
        self.model.eval()
        self.images = images
        self.planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
        self.exported = layer_graph(self.model)
        export(self.exported, len(images)).save(str(path))
        self.qonnx = ModelWrapper(str(path))
        self.imported = converted(export(self.exported), path.parent)
        self.table = requantise(self.imported)
        check_matched(self.imported, self.table)

    def check(self, mode):
        self.model.set_mode(mode)
        stations = self.model.integer_stations(self.images)
        tensors = execute_onnx(self.qonnx.transform(ApplyMode(mode)), {"image": self.planes.astype(np.float32)}, True)
        imported = run(self.imported, self.planes, mode)
        integer = run(self.imported, self.planes, mode, hardware(self.table))
        for layer in self.imported.layers:
            name = layer.name
            brevitas = stations["pool"] if layer.pool else stations[name]
            if layer.shuffle:
                stored = np.empty_like(brevitas)
                stored[:, shuffle_slots(layer.out_channels)] = brevitas
                brevitas = stored
            tensor = next(t for t in (f"{name}.pooled", f"{name}.shuffled", f"{name}.out", "logits") if t in tensors)
            assert np.array_equal(brevitas, tensors[tensor]), (mode, name, "QONNX")
            assert np.array_equal(brevitas, imported.stations[name]), (mode, name, "layer graph")
            assert np.array_equal(brevitas, integer.stations[name]), (mode, name, "hardware requantisation")
        logits = self.model(torch.from_numpy(self.planes).float() / 255)
        scale = self.imported.layers[-1].logit_scale
        assert np.array_equal(np.rint(logits.detach().double().numpy() / scale), integer.logits)
        return integer


@pytest.fixture(scope="module")
def resnet8(tmp_path_factory):
    images = np.random.default_rng(3).integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8)
    return Chain("resnet8", tmp_path_factory.mktemp("chain") / "model.onnx", images)


@pytest.mark.parametrize("mode", MODES)
def test_resnet8(resnet8, mode):
    result = resnet8.check(mode)
    assert np.unique(result.stations["stem"]).size > 4


@pytest.mark.slow
def test_resnet38(tmp_path):
    images = np.random.default_rng(4).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
    chain = Chain("resnet38", tmp_path / "model.onnx", images)
    for mode in ("full", "1/4", "1/16"):
        chain.check(mode)


def test_modes_differ(resnet8):
    logits = {mode: run(resnet8.imported, resnet8.planes, mode).logits.tobytes() for mode in MODES}
    assert len(set(logits.values())) == len(MODES)


def test_mode_graphs_hold_only_the_weights_in_use(resnet8, tmp_path):
    quarter = resnet8.qonnx.transform(ApplyMode("1/4"))
    conv = next(node for node in quarter.graph.node if node.op_type == "Conv" and node.output[0] == "stage3.block1.conv2.acc")
    assert {a.name: a.i for a in conv.attribute}["group"] == 4
    assert quarter.get_tensor_shape("stage3.block1.conv2.weight") == [64, 16, 3, 3]
    with pytest.raises(GatefoldError, match="in mode 1/4"):
        quarter.transform(ApplyMode("full"))
    with pytest.raises(GatefoldError, match="in mode 1/4"):
        converted(export(random_resnet(2)).transform(ApplyMode("1/4")), tmp_path)


def test_unknown_mode(resnet8):
    with pytest.raises(GatefoldError, match="no mode '1/3'; it has full, 1/2"):
        resnet8.qonnx.transform(ApplyMode("1/3"))


def test_the_file_is_all_that_the_compiler_needs(resnet8):
    for ours, theirs in zip(resnet8.exported.layers, resnet8.imported.layers, strict=True):
        assert (ours.name, ours.kind, ours.input, ours.residual, ours.pool) == (
            theirs.name, theirs.kind, theirs.input, theirs.residual, theirs.pool
        )  # fmt: skip
        assert np.array_equal(ours.weight, theirs.weight)
        assert sorted(ours.affine) == sorted(theirs.affine)
    assert resnet8.exported.modes == resnet8.imported.modes


def small():
    """QONNX model of one image, of a network with random weights."""
    return export(random_resnet(1))


def test_a_model_without_metadata_has_the_full_mode(tmp_path):
    model = small()
    images = np.random.default_rng(5).integers(0, 256, (4, 3, 32, 32), dtype=np.uint8)
    expected = run(converted(model, tmp_path), images, "full").logits
    kept = [entry for entry in model.graph.metadata_props if not entry.key.startswith("gatefold.")]
    assert len(kept) < len(model.graph.metadata_props)
    del model.graph.metadata_props[:]
    graph = converted(model, tmp_path)
    assert list(graph.modes) == ["full"] and all(layer.thresholds for layer in graph.layers[:-1])
    assert np.array_equal(run(graph, images, "full").logits, expected)


def test_signs_and_zeros_of_batch_norm_are_the_model_s(tmp_path):
    """FINN moves a negative factor into the kernel, and cannot divide by one that is zero: images must not show either."""
    graph = random_resnet(1)
    for layer in graph.layers[:-1]:
        for scale, _ in layer.affine.values():
            scale[::3] *= -1
            scale[5] = 0
    found = converted(export(graph), tmp_path)
    for ours, theirs in zip(graph.layers, found.layers, strict=True):
        assert np.array_equal(ours.weight, theirs.weight), ours.name
        for setting, pair in ours.affine.items():
            assert np.array_equal(pair, theirs.affine[setting])


def test_foreign_nodes_are_named(tmp_path):
    model = small()
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Sigmoid"
    with pytest.raises(GatefoldError, match=r"\(Sigmoid\) is nothing that the engine runs; use QuantReLU"):
        converted(model, tmp_path)


@pytest.mark.slow
def test_metadata_of_other_nodes_are_refused(tmp_path):
    """A batch norm that was edited in the nodes, layers of other names, tables that are cut short, and no JSON at all."""
    model = small()
    model.set_initializer("stem.A", model.get_initializer("stem.A") * np.float32(1.5))
    with pytest.raises(GatefoldError, match="do not belong to its nodes .thresholds of stem differ"):
        converted(model, tmp_path)
    for edit, words in (
        (lambda layers: layers | {"stem2": layers["stem"]}, "name other layers"),
        (lambda layers: layers | {"stem": {"group_counts": [1], "affine": {}}}, "damaged"),
        (lambda layers: layers | {"stem": 7}, "damaged"),
    ):
        model = small()
        metadata.write(model, layers=edit(metadata.read(model, "layers")))
        with pytest.raises(GatefoldError, match=f"do not belong to its nodes .*{words}"):
            converted(model, tmp_path)
    model = small()
    model.set_metadata_prop("gatefold.layers", "{")
    with pytest.raises(GatefoldError, match="metadata gatefold.layers of the QONNX file is damaged"):
        converted(model, tmp_path)


def test_a_node_says_what_finn_rounds_elsewhere(tmp_path):
    """An offset lowered until thresholds move: the layer has the metadata's, and its node counts the difference."""
    model, offs = small(), []
    for eps in (0.0, 2e-3):
        layers = metadata.read(small(), "layers")
        scale, offset = layers["stem"]["affine"]["1"]
        layers["stem"]["affine"]["1"] = [scale, [float(np.float32(value - eps)) for value in offset]]
        metadata.write(model, layers=layers)
        model.save(str(tmp_path / "model.onnx"))
        nodes = gatefold_finn.read_network(tmp_path / "model.onnx")
        stem = nodes.graph.node[0]
        words = re.fullmatch(r"scale and bias of the model; FINN's thresholds.* off at (\d+) of 240", stem.doc_string)
        offs.append(int(words[1]))
        assert gatefold_finn.layer_graph(nodes)["stem"].affine[Setting()][1].tolist() == layers["stem"]["affine"]["1"][1]
    assert offs[0] == 0 < offs[1] < 240
