"""Training in several processes: every process takes its share of each batch, all of them take the same step.

``torchrun`` starts the processes and says who they are through environment variables. Batch normalisation uses the statistics
of the whole batch (see ``SwitchableBatchNorm2d``), so the result is that of one process but for rounding.
"""

import os
from collections.abc import Iterable

import torch
from torch import distributed, nn

from flow.errors import GatefoldError


def join(device: str) -> torch.device:
    """Join the processes that ``torchrun`` started, if it did; the device of this process."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not distributed.is_initialized():
        distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    if device == "cuda" and size() > 1:
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise GatefoldError(
                f"There are {torch.cuda.device_count()} CUDA devices here for more processes; lower --nproc-per-node."
            )
        torch.cuda.set_device(local)
        return torch.device("cuda", local)
    return torch.device(device)


def size() -> int:
    """Number of processes."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process; process 0 writes files and reports."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def is_first() -> bool:
    """Whether this is process 0, as ``torchrun`` says; known before the processes have joined."""
    return int(os.environ.get("RANK", "0")) == 0


def share(batch: torch.Tensor) -> torch.Tensor:
    """This process's part of a batch [B, ...]: [B/size, ...]."""
    return batch[rank() :: size()]


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes, in one message."""
    if size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= size()
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients])):
        gradient.copy_(mean.view_as(gradient))


def average(values: list[float]) -> list[float]:
    """Means over the processes."""
    if size() == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64)
    if distributed.get_backend() == "nccl":
        tensor = tensor.cuda()
    distributed.all_reduce(tensor)
    return (tensor / size()).tolist()


def wait() -> None:
    """Wait until every process has come here."""
    if size() > 1:
        distributed.barrier()


def leave() -> None:
    """End the work of several processes."""
    if distributed.is_initialized():
        distributed.destroy_process_group()
