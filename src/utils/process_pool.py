"""Subjects in parallel processes, with a progress bar."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from src.utils.cli import InputError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_parallel(task: Callable[[Any], str | None], jobs: Sequence[Any], workers: int, label: str) -> None:
    """Run ``task(job)`` for every job in spawned processes; a returned line of text is raised as an InputError."""
    from tqdm import tqdm

    problems: list[str] = []
    bar = tqdm(total=len(jobs), desc=label, unit="subject", disable=not jobs)
    if workers == 1 or len(jobs) < 2:
        for job in jobs:
            problems += filter(None, [task(job)])
            if problems:
                break
            bar.update()
    else:
        # Each process gets its share of the cores: numpy's and torch's own threads would fight over them.
        threads = str(max(1, (os.cpu_count() or 1) // workers))
        inherited = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, threads))
        try:
            with ProcessPoolExecutor(min(workers, len(jobs)), mp_context=get_context("spawn")) as pool:
                for future in as_completed([pool.submit(task, job) for job in jobs]):
                    if not future.cancelled():
                        problems += filter(None, [future.result()])
                        bar.update()
                    if problems:
                        pool.shutdown(wait=False, cancel_futures=True)
        finally:
            for name, value in inherited.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
    bar.close()
    if problems:
        raise InputError(*problems[0].split(": ", 1)) if ": " in problems[0] else InputError(label, problems[0])
