"""Two processes as on two machines: each has a working folder of its own, and nothing else in common."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from src.training.distributed import Processes, processes
from src.utils import cli
from tests import tiny_runs

SECONDS = 60.0  # in which every test's processes must have ended


class Ended(NamedTuple):
    status: int
    output: str
    errors: str

    def error_line(self) -> str:
        assert self.status == 2, self
        return tiny_runs.one_error_line(self.errors)


def run_nodes(folder: Path, work: Callable[[Processes], None], count: int = 2, device: str = "cpu") -> list[Ended]:
    """``work`` on every process, in ``folder / "node<rank>"``; its errors are met as a script's are."""
    started = []
    for rank, environment in enumerate(tiny_runs.ranks(count)):
        node = folder / f"node{rank}"
        node.mkdir(exist_ok=True, parents=True)
        process = tiny_runs.context().Process(target=_run, args=(node, environment, work, device))
        process.start()
        started.append(process)
    for process in started:
        process.join(SECONDS)
    hang = [rank for rank, process in enumerate(started) if process.is_alive()]
    for rank in hang:
        started[rank].kill()
    ended = [
        Ended(process.exitcode, *((folder / f"node{rank}.{name}").read_text("utf-8") for name in ("out", "err")))
        for rank, process in enumerate(started)
    ]
    assert not hang, ended
    return ended


def _run(node: Path, environment: dict[str, str], work: Callable[[Processes], None], device: str) -> None:
    os.environ.update(environment)
    os.chdir(node)
    torch.set_num_threads(1)

    @cli.script
    def main(_argv: object = None) -> int:
        with processes(device) as group:
            work(group)
        return 0

    with (
        open(node.with_suffix(".out"), "w", encoding="utf-8") as output,
        open(node.with_suffix(".err"), "w", encoding="utf-8") as errors,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        status = main()
    sys.exit(status)
