"""Refinement changes the full network and nothing else."""

import numpy as np
import torch

from flow.data import Dataset, load
from flow.nn.modes import MODES
from flow.training.trainer import Settings, Trainer


def test_refinement_leaves_the_group_modes_alone(tmp_path):
    data = load("digits")
    digits = Dataset("digits", data.train_x[:64], data.train_y[:64], data.test_x[:8], data.test_y[:8])
    settings = Settings("resnet8", full_epochs=0, float_epochs=0, epochs=1, refine_epochs=1, batch=16, steps=2)
    trainer = Trainer(settings, digits, tmp_path)
    model = trainer.model

    def logits():
        model.eval()
        result = {}
        for mode in MODES:
            model.set_mode(mode)
            result[mode] = model.integer_logits(digits.test_x)
        return result

    trainer.run_epoch()
    before = logits()
    trainer.run_epoch()
    after = logits()
    assert not np.array_equal(before["full"], after["full"])
    for mode in MODES[1:]:
        assert np.array_equal(before[mode], after[mode]), mode
    resumed = Trainer(settings, digits, tmp_path, resume=True)
    assert resumed.epoch == resumed.total_epochs
    assert all(torch.equal(a, b) for a, b in zip(resumed.model.state_dict().values(), model.state_dict().values()))
