"""Refinement changes one mode and those that build on it."""

import numpy as np
import torch

from flow.data import Dataset, load
from flow.nn.modes import MODES
from flow.training.methods.wenet import WeNet
from flow.training.trainer import Settings, Trainer


def test_refinement_leaves_modes_of_more_groups_alone(tmp_path):
    data = load("digits")
    digits = Dataset("digits", data.train_x[:64], data.train_y[:64], data.test_x[:8], data.test_y[:8])
    settings = Settings("resnet8", batch=16, steps=2)
    method = WeNet(full_epochs=0, float_epochs=0, epochs=1, refine_epochs=1, samples=3)
    trainer = Trainer(settings, method, digits, tmp_path)
    model = trainer.model

    def logits():
        model.eval()
        result = {}
        for mode in MODES:
            model.set_mode(mode)
            result[mode] = model.integer_logits(digits.test_x)
        return result

    trainer.run_epoch()
    smallest_first = MODES[::-1]
    for i, refined in enumerate(smallest_first):
        before = logits()
        assert trainer.run_epoch()["phase"] == f"refine {refined}"
        after = logits()
        assert not np.array_equal(before[refined], after[refined])
        for mode in smallest_first[:i]:
            assert np.array_equal(before[mode], after[mode]), (refined, mode)
    resumed = Trainer(settings, method, digits, tmp_path, resume=True)
    assert resumed.epoch == resumed.total_epochs
    assert all(torch.equal(a, b) for a, b in zip(resumed.model.state_dict().values(), model.state_dict().values()))
