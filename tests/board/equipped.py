"""Networks with gates and exits for the tests of the board program."""

import json

import numpy as np
import torch

from flow import models
from flow.build.deploy import built_graph
from flow.cli import main
from flow.engine.config import EngineConfig
from flow.paths import build_root
from flow.training.checkpoint import save_model

IMAGES = 32
MODES = "full,1/4"


def made(gates):
    """resnet8 with such gates, its exits and random weights; the gates' biases are spread, so that they differ from picture to picture."""
    torch.set_num_threads(1)
    model = models.initialise(models.create("resnet8", gates=gates, exits=True, ungated=True), 3)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.gates.named_parameters():
        if name.endswith("linear.bias"):
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator))
    return model.eval()


DECIDING = "gated"
"""Name of the build of `deciding`: whoever asks `build_of` for it gets the one that is there."""


def deciding():
    """With DDI's gates, LSTM and channel gates. What the LSTM reads lies around zero, on random pictures, and differs from picture to
    picture."""
    model = made("ddi")
    stations = model.integer_stations(np.random.default_rng(1).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8))
    for channels, source in ((16, "stem"), (32, "stage2.block1.conv2")):
        project = getattr(model.gates.layer, f"project{channels}")
        averages = torch.from_numpy(stations[source].mean(axis=(2, 3)) * model.output_scale(source)).float()
        project.weight.data *= 50
        project.bias.data = -(averages @ project.weight.data.t()).mean(dim=0)
    return model


def build_of(model, name, tmp_path_factory):
    """(deploy folder, modes.json, layer graph, EngineConfig) of a model's build, in a folder of that name."""
    weights = tmp_path_factory.mktemp("weights") / f"{name}.safetensors"
    save_model(model, weights, {"data": "cifar10"})
    folder = build_root() / "test" / name
    arguments = ["--checkpoint", str(weights), "--modes", f"{MODES},full ungated", "--output", str(folder)]
    assert main(["build", "resnet8", *arguments]) == 0
    contents = json.loads((folder / "deploy" / "modes.json").read_text())
    return folder / "deploy", contents, built_graph(folder, contents), EngineConfig.of(contents["parameters"])


def ask(program, deploy, *options, count=IMAGES):
    """What the board program answers as JSON."""
    done = program("--board-dir", deploy, "--count", count, "--json", *options)
    assert done.code == 0, done.err
    return json.loads(done.out)
