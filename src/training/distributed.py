"""One process or many: the same code on one CPU, one GPU, or under ``torchrun`` on several machines.

What concerns all is decided by the main process (rank 0) alone: only it reads and writes a run's folder, so that
machines need not share one. Gradients go by nccl where every process has a GPU of its own and PyTorch has nccl, else
by gloo (CPUs, Windows, several processes on one GPU).
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from src.training.failure import FailureWatch, failure_line, is_lost_peer
from src.utils.cli import InputError

LONGEST_WAIT = timedelta(days=7)
Result = TypeVar("Result")


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
        if self.count == 1:
            return values.clone()
        summed = values.detach().to(_meeting_device(self.device), copy=True)
        dist.all_reduce(summed)
        return (summed / self.count).to(values.device)

    def from_main(self, value: Any) -> Any:
        """The main process's ``value``, on every process."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, device=_meeting_device(self.device))
        return box[0]

    def on_main(self, work: Callable[[], Result]) -> Result:
        """The result of ``work`` on the main process, on every process; where it fails, every process fails."""
        if self.count == 1:
            return work()
        result, error = None, None
        if self.is_main:
            try:
                result = work()
            except Exception as raised:
                error = raised
        line, result = self.from_main((None if error is None else failure_line(error), result))
        if error is not None:
            raise error
        if line is not None:
            raise InputError(line)
        return result

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block, without collectives, after which either all processes go on or, where one failed, none."""
        error = None
        try:
            yield
        except Exception as raised:
            if self.count == 1:
                raise
            error = raised
        lines = self.gather(None if error is None else f"process {self.rank}: {failure_line(error)}")
        if error is not None:
            raise error
        for line in filter(None, lines):
            raise InputError(line)

    def gather(self, value: Any) -> list:
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


def _meeting_device(device: torch.device) -> torch.device:
    """Where tensors lie that processes exchange: gloo moves all kinds only between CPUs."""
    return device if dist.get_backend() == "nccl" else torch.device("cpu")


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
    """Join the process group that ``torchrun`` describes in the environment (alone without it), leave it at the end.

    When one process fails, the others end too, each with one line that says why.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        device = resolve_device(device_name, int(os.environ.get("LOCAL_RANK", "0")))
        if device.type == "cuda":
            torch.cuda.set_device(device)
        yield Processes(0, 1, device)
        return
    if sys.platform == "win32":
        os.environ.setdefault("USE_LIBUV", "0")  # PyTorch is built without it there
    store, rank, count = next(dist.rendezvous("env://"))
    store.set_timeout(LONGEST_WAIT)
    watch = FailureWatch(dist.PrefixStore("failure", store), rank, count)
    try:
        device = resolve_device(device_name, int(os.environ.get("LOCAL_RANK", "0")))
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = _choose_backend(dist.PrefixStore("device", store), rank, count, device)
        # Processes that train lightmaps of their own meet again only when the slowest of them has finished.
        dist.init_process_group(
            backend, store=dist.PrefixStore("group", store), rank=rank, world_size=count, timeout=LONGEST_WAIT
        )
        yield Processes(rank, count, device)
        dist.barrier()
    except BaseException as error:
        if is_lost_peer(error):
            raise watch.other_failure() from None
        watch.tell(error)
        raise
    finally:
        watch.close()
    dist.destroy_process_group()


def _choose_backend(store: dist.Store, rank: int, count: int, device: torch.device) -> str:
    """nccl where it can be used on all of the processes' devices, else gloo."""
    own = f"process {rank}"
    if device.type == "cuda" and dist.is_nccl_available():
        card = torch.cuda.get_device_properties(device)
        own = f"nccl {getattr(card, 'uuid', None) or f'{socket.gethostname()} {device}'}"
    store.set(str(rank), own)
    devices = {store.get(str(other)).decode() for other in range(count)}
    can_use_nccl = len(devices) == count and all(name.startswith("nccl ") for name in devices)
    return "nccl" if can_use_nccl else "gloo"
