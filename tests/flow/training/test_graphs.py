"""Steps on tensors that stay where they are, as recorded ones need them, against steps on new ones; and the real thing, where it is."""

import pytest
import torch

from flow.data import load
from flow.training import trainer as training
from flow.training.graphs import Eager, Graphs
from flow.training.methods.wenet import WeNet
from flow.training.trainer import Settings, Trainer

OPTIONS = {"full_epochs": 1, "float_epochs": 1, "epochs": 3, "hold_epochs": 1, "refine_epochs": 2, "samples": 3, "uniform": 0.5}


def _train(folder, device="cpu", precision="bfloat16", steps=2):
    settings = Settings("resnet8", batch=16, lr=0.05, steps=steps, held_out=50, precision=precision)
    trainer = Trainer(settings, WeNet(**OPTIONS), load("digits"), folder, device)
    losses = [trainer.run_epoch()["loss"] for _ in range(trainer.total_epochs)]
    return losses, {name: tensor.cpu() for name, tensor in trainer.model.state_dict().items()}


def test_steps_on_fixed_tensors_are_those_on_new_ones(tmp_path, monkeypatch):
    class New(Eager):
        def clear(self, parameters):
            for parameter in parameters:
                parameter.grad = torch.zeros_like(parameter)

    monkeypatch.setattr(training, "Eager", New)
    expected, weights = _train(tmp_path / "new")
    made = []

    class Fixed(Graphs):
        def __init__(self):
            super().__init__()
            made.append(self)

        def __call__(self, key, work):
            return work()

    monkeypatch.setattr(training, "Eager", Fixed)
    losses, others = _train(tmp_path / "fixed")
    assert len(made) == 10 and all(graphs._gradients for graphs in made[1:])
    assert losses == expected
    for name, tensor in weights.items():
        assert torch.equal(tensor, others[name]), name


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
def test_recorded_steps_are_those_of_the_processor_but_for_rounding(tmp_path):
    expected, _ = _train(tmp_path / "cpu", steps=20)
    losses, weights = _train(tmp_path / "cuda", "cuda", steps=20)
    assert all(tensor.isfinite().all() for tensor in weights.values())
    for a, b in zip(expected, losses):
        assert b == pytest.approx(a, rel=0.2, abs=0.1)
