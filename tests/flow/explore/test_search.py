"""The evaluator against the integer model; a search that is interrupted; times; what is refused."""

import json

import joblib
import numpy as np
import pytest

from flow import models
from flow.engine.cost import frame_cost
from flow.engine.config import EngineConfig
from flow.engine.from_model import layer_graph
from flow.errors import GatefoldError
from flow.explore.evaluator import Evaluator
from flow.explore.search import Search, read_modes, write_result
from flow.explore.times import layer_seconds, read_table, time_table, total
from flow.nn.modes import MODES, group_vector
from flow.training.evaluate import predict

COUNT = 20


@pytest.fixture(scope="module")
def resnet8():
    return models.initialise(models.create("resnet8"))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (COUNT, 32, 32, 3), dtype=np.uint8)


def test_predictions_are_those_of_the_integer_model(resnet8, images):
    rng = np.random.default_rng(1)
    full = group_vector(resnet8, "full")
    vectors = [group_vector(resnet8, mode) for mode in MODES]
    vectors += [{s.name: int(rng.choice(s.group_counts)) for s in resnet8.layers()} for _ in range(3)]
    vectors += [{**full, "stage2.block1.shortcut": 16}, {**full, "stage3.block1.conv2": 4}]
    for vector in vectors:
        labels = predict(resnet8, images, vector)
        assert Evaluator(resnet8, images, labels).accuracy(vector) == 1
        based = Evaluator(resnet8, images, labels)
        based.rebase(full)
        assert based.accuracy(vector) == 1
        based.rebase(vectors[-3])
        assert based.accuracy(vector) == 1
        labels[: COUNT // 2] ^= 1
        assert based.rebase(vector) == 0.5


def test_only_what_changed_is_computed_again(resnet8, images, monkeypatch):
    evaluator = Evaluator(resnet8, images, np.zeros(COUNT, np.int64))
    full = group_vector(resnet8, "full")
    evaluator.rebase(full)
    computed = []
    layer = evaluator._layer
    monkeypatch.setattr(evaluator, "_layer", lambda spec, n: computed.append(spec.name) or layer(spec, n))
    evaluator.accuracy({**full, "stage3.block1.shortcut": 2})
    assert computed == ["stage3.block1.shortcut", "stage3.block1.conv2", "classifier"]


def test_a_search_resumes_where_it_was_killed(resnet8, images, tmp_path):
    labels = predict(resnet8, images, "full")
    table = time_table(resnet8, "macs")

    def search(folder):
        return Search(resnet8, images, labels, table, folder)

    whole = search(tmp_path / "whole").run(0.3)

    def stop(step, _):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "killed").run(0.3, on_step=stop)
    again = search(tmp_path / "killed")
    assert again.resume() > 2
    again._evaluator.accuracy = lambda vector, evaluate=again._evaluator.accuracy: evaluated.append(vector) or evaluate(vector)
    evaluated = []
    result = again.run(0.3)
    assert result == whole
    assert 0 < len(evaluated) < len(whole.points)

    (tmp_path / "killed" / "progress.json").write_text("{")
    with pytest.raises(GatefoldError, match="without --resume"):
        search(tmp_path / "killed").resume()
    with pytest.raises(GatefoldError, match="other weights or images"):
        Search(resnet8, images, labels ^ 1, table, tmp_path / "whole").resume()


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_workers_find_the_same(resnet8, images, tmp_path, backend):
    labels = predict(resnet8, images, "full")
    table = time_table(resnet8, "cycles")
    one = Search(resnet8, images, labels, table, tmp_path / "1").run(0.7)
    with joblib.parallel_config(backend=backend):
        assert Search(resnet8, images, labels, table, tmp_path / "2", jobs=2).run(0.7) == one


def test_result_and_modes(resnet8, images, tmp_path):
    labels = predict(resnet8, images, "full")
    result = Search(resnet8, images, labels, time_table(resnet8, "cycles"), tmp_path).run(0.5, count=3)
    assert set(result.dominated) == set(MODES)
    assert result.uniform["full"].accuracy == 1
    times = [point.time for point in result.modes.values()]
    assert list(result.modes) == [f"pareto-{i + 1}" for i in range(len(times))]
    assert times == sorted(times, reverse=True)
    path = tmp_path / "search.json"
    write_result(path, "resnet8", result, {"by": "cycles"})
    modes = read_modes(path, resnet8)
    assert modes == {name: point.groups for name, point in result.modes.items()}
    with pytest.raises(GatefoldError, match="not one of resnet20"):
        read_modes(path, models.create("resnet20"))
    contents = json.loads(path.read_text())
    contents["modes"]["pareto-1"]["groups"]["stem"] = 2
    path.write_text(json.dumps(contents))
    with pytest.raises(GatefoldError, match="pareto-1"):
        read_modes(path, resnet8)
    with pytest.raises(GatefoldError, match="gatefold search"):
        read_modes(tmp_path / "none.json", resnet8)


def test_times_of_the_cycle_model_and_of_a_deploy_folder(resnet8, tmp_path):
    graph, config = layer_graph(resnet8), EngineConfig()
    table = time_table(resnet8, "cycles", config)
    for mode in MODES:
        assert total(table)(group_vector(resnet8, mode)) == frame_cost(graph, mode, config).cycles
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
