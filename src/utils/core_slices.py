"""Slices of work on several cores, each slice by one thread from its first to its last operation.

PyTorch shares every single operation out over the cores and waits for the slowest before the next one. For chains of
small operations it is faster to give whole chains to threads: nothing waits, and a chain's data stays in one core's
cache. PyTorch's operations release the interpreter lock, so threads suffice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch

MAX_WORKERS = 8  # beyond that the interpreter lock would be fought over
Result = TypeVar("Result")


def worker_count(device: torch.device) -> int:
    """How many slices are worked on at a time: one on a GPU, up to eight of PyTorch's threads on a CPU."""
    return min(torch.get_num_threads(), MAX_WORKERS) if device.type == "cpu" else 1


@contextmanager
def unshared_operations() -> Iterator[None]:
    """PyTorch's operations run on this thread alone, between slices that other threads work on.

    The threads that an operation was shared with wait for the next one spinning, for milliseconds, on the cores that
    the slices are to have.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_parallel(functions: Sequence[Callable[[], Result]]) -> list[Result]:
    """Call every function, without gradients, on threads of its own when there is more than one; results in order."""
    if len(functions) == 1:
        with torch.no_grad():
            return [functions[0]()]
    threads = torch.get_num_threads()
    pool = _pool(len(functions), max(1, threads // len(functions)), threads, os.getpid())
    return list(pool.map(_without_gradients, functions))


def _without_gradients(function: Callable[[], Result]) -> Result:
    with torch.no_grad():
        return function()


@lru_cache(maxsize=4)
def _pool(workers: int, threads_each: int, threads: int, _process: int) -> ThreadPoolExecutor:
    """A pool whose threads run PyTorch's operations on ``threads_each`` cores; a forked process makes its own."""
    pool = ThreadPoolExecutor(workers, "slice", initializer=_use_threads, initargs=(threads_each,))
    started = threading.Barrier(workers + 1)
    for _ in range(workers):
        pool.submit(started.wait)
    started.wait()
    torch.set_num_threads(threads)  # the setting is each thread's own, but new threads inherit the latest
    return pool


def _use_threads(count: int) -> None:
    torch.get_num_threads()  # a new thread takes over the process's setting at its first use: let that be now
    torch.set_num_threads(count)
