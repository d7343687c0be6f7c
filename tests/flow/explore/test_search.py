"""The evaluator against the integer model; a search that is interrupted; times; what is refused."""

import json

import joblib
import numpy as np
import pytest
import torch

from flow import models
from flow.engine.config import Folding
from flow.engine.cost import Unplanned, frame_cost
from flow.errors import GatefoldError
from flow.explore.evaluator import Evaluator
from flow.explore.search import Search, write_result
from flow.explore.times import layer_seconds, read_table, time_table, total
from flow.export.from_model import layer_graph
from flow.nn.modes import MODES, group_vector
from flow.training.evaluate import predict

COUNT = 20


@pytest.fixture(scope="module")
def resnet8():
    return models.initialise(models.create("resnet8"))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def others():
    return np.random.default_rng(5).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)


def test_predictions_are_those_of_the_model_with_these_statistics(images, others):
    """The mode that the states make has the evaluated accuracy, whatever was evaluated before."""
    model = models.initialise(models.create("resnet8"))
    rng = np.random.default_rng(1)
    full = group_vector(model, "full")
    vectors = [{s.name: int(rng.choice(s.group_counts)) for s in model.layers()} for _ in range(3)]
    vectors += [{**full, "stage2.block1.shortcut": 16}, {**full, "stage3.block1.conv2": 4}, full]
    for index, vector in enumerate(vectors):
        plain = Evaluator(model, images, np.zeros(COUNT, np.int64), others).rebase(vector)
        model.add_mode(f"mode-{index}", vector)
        for layer, state in plain.states.items():
            model.get_submodule(layer).norm.norms[f"mode-{index}"].load_state_dict(state)
        labels = predict(model, images, f"mode-{index}")
        assert Evaluator(model, images, labels, others).evaluate(vector).accuracy == 1
        based = Evaluator(model, images, labels, others)
        based.rebase(full)
        assert based.evaluate(vector).accuracy == 1
        based.rebase(vectors[0])
        assert based.evaluate(vector).accuracy == 1
        labels[: COUNT // 2] ^= 1
        assert Evaluator(model, images, labels, others).rebase(vector).accuracy == 0.5


def test_statistics_are_those_of_batch_normalisation_in_training(images, others):
    """Measured layer after layer, they are what the network itself measures on the same images in fake quantisation."""
    model = models.initialise(models.create("resnet8"))
    vector = {spec.name: spec.group_counts[len(spec.group_counts) // 2] for spec in model.layers()}
    states = Evaluator(model, images, np.zeros(COUNT, np.int64), others).rebase(vector).states
    model.set_mode(vector)
    sums = {}
    for spec in model.layers()[:-1]:
        unit = model.get_submodule(spec.name)
        unit.conv.register_forward_hook(lambda module, _, out, name=spec.name: sums.update({name: out.detach()}))
    model.train()
    with torch.no_grad():
        model(torch.from_numpy(others).permute(0, 3, 1, 2).float() / 255)
    for name in ("stem", "stage1.block1.conv1"):
        torch.testing.assert_close(states[name]["running_mean"], sums[name].mean((0, 2, 3)), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(states[name]["running_var"], sums[name].var((0, 2, 3)), rtol=1e-2, atol=1e-4)


def test_only_what_changed_is_computed_again(resnet8, images, others, monkeypatch):
    evaluator = Evaluator(resnet8, images, np.zeros(COUNT, np.int64), others)
    full = group_vector(resnet8, "full")
    evaluator.rebase(full)
    computed = []
    for kind in ("_convolution", "_linear"):
        compute = getattr(evaluator, kind)
        monkeypatch.setattr(
            evaluator, kind, lambda spec, *rest, compute=compute: computed.append(spec.name) or compute(spec, *rest)
        )
    evaluator.evaluate({**full, "stage3.block1.shortcut": 2})
    assert computed == ["stage3.block1.shortcut", "stage3.block1.conv2", "classifier"]


def test_a_search_resumes_where_it_was_killed(resnet8, images, others, tmp_path):
    labels = predict(resnet8, images, "full")
    table = time_table(resnet8, "macs")

    def search(folder):
        return Search(resnet8, images, labels, others, table, folder)

    whole = search(tmp_path / "whole").run(0.3)

    def stop(step, _):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "killed").run(0.3, on_step=stop)
    again = search(tmp_path / "killed")
    assert again.resume() > 2
    evaluate = again._evaluator.evaluate
    again._evaluator.evaluate = lambda vector: evaluated.append(vector) or evaluate(vector)
    evaluated = []
    result = again.run(0.3)
    assert result == whole
    assert 0 < len(evaluated) < len(whole.points)

    (tmp_path / "killed" / "progress.json").write_text("{")
    with pytest.raises(GatefoldError, match="--overwrite instead of --resume"):
        search(tmp_path / "killed").resume()
    with pytest.raises(GatefoldError, match="other weights or images"):
        Search(resnet8, images, labels ^ 1, others, table, tmp_path / "whole").resume()


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_workers_find_the_same(resnet8, images, others, tmp_path, backend):
    labels = predict(resnet8, images, "full")
    table = time_table(resnet8, "cycles")
    one = Search(resnet8, images, labels, others, table, tmp_path / "1").run(0.7)
    with joblib.parallel_config(backend=backend):
        assert Search(resnet8, images, labels, others, table, tmp_path / "2", jobs=2).run(0.7) == one


def test_result_and_modes(images, others, tmp_path):
    model = models.initialise(models.create("resnet8"))
    labels = predict(model, images, "full")
    search = Search(model, images, labels, others, time_table(model, "cycles"), tmp_path)
    result = search.run(0.2, count=3)
    assert set(result.dominated) == set(MODES)
    times = [point.time for point in result.modes.values()]
    assert list(result.modes) == [f"pareto-{i + 1}" for i in range(len(times))]
    assert times == sorted(times, reverse=True)
    write_result(tmp_path / "search.json", "resnet8", result, {"by": "cycles"})
    contents = json.loads((tmp_path / "search.json").read_text())
    assert [mode["groups"] for mode in contents["modes"].values()] == [point.groups for point in result.modes.values()]
    search.add_modes(result)
    for name, point in result.modes.items():
        assert (predict(model, images, name) == labels).mean() == point.accuracy


def test_times_of_the_cycle_model_and_of_a_deploy_folder(resnet8, tmp_path):
    graph, folding = layer_graph(resnet8), Folding()
    table = time_table(resnet8, "cycles", folding)
    for mode in MODES:
        assert total(table)(group_vector(resnet8, mode)) == frame_cost(graph, mode, Unplanned.of(folding)).cycles
    modes = [
        {"group_counts": group_vector(resnet8, mode), "cycles_per_layer_rtl": {s.name: 7 for s in resnet8.layers()}}
        for mode in MODES
    ]
    path = tmp_path / "modes.json"
    path.write_text(json.dumps({"modes": modes}))
    assert total(time_table(resnet8, str(path)))(group_vector(resnet8, "1/8")) == 7 * len(resnet8.layers())
    path.write_text(json.dumps({"modes": modes[:2]}))
    with pytest.raises(GatefoldError, match="with 4 groups"):
        read_table(path, resnet8.layers())
    path.write_text(json.dumps({s.name: {str(n): 1.5 for n in s.group_counts} for s in resnet8.layers()}))
    assert total(read_table(path, resnet8.layers()))(group_vector(resnet8, "full")) == 1.5 * len(resnet8.layers())
    with pytest.raises(GatefoldError, match="neither a time"):
        time_table(resnet8, str(tmp_path / "absent"))


def test_measured_time_grows_with_the_work(resnet8):
    spec = next(spec for spec in resnet8.layers() if spec.name == "stage1.block1.conv2")
    assert 0 < layer_seconds(spec, 1, "cpu", 1) < layer_seconds(spec, 1, "cpu", 64)


def test_what_cannot_be_searched(resnet8, images, others, tmp_path):
    labels = np.zeros(COUNT, np.int64)
    table = time_table(resnet8, "macs")
    with pytest.raises(GatefoldError, match="no integer model"):
        Search(models.create("mobilenet_v2"), images, labels, others, table, tmp_path)
    with pytest.raises(GatefoldError, match="floating point"):
        Search(models.create("resnet8", float=True), images, labels, others, table, tmp_path)
    with pytest.raises(GatefoldError, match="held-out"):
        Search(resnet8, images, labels, others[:0], table, tmp_path)
