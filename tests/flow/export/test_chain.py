"""Brevitas, QONNX, the imported layer graph and the hardware's requantisation: the same integers at every station."""

import numpy as np
import pytest
import torch
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from flow import models
from flow.engine.requant import check_matched, hardware, requantise
from flow.errors import GatefoldError
from flow.export.from_model import layer_graph
from flow.export.importer import import_graph, load
from flow.export.modes import ApplyMode
from flow.export.qonnx_export import export
from flow.graph.integer import run
from flow.graph.layers import shuffle_slots

MODES = ["full", "1/2", "1/4", "1/8", "1/16"]
IMAGES = 4


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
        self.qonnx = load(path)
        self.imported = import_graph(self.qonnx)
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


def test_mode_graphs_hold_only_the_weights_in_use(resnet8):
    quarter = resnet8.qonnx.transform(ApplyMode("1/4"))
    conv = next(node for node in quarter.graph.node if node.op_type == "Conv" and node.output[0] == "stage3.block1.conv2.acc")
    assert {a.name: a.i for a in conv.attribute}["group"] == 4
    assert quarter.get_tensor_shape("stage3.block1.conv2.weight") == [64, 16, 3, 3]
    with pytest.raises(GatefoldError, match="in mode 1/4"):
        quarter.transform(ApplyMode("full"))
    with pytest.raises(GatefoldError, match="in mode 1/4"):
        import_graph(quarter)


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


def test_a_model_without_metadata_has_the_full_mode(resnet8):
    proto = ModelWrapper(resnet8.qonnx.model).transform(ApplyMode("full")).model
    del proto.graph.metadata_props[:]
    graph = import_graph(ModelWrapper(proto))
    assert list(graph.modes) == ["full"]
    assert np.array_equal(run(graph, resnet8.planes, "full").logits, run(resnet8.imported, resnet8.planes, "full").logits)


def test_foreign_nodes_are_named(resnet8):
    model = resnet8.qonnx.transform(ApplyMode("full"))
    next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Sigmoid"
    with pytest.raises(GatefoldError, match="stem.affine/Add is not followed by Relu or Quant"):
        import_graph(model)


def test_foreign_quantisers_are_refused(resnet8):
    model = resnet8.qonnx.transform(ApplyMode("full"))
    model.set_initializer("stem.out.scale", np.float32(0.5))
    with pytest.raises(GatefoldError, match="stem.out/Quant is not a quantiser to 4 bits unsigned with scale 1"):
        import_graph(model)


def test_unreadable_files(tmp_path):
    (tmp_path / "damaged.onnx").write_bytes(b"no protobuf")
    for name in ("damaged.onnx", "missing.onnx"):
        with pytest.raises(GatefoldError, match=name):
            load(tmp_path / name)
