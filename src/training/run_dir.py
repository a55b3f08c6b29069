"""A run's folder: whether a run may begin in it, and what it records of itself."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from src.training.checkpoints import BEST, FILE_NAMES, LAST
from src.training.distributed import Processes
from src.training.logger import write_run_config
from src.utils.cli import InputError


def open_run_dir(
    run_dir: Path,
    arguments: argparse.Namespace,
    data: dict,
    processes: Processes,
    file_names: Mapping[str, str] = FILE_NAMES,
) -> None:
    """Make ``run_dir`` ready: empty it with ``--overwrite``, refuse a run that is there with ``--resume never``.

    Half-written checkpoints that a killed run left behind are removed. A new run's ``config.json`` is written; a run
    that goes on keeps its own. Only the main process looks and writes; where it fails, all do.
    """
    checkpoints = [run_dir / file_names[which] for which in (LAST, BEST)]
    processes.on_main(lambda: _make_ready(run_dir, arguments, data, checkpoints))


def _make_ready(run_dir: Path, arguments: argparse.Namespace, data: dict, checkpoints: Sequence[Path]) -> None:
    for checkpoint in checkpoints:
        for path in run_dir.glob(f".{checkpoint.stem}.*.tmp{checkpoint.suffix}"):
            path.unlink(missing_ok=True)
    if arguments.overwrite:
        for path in checkpoints:
            path.unlink(missing_ok=True)
        for folder in ("logs", "search"):
            shutil.rmtree(run_dir / folder, ignore_errors=True)
    if not checkpoints[0].exists():
        write_run_config(run_dir, vars(arguments), data)
    elif arguments.resume == "never":
        raise InputError(run_dir, "already holds a run", "choose another folder, --resume auto or --overwrite")
