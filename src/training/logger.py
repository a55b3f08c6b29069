"""What a run tells: a progress bar, TensorBoard files under ``logs/``, and ``config.json``."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from src.utils.atomic import atomic_path
from src.utils.cli import describe_os_error


class Logger:
    """Writes nothing unless ``is_main``. ``total`` counts optimizer steps; None when only the time is limited.

    Every call raises :class:`InputError` when the disk refuses what is told, or was told before.
    """

    def __init__(self, run_dir: Path, is_main: bool, total: int | None, first_step: int) -> None:
        self._writer = None
        self._folder = run_dir / "logs"
        self._hook = threading.excepthook
        if is_main:
            from torch.utils.tensorboard import SummaryWriter

            with self._one_line():
                self._writer = SummaryWriter(str(self._folder), purge_step=first_step or None)
            threading.excepthook = self._on_thread_error
        self._bar = tqdm(
            total=total, initial=first_step, unit="step", disable=not is_main, dynamic_ncols=True, mininterval=0.5
        )

    def advance(self, steps: int = 1) -> None:
        self._bar.update(steps)

    def status(self, **values: str) -> None:
        """What stands at the end of the progress bar."""
        self._bar.set_postfix(values, refresh=False)

    def scalars(self, step: int, values: dict[str, float]) -> None:
        if self._writer is not None:
            with self._one_line():
                for name, value in values.items():
                    self._writer.add_scalar(name, value, step)

    def image(self, step: int, name: str, image: np.ndarray) -> None:
        """``image`` is H x W x 3 in [0, 1], as displayed."""
        if self._writer is not None:
            with self._one_line():
                self._writer.add_image(name, np.clip(image, 0.0, 1.0), step, dataformats="HWC")

    def close(self) -> None:
        self._bar.close()
        if self._writer is not None:
            try:
                with self._one_line():
                    self._writer.close()
            finally:
                threading.excepthook = self._hook

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise describe_os_error(error, self._folder) from error

    def _on_thread_error(self, failure: threading.ExceptHookArgs) -> None:
        """What TensorBoard's own thread could not write the next call raises again: no traceback in between."""
        if not (isinstance(failure.exc_value, OSError) and type(failure.thread).__module__.startswith("tensorboard")):
            self._hook(failure)


class PreparationBar:
    """The bar of the work before the first step; it appears with the first report."""

    def __init__(self, label: str, is_main: bool) -> None:
        self._label, self._is_main = label, is_main
        self._bar: tqdm | None = None

    @property
    def was_shown(self) -> bool:
        return self._bar is not None

    def report(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = tqdm(desc=self._label, total=total, disable=not self._is_main, leave=False, dynamic_ncols=True)
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def write_run_config(run_dir: Path, arguments: dict, description: dict) -> None:
    """``config.json``: every argument, what the data is, versions, the code's git commit, the command line."""
    content = {
        "arguments": arguments,
        "data": description,
        "command": sys.argv,
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "git_commit": git_commit(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
        "platform": platform.platform(),
    }
    with atomic_path(run_dir / "config.json") as temporary:
        temporary.write_text(json.dumps(content, indent=2, default=str) + "\n", encoding="utf-8")


def git_commit() -> str | None:
    """Of this code, where it lies in a git checkout."""
    try:
        result = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).resolve().parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
