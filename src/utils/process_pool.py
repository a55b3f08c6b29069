"""The same task for many jobs in parallel processes, with a progress bar."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from src.utils.cli import InputError, show_any_text

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_MOST_ON_WINDOWS = 61  # that one process can wait for
Job = TypeVar("Job")


def run_in_processes(
    task: Callable[[Job], None], jobs: Sequence[Job], workers: int, label: str, unit: str = "subject"
) -> list[InputError]:
    """Call ``task(job)`` for every job, ``workers`` at a time in spawned processes; one worker is this process.

    An InputError is about its own job: the others are done, and all such errors returned, in the order of the jobs.
    Anything else that a task raises is raised as it is, once the tasks under way have ended; no further one is begun.
    A process that is killed is an InputError about ``--workers``.
    """
    from tqdm import tqdm

    errors: dict[int, InputError] = {}
    with tqdm(total=len(jobs), desc=label, unit=unit, disable=not jobs) as bar:
        if workers == 1 or len(jobs) < 2:
            for index, job in enumerate(jobs):
                try:
                    task(job)
                except InputError as error:
                    errors[index] = error
                bar.update()
        else:
            processes = process_count(workers, len(jobs))
            context = get_context("spawn")
            with _shared_cores(processes), ProcessPoolExecutor(processes, context, _begin) as pool:
                indices = {pool.submit(_run_task, task, job): index for index, job in enumerate(jobs)}
                try:
                    for future in as_completed(indices):
                        try:
                            future.result()
                        except InputError as error:
                            errors[indices[future]] = error
                        bar.update()
                except BrokenProcessPool as error:
                    problem = "a process was ended from outside, as the system does where memory runs out"
                    raise InputError("--workers", problem, "give fewer, and run the same command again") from error
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
    return [error for _, error in sorted(errors.items())]


def process_count(workers: int, jobs: int, platform: str = sys.platform) -> int:
    """How many processes are started for ``jobs`` when ``workers`` are wanted."""
    return min(workers, jobs, *([_MOST_ON_WINDOWS] if platform == "win32" else []))


@contextmanager
def _shared_cores(processes: int) -> Iterator[None]:
    """Each new process gets its share of the cores: numpy's and torch's own threads would fight over them.

    They read these variables when they are imported, which is before any code of ours runs there.
    """
    inherited = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, str(max(1, (os.cpu_count() or 1) // processes))))
    try:
        yield
    finally:
        for name, value in inherited.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    show_any_text()


def _run_task(task: Callable[[Job], None], job: Job) -> None:
    """Ctrl-C ends the task, which then cleans up, but says nothing of its own when there is none."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        task(job)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
