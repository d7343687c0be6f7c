"""Names of networks with the gates of a method, resnet8-ddi for example: what they stand for, in every command that takes one."""

import pytest
import torch

from flow.cli import main
from flow.models import NAMES, create, equipment
from flow.training.checkpoint import SHIPPED, load_model


@pytest.mark.parametrize("name", ["resnet8-ddi", "resnet8-acs", "resnet20-acs"])
def test_a_name_is_the_network_with_its_shipped_weights(name):
    base, brings = equipment(name)
    named, by_file = load_model(name), load_model(SHIPPED / f"{name}.safetensors", base)
    assert (named.name, by_file.name) == (name, base)
    assert brings.items() <= named.options.items() and named.options == by_file.options
    other = by_file.state_dict()
    assert all(torch.equal(value, other[key]) for key, value in named.state_dict().items())


def test_untrained_it_has_gates_and_exits():
    made = create("resnet8-ddi")
    assert made.name == "resnet8-ddi" and made.options["gates"] == "ddi" and len(made.exits) == 2
    assert create("resnet8-acs").options["gates"] == "acs" and not create("resnet8-acs").exits
    assert [equipment(name) for name in NAMES] == [(name, {}) for name in NAMES]


def test_evaluate_takes_it(capsys):
    assert main(["evaluate", "resnet8-ddi", "--data", "digits", "--count", "2"]) == 0
    assert "skip ratio" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, saying",
    [
        (["train", "resnet8-ddi"], "resnet8-ddi is resnet8 with gates; train it as `gatefold train resnet8 --method ddi`"),
        (["build", "resnet38-acs"], "make them with `gatefold train resnet38 --method acs` and name them with --checkpoint"),
        (["evaluate", "resnet20-ddi"], "No weights of resnet20-ddi are shipped"),
        (["build", "densenet41-ddi"], "There is no model 'densenet41-ddi'"),
    ],
)
def test_what_it_is_not_is_told(arguments, saying, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert saying in said and len(said.strip().splitlines()) == 1
