"""The figures behind the pictures against counting by hand, and the files."""

import json

import numpy as np
import pytest
from PIL import Image

from flow.cli import main
from flow.costs import Accounting
from flow.data import load
from flow.explore.algorithm import pareto_front
from flow.models import create, initialise
from flow.nn.batchnorm import UNGATED, SwitchableBatchNorm2d
from flow.pictures.measure import Setting, features, settings, skips
from flow.training.checkpoint import save_model
from flow.training.evaluate import predict
from flow.training.skip_ratio import measure_skip_ratio


@pytest.fixture(scope="module")
def digits():
    data = load("digits")
    return data.test_x[:12], data.test_y[:12]


@pytest.fixture(scope="module")
def gated():
    model = initialise(create("resnet8", gates="acs", exits=True, ungated=True), seed=0)
    for name, bias in model.gates.named_parameters():
        if name.endswith("linear.bias"):
            bias.data.uniform_(-1.0, 1.0)
    return model.eval()


def test_settings_without_gates(digits):
    images, labels = digits
    model = initialise(create("resnet8"), seed=0)
    found = settings(model, images, labels)
    assert [s.name for s in found] == ["full", "1/2", "1/4", "1/8", "1/16"]
    for setting in found:
        assert setting.accuracy == (predict(model, images, setting.name) == labels).mean()
        assert setting.costs["macs"] == pytest.approx(Accounting(model, "macs").of_mode(setting.name))
        assert setting.costs["cycles"] == pytest.approx(Accounting(model, "cycles").of_mode(setting.name))


def test_settings_with_gates_and_exits(digits, gated):
    images, labels = digits
    found = {s.name: s for s in settings(gated, images, labels)}
    assert list(found) == [
        *(name for mode in ("full", "1/2", "1/4", "1/8", "1/16") for name in (mode, f"{mode}, gates")), "exit 0", "exit 1", "exit 2"
    ]  # fmt: skip
    assert gated.exits_on and gated.gates_on
    accounting = Accounting(gated, "macs")
    assert found["full"].costs["macs"] == pytest.approx(accounting.full)
    gated.set_exits(False)
    gated.integer_logits(images)
    assert found["full, gates"].costs["macs"] == pytest.approx(float(accounting.of(gated.trace).mean()))
    gated.set_exits(True)
    assert found["exit 0"].costs["macs"] < found["exit 1"].costs["macs"] < found["exit 2"].costs["macs"]


def test_settings_are_those_that_were_trained(digits):
    model = initialise(create("resnet8", gates="acs"), seed=0)
    assert [s.name for s in settings(model, *digits)] == ["full, gates"]


def test_skips_per_layer_and_image(digits, gated):
    images, _ = digits
    found = skips(gated, images)
    whole = measure_skip_ratio(gated, images)
    assert 0 < whole < 1 and found.images.mean() == pytest.approx(whole)
    channels = {name: gated.get_submodule(name).conv.out_channels for name in found.layers}
    assert sum(found.layers[n] * c for n, c in channels.items()) / sum(channels.values()) == pytest.approx(whole)
    alone = skips(gated, images[3:4])
    assert alone.images[0] == pytest.approx(found.images[3])


def test_features_with_gates_on_and_off(digits, gated):
    on, off = features(gated, digits[0][0], "stage3.block1.conv2")
    assert on.shape == off.shape == (64, 8, 8) and (on != off).any() and gated.gates_on
    plain = create("resnet8")
    plain.load_state_dict({name: t for name, t in gated.state_dict().items() if name in plain.state_dict()})
    for name, norm in plain.named_modules():
        if isinstance(norm, SwitchableBatchNorm2d):
            own = gated.get_submodule(name).norms
            for n in norm.norms:
                norm.norms[n].load_state_dict(own[n + UNGATED].state_dict())
    plain.eval()
    for features_of, network in ((on, gated), (off, plain)):
        assert np.array_equal(features_of, network.integer_stations(digits[0][:1])["stage3.block1.conv2"][0])


def test_front_of_settings():
    found = [Setting(n, a, {"macs": c}) for n, a, c in (("a", 0.9, 9), ("b", 0.5, 8), ("c", 0.7, 5), ("d", 0.6, 5), ("e", 0.2, 1))]
    assert [s.name for s in pareto_front(found, lambda s: s.costs["macs"])] == ["a", "c", "e"]


@pytest.mark.parametrize("options, files", [({}, 1), ({"gates": "acs", "exits": True}, 4)])
def test_report_draws(options, files, digits, tmp_path, capsys):
    model = initialise(create("resnet8", **options), seed=0)
    save_model(model, tmp_path / "weights.safetensors", {})
    np.savez(tmp_path / "own.npz", x=digits[0], y=digits[1])
    arguments = ["report", "resnet8", "--no-synthesis", "--json", "--checkpoint", str(tmp_path / "weights.safetensors")]
    arguments += ["--data", str(tmp_path / "own.npz"), "--pictures", str(tmp_path / "pictures")]
    assert main(arguments) == 0
    drawn = json.loads(capsys.readouterr().out)["pictures"]
    assert len(drawn) == files and sorted(drawn) == sorted(map(str, (tmp_path / "pictures").iterdir()))
    for file in drawn:
        with Image.open(file) as picture:
            assert min(picture.size) > 200 and len(np.unique(np.asarray(picture.convert("L")))) > 10


@pytest.mark.parametrize(
    "extra, message", [(["--images", "0"], "at least 1"), (["--checkpoint", "nowhere.safetensors"], "check the path")]
)
def test_errors(extra, message, tmp_path, capsys):
    assert main(["report", "resnet8", "--no-synthesis", "--pictures", str(tmp_path / "p"), "--data", "digits", *extra]) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "p").exists()
