"""Methods and their options from the command line."""

import pytest

from flow.cli import main
from flow.errors import GatefoldError
from flow.training.checkpoint import load_model, read_record
from flow.training.methods.registry import METHODS, describe, make


def test_options_take_the_types_of_their_defaults():
    method = make("ddi", {"target": "0.7", "backbone": "none", "quantised": "false", "epochs": "3", "gates": "layer"})
    assert (method.target, method.backbone, method.quantised, method.epochs, method.gates) == (0.7, None, False, 3, "layer")
    assert make("acs", {}).target == 0.5
    assert "target=0.5" in describe("ddi")


@pytest.mark.parametrize(("options", "message"), [({"speed": "1"}, "no option 'speed'"), ({"epochs": "few"}, "'few' is no value")])
def test_bad_options(options, message):
    with pytest.raises(GatefoldError, match=message):
        make("wenet", options)


def test_wenet_goes_on_from_trained_weights():
    method = make("wenet", {"backbone": "resnet8"})
    trained, network = load_model("resnet8").state_dict(), method.create("resnet8", 10).state_dict()
    assert trained.keys() == network.keys() and all(bool((trained[key] == network[key]).all()) for key in trained)
    with pytest.raises(GatefoldError, match="holds resnet8, not resnet20"):
        method.create("resnet20", 10)
    with pytest.raises(GatefoldError, match="10 classes apart and the data set has 200"):
        method.create("resnet8", 200)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("ddi", "gate_epochs=0 epochs=1 hard_epochs=0 exit_epochs=0"),
        ("energynet", "first_epochs=1 epochs=0 last_epochs=0 unit=macs"),
        ("acs", "float_epochs=0 first_epochs=0 epochs=1"),
        ("usnet", "full_epochs=0 float_epochs=0 epochs=1"),
    ],
)
def test_every_method_trains_from_the_command_line(method, options, tmp_path, capsys):
    assert method in METHODS
    arguments = f"train resnet8 --method {method} --data digits --batch 16 --steps 2 --test-images 8 --threads 1".split()
    arguments += [part for option in options.split() for part in ("--set", option)]
    assert main([*arguments, "--output", str(tmp_path)]) == 0
    weights = next(tmp_path.glob("*.safetensors"))
    record = read_record(weights)
    assert record["settings"]["method"] == method and 0 <= record["accuracy"]["full"] <= 1
    model = load_model(weights)
    assert model.quantised
