"""Run by test_distributed.py in one or two processes: the gradients of one step of every method, in float64, to a file."""

import random
import sys

import torch

from flow.training import distributed
from flow.training.methods.registry import make

STEPS = {
    "wenet": ("float", {"samples": "3"}),
    "usnet": ("float", {"samples": "3"}),
    "acs": ("skipping", {"samples": "3", "alpha": "20"}),
    "ddi": ("exits", {"gate_epochs": "0", "samples": "2", "alpha": "1"}),
    "energynet": ("step 2", {"unit": "macs"}),
}

torch.set_num_threads(1)
distributed.join("cpu")
generator = torch.Generator().manual_seed(1)
x = torch.rand(8, 3, 32, 32, generator=generator, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
y = torch.randint(0, 10, (8,), generator=generator)
result = {}
for name, (phase_name, options) in STEPS.items():
    torch.manual_seed(0)
    method = make(name, options)
    model = method.create("resnet8", 10).double()
    model.set_quantised(False)
    model.train()
    phase = next(phase for phase in method.phases() if phase.name == phase_name)
    phase.enter(model)
    losses = distributed.average(phase.losses(model, distributed.share(x), distributed.share(y), random.Random(0)))
    distributed.average_gradients(model.parameters())
    result[f"{name} losses"] = torch.tensor(losses, dtype=torch.float64)
    result.update({f"{name} {key}": p.grad for key, p in model.named_parameters() if p.grad is not None})
    result.update({f"{name} {key}": t for key, t in model.named_buffers() if "running" in key})
if distributed.rank() == 0:
    torch.save(result, sys.argv[1])
distributed.leave()
