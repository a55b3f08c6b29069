"""Everything that a CUDA machine has to show, in one run and one table.

  python -m benchmarks.gpu [--minutes 6] [--out results/gpu.tsv]

The tests that need CUDA; siren and grid training beside the plain loop; decoding at 1024 x 1024 and 4096 x 4096;
delighting's images/s at 256 and 512 with batches of 4 and 16 beside the plain DataLoader loop; inference; peak memory.
Each section is a process of its own with a share of the minutes: one that fails or takes too long leaves a line in the
table and the others go on. ``--device cpu`` runs the same with tiny sizes, to test this program.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from benchmarks.gpu_table import Row, format_rows, machine, write_table
from src.utils import cli

START_SECONDS = 60.0  # for a process to start and to end, beside its share


class Section(NamedTuple):
    module: str
    function: str  # called with the device's name, seconds, whether sizes are tiny, and what takes each row
    share: float  # of the time


SECTIONS = {
    "tests": Section("benchmarks.gpu_tests", "run_tests", 0.32),
    "siren": Section("benchmarks.gpu_lightmaps", "siren_training", 0.1),
    "grid": Section("benchmarks.gpu_lightmaps", "grid_training", 0.08),
    "decoding": Section("benchmarks.gpu_lightmaps", "decoding", 0.1),
    "delit": Section("benchmarks.gpu_portraits", "delit_training", 0.3),
    "inference": Section("benchmarks.gpu_portraits", "inference", 0.1),
}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--minutes", type=cli.positive_float, default=6.0, help="of all sections together")
    add("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="only these")
    add("--device", default="cuda", help="cuda, cuda:N, or cpu with tiny sizes")
    add("--out", type=Path, default=Path("results/gpu.tsv"), help="the table")
    return parser.parse_args(argv)


def run_section(name: str, device: str, seconds: float) -> list[Row]:
    """A section's rows; where it fails or does not end in time, the last one says so."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send_rows, args=(SECTIONS[name], device, seconds, sender))
    process.start()
    sender.close()
    rows, ends_at, has_ended = [], time.monotonic() + seconds + START_SECONDS, False
    try:
        while receiver.poll(max(0.0, ends_at - time.monotonic())):
            rows.append(receiver.recv())
            print(format_rows([rows[-1]]), flush=True)
    except EOFError:
        has_ended = True
    if not has_ended:
        process.kill()
        rows.append(Row(name, "", note=f"FAILED: not done after {seconds + START_SECONDS:.0f} s"))
    process.join()
    if has_ended and process.exitcode != 0:
        rows.append(Row(name, "", note=f"FAILED: the process ended with status {process.exitcode}"))
    return rows


def _send_rows(section: Section, device: str, seconds: float, sender: Connection) -> None:
    import torch

    run = getattr(importlib.import_module(section.module), section.function)
    has_gpu = device != "cpu"

    def send(row: Row) -> None:
        if has_gpu:
            row = row._replace(peak_memory_mb=torch.cuda.max_memory_allocated(device) / 1e6)
            torch.cuda.reset_peak_memory_stats(device)
        sender.send(row)

    try:
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            run(device, seconds, not has_gpu, send)
    except (Exception, SystemExit) as error:
        words = " ".join(f"{type(error).__name__}: {error}".split())
        sender.send(Row(section.function, "", note=f"FAILED: {words}"[:300]))
    sender.close()


def require_device(device: str) -> None:
    """Raise :class:`InputError` unless there is such a device."""
    from src.training.distributed import resolve_device

    try:
        resolve_device(device)
    except cli.InputError as error:
        raise cli.InputError(*error.args[:2], "run this where there is one, or with --device cpu") from None


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    require_device(arguments.device)
    words = [f"--minutes {arguments.minutes:g}"]
    words += [] if arguments.device == "cuda" else [f"--device {arguments.device}"]
    shares = sum(SECTIONS[name].share for name in arguments.sections)
    rows = []
    for name in arguments.sections:
        seconds = 60.0 * arguments.minutes * SECTIONS[name].share / shares
        rows += run_section(name, arguments.device, seconds)
        write_table(arguments.out, " ".join(["python -m benchmarks.gpu", *words]), machine(arguments.device), rows)
    failed = sum(row.note.startswith("FAILED") for row in rows)
    print(f"{len(rows)} rows in {arguments.out}" + (f", {failed} of them FAILED" if failed else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
