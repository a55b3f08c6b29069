"""A list of jobs done one after another or side by side; one that fails stops no other."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from tqdm import tqdm

from src.inference.work_list import Job
from src.utils.cli import InputError, describe_os_error
from src.utils.core_slices import run_parallel, worker_count

_MOST_READERS = 4  # threads that read and write pictures for one GPU


@dataclass
class Summary:
    """What became of the jobs; ``failed`` holds the reasons, each of which names its input."""

    done: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __add__(self, other: Summary) -> Summary:
        return Summary(self.done + other.done, self.skipped + other.skipped, self.failed + other.failed)

    def __str__(self) -> str:
        counts = f"{len(self.done)} done, {len(self.skipped)} skipped, {len(self.failed)} failed"
        if self.skipped:
            counts += " (skipped: finished earlier, --overwrite makes them again)"
        return "\n".join([counts, *(f"failed: {reason}" for reason in self.failed)])


def run_jobs(jobs: Sequence[Job], work: Callable[[Job], str], workers: int, show_progress: bool) -> Summary:
    """Call ``work(job) -> note`` for every job, ``workers`` at a time; notes are printed as they come.

    Whatever goes wrong with a job is recorded with its reason and stops no other; a bug keeps its traceback, on stderr.
    After Ctrl-C no job is begun.
    """
    summary, remaining = Summary(), iter(jobs)
    lock, stop = threading.Lock(), threading.Event()
    with tqdm(total=len(jobs), unit="input", disable=not show_progress or len(jobs) < 2) as bar:

        def work_on() -> None:
            for job in _shared(remaining, lock, stop):
                note = None
                try:
                    note = work(job)
                except InputError as error:
                    summary.failed.append(_with_name(job, error))
                except OSError as error:
                    summary.failed.append(_with_name(job, describe_os_error(error)))
                except Exception as error:
                    traceback.print_exc(file=sys.stderr)
                    summary.failed.append(f"{job.source}: {type(error).__name__}: {error}")
                if note is not None:
                    summary.done.append(job)
                    tqdm.write(f"{job.source}: {note}")
                with lock:
                    bar.update()

        try:
            run_parallel([work_on] * max(1, min(workers, len(jobs))))
        except BaseException:
            stop.set()
            raise
    return summary


def still_workers(device: torch.device) -> int:
    """How many pictures are worked on at a time: one per core, and enough to keep a GPU from waiting for files."""
    return worker_count(device) if device.type == "cpu" else min(_MOST_READERS, os.cpu_count() or 1)


def _shared(jobs: Iterator[Job], lock: threading.Lock, stop: threading.Event) -> Iterator[Job]:
    while not stop.is_set():
        with lock:
            job = next(jobs, None)
        if job is None:
            return
        yield job


def _with_name(job: Job, error: InputError) -> str:
    """The reason, beginning with the input's name where it is another file that the error is about."""
    return str(error) if str(error).startswith(str(job.source)) else f"{job.source}: {error}"
