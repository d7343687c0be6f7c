"""Networks of users: what their class makes, what follows from it, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from flow.cli import main
from flow.errors import GatefoldError
from flow.export.from_model import layer_graph
from flow.graph.integer import run
from flow.models import create, initialise, name_of
from flow.nn.modes import MODES
from flow.training.checkpoint import load_model, load_named, read_record, save_model

NET = """
from flow.models.network import Network
from flow.nn.layers import Classifier, Conv, Residual


class Net(Network):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.stem = Conv(3, 16)
        self.block1 = Residual(16, 16)
        self.down = Conv(16, 32, stride=2, shuffle=True)
        self.block2 = Residual(32, 32)
        self.block3 = Residual(32, 64, stride=2)
        self.classifier = Classifier(64, num_classes)
"""

FREE = """
from flow.models.network import Network
from flow.nn.layers import Classifier, Conv
from torch import nn


class Net(Network):
    def __init__(self, num_classes):
        super().__init__(num_classes)
        self.stem = Conv(3, 16)
        self.row = nn.Sequential(Conv(16, 16, shuffle=True), Conv(16, 16, kernel=1, activation=self.stem.activation))
        self.last = Conv(16, 16, activation=self.stem.activation)
        self.down = nn.ModuleList([Conv(16, 32, stride=2), Conv(32, 32, stride=2)])
        self.classifier = Classifier(32, num_classes)

    def topology(self, x):
        x = self.stem(x)
        x = self.last(self.row(x), residual=x)
        for layer in self.down:
            x = layer(x)
        return x
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text, name="mynet.py"):
        (tmp_path / name).write_text(text)
        return f"{name}:Net"

    return write


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)


@pytest.mark.parametrize("text", [NET, FREE], ids=["in order", "by topology"])
def test_integers_graph_and_fake_quantisation_follow_from_the_class(write, images, text):
    model = initialise(create(write(text), 7), 1)
    graph = layer_graph(model)
    assert [layer.name for layer in graph.layers] == [spec.name for spec in model.layers()]
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    reached = set()
    for mode in MODES:
        model.set_mode(mode)
        stations = model.integer_stations(images)
        logits = run(graph, images.transpose(0, 3, 1, 2), mode).logits
        assert np.array_equal(stations["classifier"], logits) and np.array_equal(model.integer_logits(images), logits)
        assert all(stations[layer.name].any() for layer in graph.layers)
        reached.add(logits.tobytes())
        exact = model(x)
        assert np.allclose(exact.numpy(), logits * graph.layers[-1].logit_scale, rtol=1e-6)
        model.exact = False
        fake = model(x)
        model.exact = True
        # A value within float rounding of a tie may fall to the other side.
        assert (exact - fake).abs().mean() < 0.02 * exact.abs().mean() + 0.01
    assert len(reached) == len(MODES)


def test_description_of_a_class(write):
    model = create(write(NET), 7)
    specs = {spec.name: spec for spec in model.layers()}
    assert list(specs) == [
        "stem", "block1.conv1", "block1.conv2", "down", "block2.conv1", "block2.conv2",
        "block3.shortcut", "block3.conv1", "block3.conv2", "classifier",
    ]  # fmt: skip
    assert (specs["block1.conv2"].residual, specs["block2.conv2"].residual) == ("stem", "down")
    assert specs["block3.conv2"].residual == "block3.shortcut" and specs["block3.conv2"].pool
    assert specs["down"].shuffle and specs["block1.conv1"].shuffle and not specs["stem"].shuffle
    assert [specs[name].in_size for name in ("down", "block3.conv1", "block3.conv2")] == [32, 16, 8]
    assert specs["stem"].group_counts == (1,) and specs["block3.conv1"].group_counts == (1, 2, 4, 8, 16)
    assert name_of("some/where/mynet.py:Net") == model.name == "Net" and name_of("resnet8") == "resnet8"


def test_a_block_adds_at_the_scale_of_what_it_reads(write):
    """The identity has the scale of its map, a convolution in the shortcut one that begins there."""
    model = create(write(NET), 7)
    scales = model._description().scales
    with torch.no_grad():
        for module, power in ((model.stem, 2.0), (model.down, 0.5), (model.block3, 4.0)):
            activation = module.stream if module is model.block3 else module.activation
            next(activation.threshold.parameters()).add_(np.log2(power))
    assert scales("block1.conv2")[1] == model.stem.activation.scale == 0.5
    assert scales("block2.conv2")[1] == model.down.activation.scale == 0.125
    assert scales("block3.shortcut")[1] == scales("block3.conv2")[1] == model.block3.stream.scale == 1.0
    assert scales("stem")[0] == 1 / 255 and scales("classifier")[0] == 1.0


@pytest.mark.parametrize("options", [{"gates": "ddi", "exits": True}, {"gates": "acs", "ungated": True}])
def test_gates_and_exits_stand_at_the_blocks_of_a_class(write, images, options):
    model = initialise(create(write(NET), 7, **options), 1)
    model(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    names = [use.name for use in model.trace if not use.name.startswith(("gates.", "exits."))]
    assert sorted(names) == sorted(spec.name for spec in model.layers()) and names[0] == "stem" and names[-1] == "classifier"
    assert list(model.exits) == (["block1", "block2"] if options.get("exits") else [])
    assert {use.name for use in model.trace} <= {spec.name for spec in [*model.layers(), *model.gate_layers()]}
    model.train()
    logits = model(torch.rand(4, 3, 32, 32))
    loss = sum(F.cross_entropy(each, torch.arange(4)) for each in (logits if isinstance(logits, list) else [logits]))
    loss.backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if name.startswith("gates.") and ".norms." not in name)


def test_weights_and_record(write, images, tmp_path):
    name = write(NET)
    model, path = initialise(create(name, 7), 1), tmp_path / "Net.safetensors"
    save_model(model, path, {"data": "own", "accuracy": {}})
    record = read_record(path)
    assert record["model"] == "Net" and record["source"]["file"] == "mynet.py" and len(record["source"]["sha256"]) == 64
    assert np.array_equal(load_named(name, path).integer_logits(images), model.integer_logits(images))
    # A record alone makes nothing run.
    with pytest.raises(GatefoldError, match=r"holds weights of the class Net in mynet.py; name the network, mynet.py:Net"):
        load_model(path)
    # Another text of the same layers, and other layers.
    write(NET.replace("class Net", "# the same\nclass Net"))
    assert np.array_equal(load_named(name, path).integer_logits(images), model.integer_logits(images))
    write(NET.replace("stride=2, shuffle=True", "stride=2"))
    with pytest.raises(
        GatefoldError, match=r"class Net in mynet.py has changed since .*Net.safetensors was trained, in layer down"
    ):
        load_named(name, path)
    write(NET.replace("        self.block2 = Residual(32, 32)\n", ""))
    with pytest.raises(GatefoldError, match="in layer block3.shortcut; restore it, or train again"):
        load_named(name, path)
    write(NET.replace("class Net", "class Other"), "other.py")
    with pytest.raises(GatefoldError, match=r"holds Net, not other.py:Other"):
        load_named("other.py:Other", path)


HEAD = NET.partition("        self.stem")[0]
STEM = "        self.stem = Conv(3, 16)\n"
END = "        self.classifier = Classifier(16, num_classes)\n"
REFUSED = {
    "import": ("import missing_module\n", "mynet.py, line 1: ModuleNotFoundError: No module named 'missing_module'; mend that"),
    "syntax": ("class Net(\n", "mynet.py, line 1: SyntaxError: '\\(' was never closed; mend that"),
    "raises": ("\n\nraise ValueError('of mine')\n", "mynet.py, line 3: ValueError: of mine; mend that"),
    "exit": ("raise SystemExit\n", "mynet.py, line 1: SystemExit; mend that"),
    "no class": ("x = 1\n", "There is no class Net in mynet.py; it has no network on flow.models.network.Network"),
    "other class": (NET.replace("Net(", "Other("), "There is no class Net in mynet.py; it has Other"),
    "no network": ("class Net: pass\n", "mynet.py:Net is not built on flow.models.network.Network; write class Net\\(Network\\)"),
    "forward": (NET + "\n    def forward(self, x):\n        return x\n", "mynet.py:Net has a forward of its own, .*; call it topology"),
    "arguments": (NET.replace("(self, num_classes)", "(self, num_classes, more)"), "mynet.py:Net: TypeError: .*argument: 'more'"),
    "base class": (
        HEAD.replace("        super().__init__(num_classes)\n", "") + STEM + END,
        r"mynet.py:Net, line \d+: a layer comes before super\(\).__init__; begin __init__ with super\(\).__init__\(num_classes\)",
    ),
    "base class alone": (
        HEAD.replace("super().__init__(num_classes)", "pass"),
        r"mynet.py:Net: its __init__ lacks super\(\).__init__\(num_classes\); begin with it",
    ),
    "torch layer": (
        HEAD + STEM + "        import torch\n        self.pool = torch.nn.MaxPool2d(2)\n" + END,
        "mynet.py:Net: pool is a MaxPool2d, which the engine lacks; write it with Conv, Residual and Classifier",
    ),
    "torch function": (
        NET + "\n    def topology(self, x):\n        return self.stem(x).run and __import__('torch').relu(self.stem(x))\n",
        "mynet.py:Net, line 17: Layer stem of Net is used twice; make a layer of its own for each place",
    ),
    "function": (
        NET + "\n    def topology(self, x):\n        return __import__('torch').relu(self.stem(x))\n",
        "mynet.py:Net, line 17: relu reads the map of stem; the engine has no such layer",
    ),
    "addition": (
        NET + "\n    def topology(self, x):\n        return self.stem(x) + x\n",
        "mynet.py:Net, line 17: The map of stem is added to something; maps are added by Residual",
    ),
    "channels": (HEAD + STEM + "        self.more = Conv(32, 16)\n" + END, "Layer more of Net reads 32 channels and stem has 16"),
    "shuffle": (HEAD + "        self.stem = Conv(3, 24, shuffle=True)\n", "mynet.py:Net, line 9: 24 channels cannot be shuffled"),
    "no classifier": (HEAD + STEM, r"Net has no classifier; end __init__ with self.classifier = Classifier\(16, num_classes\)"),
    "other classifier": (HEAD + STEM + END.replace("16", "32"), "The classifier of Net makes 10 classes of 32 channels"),
    "unused": (NET + "\n    def topology(self, x):\n        return self.stem(x)\n", "Layer block1.conv1 of Net is not used"),
    "no map": (NET + "\n    def topology(self, x):\n        return x\n", "The topology of Net gives no map of a layer"),
    "image": (HEAD + "        self.block = Residual(3, 3, shuffle=False)\n", "The residual block block reads the image; put a Conv before"),
    "scale": (
        HEAD + STEM + "        self.more = Conv(16, 16)\n" + END + "\n    def topology(self, x):\n        x = self.stem(x)\n"
        "        return self.more(x, residual=x)\n",
        "Layer more of Net adds stem at another scale; give both the same activation",
    ),
    "shape": (
        HEAD + STEM + "        self.more = Conv(16, 16, stride=2, activation=self.stem.activation)\n" + END
        + "\n    def topology(self, x):\n        x = self.stem(x)\n        return self.more(x, residual=x)\n",
        "Layer more of Net adds stem, whose map has another shape",
    ),
    "name": (HEAD + STEM + "        self.pool = Conv(16, 16)\n" + END, "Layer pool of Net has a name that the engine gives away"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_run_is_told_in_one_sentence(write, capsys, tmp_path, case):
    text, words = REFUSED[case]
    name = write(text)
    with pytest.raises(GatefoldError, match=words) as caught:
        create(name)
    message = str(caught.value)
    assert "\n" not in message and message.endswith(".") and not message.endswith("..")
    assert main(["train", name, "--data", "digits"]) == 2
    assert main(["build", name, "--untrained", "--output", "out"]) == 2
    seen = capsys.readouterr()
    assert seen.err.count(f"gatefold: {message}\n") == 2 and "Traceback" not in seen.err
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["mynet.py"]


@pytest.mark.parametrize(
    "name, words",
    [
        ("none.py:Net", "There is no file none.py; name a class in a Python file"),
        ("mynet.py", "mynet.py names no class in that file; name one of mynet.py:Net"),
        ("mynet.py:", "names no class"),
        ("mynet.py:Net-slim", "names no class"),
        ("mynet.txt:Net", "There is no model 'mynet.txt:Net'; .* or name a class of your own, mynet.py:Net"),
        (".py:Net", "There is no file .py"),
    ],
)
def test_names_that_lead_nowhere(write, name, words):
    write(NET)
    with pytest.raises(GatefoldError, match=words):
        create(name)


def test_a_class_cannot_take_the_name_of_a_shipped_network(write):
    write(NET.replace("Net(Network)", "resnet8(Network)"))
    with pytest.raises(GatefoldError, match="has the name of another network; call the class otherwise"):
        create("mynet.py:resnet8")


def test_what_the_engine_lacks_is_said_before_training(write, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("GATEFOLD_RUNS", str(tmp_path / "runs"))
    name = write(
        HEAD + STEM + "        self.wide = Conv(16, 16, kernel=5, stride=2)\n        self.last = Conv(16, 16, stride=2)\n" + END
    )
    phases = ["--full-epochs", "0", "--float-epochs", "0", "--epochs", "1", "--steps", "1", "--samples", "1", "--batch", "8"]
    assert main(["train", name, "--data", "digits", *phases, "--test-images", "8", "--held-out", "8", "--threads", "1"]) == 0
    said = capsys.readouterr()
    assert "can be trained and evaluated, but not built: layer wide has a 5x5 kernel; the engine does 3x3 and 1x1" in said.err
    weights = Path("runs/train/Net/Net.safetensors")
    assert f"weights: {weights.resolve()}" in said.out and json.loads(weights.with_suffix(".json").read_text())["model"] == "Net"
    assert main(["build", name, "--checkpoint", str(weights), "--output", "out"]) == 2
    assert "layer wide has a 5x5 kernel" in capsys.readouterr().err and not Path("out", "deploy").exists()
    # A run is not gone on with in other layers.
    write((tmp_path / "mynet.py").read_text().replace("kernel=5", "kernel=3"))
    again = ["train", f"./{name}", "--data", "digits", *phases[:4], "--epochs", "2", *phases[6:], "--resume", "--threads", "1"]
    assert main(again) == 2
    assert "is of a Net with other layers; restore its file, or use another --output" in capsys.readouterr().err


def test_usnet_is_not_for_classes(write, capsys):
    assert main(["train", write(NET), "--data", "digits", "--method", "usnet"]) == 2
    assert "mynet.py:Net has group modes and no variable width; train it with --method wenet" in capsys.readouterr().err
