"""Methods and their options from the command line."""

import pytest
import torch

from flow.cli import main
from flow.data import load
from flow.errors import GatefoldError
from flow.training.checkpoint import load_model, read_record
from flow.training.evaluate import as_input
from flow.training.methods.registry import METHODS, describe, make
from flow.training.trainer import Settings, Trainer


def test_options_take_the_types_of_their_defaults():
    method = make("ddi", {"target": "0.7", "backbone": "none", "quantised": "false", "epochs": "3", "gates": "layer"})
    assert (method.target, method.backbone, method.quantised, method.epochs, method.gates) == (0.7, None, False, 3, "layer")
    assert make("acs", {}).target == 0.5
    assert "target=0.5" in describe("ddi")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"speed": "1"}, "no option 'speed'"),
        ({"epochs": "few"}, "'few' is no value"),
        ({"epochs": "-1"}, "'-1' is no value"),
        ({"samples": "0"}, "'0' is no value"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(GatefoldError, match=message):
        make("wenet", options)


@pytest.mark.parametrize("text", ["1.5", "-0.1", "nan", "half"])
def test_a_target_is_a_share(text):
    with pytest.raises(GatefoldError, match=f"'{text}' is no value of option target"):
        make("acs", {"target": text})


def test_a_densenet_has_no_group_modes_to_train():
    with pytest.raises(GatefoldError, match="densenet41 has no group modes to train; train its gates"):
        make("wenet", {}).create("densenet41", 10)


def test_wenet_goes_on_from_trained_weights():
    method = make("wenet", {"backbone": "resnet8"})
    trained, network = load_model("resnet8").state_dict(), method.create("resnet8", 10).state_dict()
    assert trained.keys() == network.keys() and all(bool((trained[key] == network[key]).all()) for key in trained)
    with pytest.raises(GatefoldError, match="holds resnet8, not resnet20"):
        method.create("resnet20", 10)
    with pytest.raises(GatefoldError, match="10 classes apart and the data set has 200"):
        method.create("resnet8", 200)


def test_scales_of_activations_can_be_held(tmp_path):
    method = make(
        "wenet", {"backbone": "resnet8", "full_epochs": "0", "float_epochs": "0", "epochs": "2", "hold_epochs": "1", "samples": "2"}
    )
    trainer = Trainer(Settings("resnet8", batch=16, steps=2, held_out=10), method, load("digits"), tmp_path)
    assert [(phase.name, phase.epochs) for phase in trainer.phases] == [("4-bit", 1), ("4-bit, scales held", 1)]
    held = make("wenet", {"full_epochs": "1", "float_epochs": "0", "epochs": "2", "hold_epochs": "2"}).phases()
    assert [(phase.name, phase.after_full) for phase in held if phase.epochs and phase.quantised] == [("4-bit, scales held", True)]
    names = [name for name, _ in trainer.model.named_parameters() if "scaling_impl" in name]
    states = []
    for _ in range(2):
        trainer.run_epoch()
        states.append({name: value.clone() for name, value in trainer.model.state_dict().items()})
    untrained = load_model("resnet8").state_dict()
    assert names and all(not torch.equal(untrained[name], states[0][name]) for name in names)
    assert all(torch.equal(states[0][name], states[1][name]) for name in names)
    assert not torch.equal(states[0]["stem.conv.weight"], states[1]["stem.conv.weight"])


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
    model = load_model(weights)
    assert record["settings"]["method"] == method and model.quantised
    data = load("digits")
    images, labels = as_input(model, data.test_x[:8]), torch.from_numpy(data.test_y[:8])
    for mode, reached in record["accuracy"].items():
        model.set_mode(mode)
        with torch.no_grad():
            assert reached == float((model(images).argmax(1) == labels).sum()) / 8, mode


def test_defaults_are_the_papers():
    wenet, ddi, energynet, acs, usnet = (make(name, {}) for name in ("wenet", "ddi", "energynet", "acs", "usnet"))
    assert wenet.samples == 20 and usnet.samples == 4
    assert ddi.alpha == 2e-4 and ddi.gate_epochs + ddi.epochs + ddi.hard_epochs == ddi.exit_epochs == 128
    assert (energynet.low, energynet.high, energynet.threshold, energynet.unit) == (0.1, 0.9, 0.001, "energy")
    assert acs.float_epochs + acs.first_epochs + acs.epochs == 120 and acs.target == 0.5
    assert {m.weight_decay for m in (ddi, energynet, acs)} == {1e-4}
    assert [phase.rate * Settings("resnet8").lr for phase in ddi.phases()] == [0.05] * 4
    assert Settings("resnet8").batch == 128 and Settings("resnet8").lr == 0.1


def test_weight_decay_is_the_methods_unless_given(tmp_path):
    for given, used in ((None, 1e-4), (3e-4, 3e-4)):
        trainer = Trainer(Settings("resnet8", weight_decay=given), make("acs", {}), load("digits"), tmp_path)
        assert trainer.settings.weight_decay == trainer.optimiser.param_groups[0]["weight_decay"] == used
