"""A training run of its own process: `killed_run.py FOLDER [EPOCH STEP]` kills itself (SIGKILL) after that step of that epoch.

Goes on from a checkpoint in FOLDER, where there is one.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from flow.data import Dataset, load
from flow.training.methods.wenet import WeNet
from flow.training.trainer import CHECKPOINT, Settings, Trainer


def main(folder, epoch=None, step=None):
    torch.set_num_threads(1)
    data = load("digits")
    data = Dataset("digits", data.train_x[:128], data.train_y[:128], data.test_x[:16], data.test_y[:16])
    settings = Settings("resnet8", batch=16, steps=3)
    resume = (Path(folder) / CHECKPOINT).exists()
    trainer = Trainer(settings, WeNet(full_epochs=1, float_epochs=1, epochs=1, samples=3), data, Path(folder), resume=resume)
    print(f"from epoch {trainer.epoch}", flush=True)

    def on_step(done, steps, loss):
        if (trainer.epoch, done) == (epoch, step):
            os.kill(os.getpid(), signal.SIGKILL)

    while trainer.epoch < trainer.total_epochs:
        trainer.run_epoch(on_step)
    trainer.finish("killed_run.py")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
