"""What a training step of a CIFAR ResNet takes: prints its processor time and the convolutions' share of it.

    .venv/bin/python bench/training.py resnet8 resnet20

One thread, batches of 128 images of 32x32 pixels; the full network in floating point, and Algorithm 1 with three networks (full,
1/16, 1/4) on 4-bit numbers.
"""

import argparse
import statistics
import time

import torch
from torch.profiler import ProfilerActivity, profile

from flow.models import create
from flow.training.allocator import keep_freed_memory
from flow.training.sampling import accumulate_gradients

KINDS = {"full, float": (False, ["full"]), "Algorithm 1, 4-bit": (True, ["full", "1/16", "1/4"])}
PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
BATCH = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+")
    parser.add_argument("--steps", type=int, default=10, help="of which the median is taken (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    x, y = torch.rand(BATCH, 3, 32, 32), torch.randint(0, 10, (BATCH,))
    for name in args.models:
        for kind, (quantised, modes) in KINDS.items():
            for precision, maps in PRECISIONS.items():
                model = create(name)
                model.set_quantised(quantised)
                model.set_fused(maps)
                model.train()
                optimiser = torch.optim.SGD(model.parameters(), lr=0.001, momentum=0.9, nesterov=True, foreach=True)

                def step():
                    start = time.process_time()
                    optimiser.zero_grad(set_to_none=True)
                    accumulate_gradients(model, x, y, modes)
                    optimiser.step()
                    return time.process_time() - start

                step(), step()
                spent = statistics.median(step() for _ in range(args.steps))
                with profile(activities=[ProfilerActivity.CPU]) as profiler:
                    step(), step()
                events = profiler.key_averages()
                whole = sum(event.self_cpu_time_total for event in events)
                convolutions = sum(event.self_cpu_time_total for event in events if "convolution" in event.key)
                share = f"convolutions {100 * convolutions / whole:.0f} %"
                print(f"{name}, {kind}, {precision}: {1e3 * spent:.0f} ms, {share}", flush=True)


if __name__ == "__main__":
    main()
