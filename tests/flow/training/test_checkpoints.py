"""Checkpoints of another structure, and damage that PyTorch reads without a word."""

import numpy as np
import pytest
import torch

from flow.data import Dataset
from flow.errors import GatefoldError
from flow.training.checkpoint import STATE, load_training_state
from flow.training.methods.wenet import WeNet
from flow.training.trainer import CHECKPOINT, Settings, Trainer


def train(folder, resume):
    x, y = np.zeros((16, 32, 32, 3), np.uint8), np.arange(16) % 2
    settings = Settings("resnet8", batch=2, steps=1, held_out=0)
    return Trainer(
        settings,
        WeNet(full_epochs=0, float_epochs=0, epochs=2, samples=1),
        Dataset("own", x, y, x[:2], y[:2]),
        folder,
        resume=resume,
    )


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(folder, False).run_epoch()
    return load_training_state(folder / CHECKPOINT)


def refused(folder, state):
    torch.save(state, folder / CHECKPOINT)
    with pytest.raises(GatefoldError) as error:
        train(folder, True)
    assert str(error.value).count("\n") == 0 and "--output" in str(error.value)


@pytest.mark.parametrize("whole", [[], None, 3, "text", {}, {"epoch": 1}, [{"epoch": 1}]])
def test_other_contents(whole, tmp_path):
    refused(tmp_path, whole)


# What nothing depends on may hold what it likes, in its type.
FREE = {"seconds": (int, float), "history": list, "phases": list}
OTHERS = ["absent", None, [], "text", -1, {}, [None], {"a": 1}]


@pytest.mark.parametrize(
    "key, other", [(k, o) for k in STATE for o in OTHERS if o == "absent" or not isinstance(o, FREE.get(k, ()))]
)
def test_other_entries(key, other, state, tmp_path):
    changed = {**state, key: other}
    if other == "absent":
        del changed[key]
    refused(tmp_path, changed)


@pytest.mark.parametrize("name", ["classifier.weight", "stem.conv.weight"])
@pytest.mark.parametrize("change", [lambda t: t[:1], lambda t: t.double()[None], lambda t: t.tolist()])
def test_other_tensors(name, change, state, tmp_path):
    refused(tmp_path, {**state, "model": {**state["model"], name: change(state["model"][name])}})


def test_a_flipped_bit_in_a_weight(state, tmp_path):
    torch.save(state, tmp_path / CHECKPOINT)
    data = bytearray((tmp_path / CHECKPOINT).read_bytes())
    weight = state["model"]["stem.conv.weight"].contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy().tobytes()
    place = data.find(weight[:64])
    assert place > 0
    data[place + 3] ^= 64
    (tmp_path / CHECKPOINT).write_bytes(data)
    with pytest.raises(GatefoldError, match="damaged or of another version; start again with --overwrite"):
        train(tmp_path, True)


def test_no_regular_file(tmp_path):
    (tmp_path / CHECKPOINT).mkdir()
    with pytest.raises(GatefoldError, match="checkpoint.pt is a folder; start again with --overwrite"):
        train(tmp_path, True)
