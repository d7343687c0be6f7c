"""Run by test_distributed.py in one or two processes: the gradients of one step of Algorithm 1, in float64, to a file."""

import random
import sys

import torch

from flow.models import create
from flow.training import distributed
from flow.training.sampling import accumulate_gradients, sample_networks

torch.set_num_threads(1)
distributed.join("cpu")
torch.manual_seed(0)
model = create("resnet8", float=True).double()
model.train()
generator = torch.Generator().manual_seed(1)
x = torch.rand(32, 3, 32, 32, generator=generator, dtype=torch.float64)
y = torch.randint(0, 10, (32,), generator=generator)
vectors = sample_networks(model, 3, random.Random(0))
losses = accumulate_gradients(model, distributed.share(x), distributed.share(y), vectors)
distributed.average_gradients(model.parameters())
if distributed.rank() == 0:
    result = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    result.update({name: buffer for name, buffer in model.named_buffers() if "running" in name})
    torch.save(result, sys.argv[1])
distributed.average(losses)
distributed.leave()
