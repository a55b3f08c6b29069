"""One process or many: the same code on one CPU, one GPU, or under ``torchrun`` (gloo on CPUs, nccl on GPUs)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist

from src.utils.cli import InputError

LONGEST_WAIT = timedelta(days=7)


@dataclass(frozen=True)
class Processes:
    """This process's place among all: its rank, how many there are, the device it computes on."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """Mean of a tensor over all processes (a copy; every process must call it)."""
        values = values.clone()
        if self.count > 1:
            dist.all_reduce(values)
            values /= self.count
        return values

    def from_main(self, value: object) -> object:
        """The main process's ``value``, on every process."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=self.device)
        return box[0]

    def gather(self, value: object) -> list:
        """Every process's ``value`` in the order of ranks, on every process."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def alone(self) -> Processes:
        """This process as if there were no others."""
        return Processes(0, 1, self.device)

    def barrier(self) -> None:
        if self.count > 1:
            dist.barrier()


def resolve_device(name: str, local_rank: int = 0) -> torch.device:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N`` -> device; ``auto`` and ``cuda`` take the local rank's GPU."""
    available = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if available else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    kind, _, index = name.partition(":")
    if kind != "cuda" or (index and not index.isdigit()):
        raise InputError("--device", f"{name!r} is not one of auto, cpu, cuda, cuda:N")
    if not available:
        raise InputError("--device", f"{name} asked for, but PyTorch finds no CUDA device", "use --device cpu or auto")
    number = int(index) if index else local_rank % torch.cuda.device_count()
    if number >= torch.cuda.device_count():
        raise InputError("--device", f"{name}: this machine has {torch.cuda.device_count()} CUDA device(s)")
    return torch.device("cuda", number)


@contextmanager
def processes(device_name: str) -> Iterator[Processes]:
    """Join the process group that ``torchrun`` describes in the environment (alone without it), leave it at the end."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    device = resolve_device(device_name, int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if count == 1:
        yield Processes(0, 1, device)
        return
    # Processes that train lightmaps of their own meet again only when the slowest of them has finished.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), device)
    finally:
        dist.destroy_process_group()
