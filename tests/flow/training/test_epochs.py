"""No epoch repeats an earlier one: other sampled networks, another order of the images, other crops; the same seed repeats a run."""

import numpy as np
import pytest

from flow.data import Dataset
from flow.training.methods.acs import Acs
from flow.training.methods.ddi import Ddi
from flow.training.methods.energynet import EnergyNet
from flow.training.methods.usnet import USNet
from flow.training.methods.wenet import WeNet
from flow.training.trainer import Settings, Trainer

EPOCHS = 3
SAMPLED = {
    "wenet": WeNet(full_epochs=0, float_epochs=0, epochs=EPOCHS, samples=3),
    "usnet": USNet(0, 0, EPOCHS, samples=6),
    "ddi": Ddi(gate_epochs=0, epochs=EPOCHS, hard_epochs=0, exit_epochs=0, samples=3),
    "acs": Acs(float_epochs=0, first_epochs=0, epochs=EPOCHS, samples=3),
}
OTHERS = {
    "full": WeNet(full_epochs=EPOCHS, float_epochs=0, epochs=0),
    "energynet": EnergyNet(first_epochs=EPOCHS, epochs=0, last_epochs=0, unit="macs"),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8), np.arange(40) % 4
    return Dataset("noise", x, y, x[:4], y[:4])


def watch(method, data, folder, seed=0, epochs=EPOCHS):
    """(networks that were set in each epoch, first batch of each epoch)."""
    trainer = Trainer(Settings("resnet8", batch=2, steps=1, held_out=0, seed=seed), method, data, folder)
    networks, batches = [], []
    for name in ("set_mode", "set_width"):
        if hasattr(trainer.model, name):
            setting = getattr(trainer.model, name)
            setattr(trainer.model, name, lambda value, setting=setting: (networks[-1].append(str(value)), setting(value)))
    for phase in trainer.phases:
        losses = phase.losses
        phase.losses = lambda model, x, y, rng, losses=losses: (
            batches.append((x.numpy().tobytes(), y.tolist())),
            losses(model, x, y, rng),
        )[1]
    for _ in range(epochs):
        networks.append([])
        trainer.run_epoch()
    return networks, batches


@pytest.mark.parametrize("name", SAMPLED)
def test_sampled_networks_differ_from_epoch_to_epoch(name, data, tmp_path):
    networks, batches = watch(SAMPLED[name], data, tmp_path / "a")
    assert all(len(seen) >= 3 for seen in networks)
    assert len(set(map(tuple, networks))) == EPOCHS
    assert len({pixels for pixels, _ in batches}) == EPOCHS
    assert watch(SAMPLED[name], data, tmp_path / "b", epochs=1) == (networks[:1], batches[:1])
    (others,), _ = watch(SAMPLED[name], data, tmp_path / "c", seed=1, epochs=1)
    assert others not in networks


@pytest.mark.parametrize("name", OTHERS)
def test_images_differ_from_epoch_to_epoch(name, data, tmp_path):
    _, batches = watch(OTHERS[name], data, tmp_path / "a")
    assert len(set(map(str, (labels for _, labels in batches)))) > 1 and len({pixels for pixels, _ in batches}) == EPOCHS
    assert watch(OTHERS[name], data, tmp_path / "b", epochs=1)[1] == batches[:1]
