"""Tiny lightmaps and tiny runs of ``train.py`` on them, in this process and in others that can be killed."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import re
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.training.trainer import Trainer
from src.utils.checkpoint import read
from src.utils.image_io import write_display

HOURS = "0:24:6"
SIZES = {"latent_dim": 4, "hidden_f1": 8, "layers_f1": 2, "hidden_f2": 8, "layers_f2": 3, "time_harmonics": 2}


def smooth_frame(hour: float, height: int, width: int) -> np.ndarray:
    """A picture that changes smoothly over the surface and the day, H x W x 3 float32 in [0, 1]."""
    y, x = np.mgrid[0:height, 0:width]
    phase = 2 * np.pi * hour / 24
    channels = [np.sin(2 * np.pi * x / width + phase + c) * np.cos(np.pi * y / height + 0.5 * c) for c in range(3)]
    return (0.5 + 0.4 * np.stack(channels, axis=-1)).astype(np.float32)


def write_day(folder: Path, hours: int = 4, height: int = 10, width: int = 12, suffix: str = ".png") -> Path:
    """``hours`` pictures spread over the day, ``tod_0``, ``tod_1``, ..."""
    folder.mkdir(parents=True)
    for i in range(hours):
        write_display(folder / f"tod_{i}{suffix}", smooth_frame(i * 24 / hours, height, width))
    return folder


def train_arguments(data_dir: Path, run: Path, **flags: Any) -> list[str]:
    """Arguments of a run of 8 steps per epoch; ``flags`` add to them or replace them, None takes one out."""
    chosen = {"hours": HOURS, "device": "cpu", "epochs": 2, "save_every": 1, "batch_size": 60, **SIZES, **flags}
    argv = ["--data_dir", str(data_dir), "--out_dir", str(run)]
    for name, value in chosen.items():
        if value is True:
            argv.append(f"--{name}")
        elif value is not None and value is not False:
            argv += [f"--{name}", str(value)]
    return argv


def train(data_dir: Path, run: Path, **flags: Any) -> dict:
    """Train to the end in this process and read ``last.ckpt``."""
    import train as script

    assert script.main(train_arguments(data_dir, run, **flags)) == 0
    return last(run)


def last(run: Path) -> dict:
    return read(run / "last.ckpt", "lightmap")


def best(run: Path) -> dict:
    return read(run / "best.ckpt", "lightmap")


def assert_same_state(ours: dict, theirs: dict) -> None:
    """Bit for bit the same model, optimizer and place in the run (the seconds it took may differ)."""
    for name in ("step", "best_score", "validated_step", "identity", "scaler"):
        assert ours[name] == theirs[name], name
    _assert_equal(ours["model"], theirs["model"], "model")
    _assert_equal(ours["optimizer"], theirs["optimizer"], "optimizer")


def _assert_equal(ours: Any, theirs: Any, where: str) -> None:
    if isinstance(ours, torch.Tensor):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs), where
    elif isinstance(ours, dict):
        assert list(ours) == list(theirs), where
        for key, value in ours.items():
            _assert_equal(value, theirs[key], f"{where}.{key}")
    elif isinstance(ours, list | tuple):
        assert len(ours) == len(theirs), where
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            _assert_equal(a, b, f"{where}.{i}")
    else:
        assert ours == theirs, where


def one_error_line(stderr: str) -> str:
    """The only ``error:`` line; fails on a traceback or when anything else but warnings and progress is there."""
    assert "Traceback" not in stderr
    lines = [line for line in stderr.replace("\r", "\n").splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("error: ", "error (rank "))]
    rest = [line for line in lines if line not in errors and not re.search(r"\[\d\d:\d\d[<,]", line)]
    assert len(errors) == 1 and rest == [], stderr
    return errors[0]


def context() -> multiprocessing.context.BaseContext:
    """Processes that start with PyTorch loaded where the system can fork, else new ones."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    # PyTorch's optimizers import its compiler, which takes longest of all.
    modules = ["torch._dynamo", "torch.utils.tensorboard", "train", "src.tasks.siren_task", "src.export.siren"]
    context.set_forkserver_preload([*modules, "train_delit", "src.tasks.delit_training"])
    return context


def start(
    argv: list[str],
    log: Path | None = None,
    environment: dict[str, str] | None = None,
    setup: Any = None,
    script: str = "train",
):
    """``script.main(argv)`` in a process of its own, its stdout and stderr in ``log``; ``setup()`` is called first."""
    process = context().Process(target=_run, args=(argv, log, environment or {}, setup, script))
    process.start()
    return process


def _run(argv: list[str], log: Path | None, environment: dict[str, str], setup: Any, script: str) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    with (
        open(log or os.devnull, "w", encoding="utf-8") as stream,
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
    ):
        if setup is not None:
            setup()
        status = importlib.import_module(script).main(argv)
    sys.exit(status)


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C in this process while the step is computed."""
    train_step = Trainer._train_step

    def stop(self: Trainer, stream: Any) -> None:
        if self.step == step - 1:
            signal.raise_signal(signal.SIGINT)
        train_step(self, stream)

    monkeypatch.setattr(Trainer, "_train_step", stop)


def die_at_call(count: int, first: str | None = None) -> None:
    """Kill this process at the ``count``-th call that the project's own code makes, as a power cut would.

    With ``first`` calls count from that of a function so called on. Moments are dealt by what is done, not by a clock,
    and are the same on every machine: between two steps, in the middle of a checkpoint, before a file is renamed.
    """
    own_code = str(Path(__file__).resolve().parents[1] / "src")
    counts, done = first is None, 0

    def watch(frame: Any, event: str, _: object) -> None:
        nonlocal counts, done
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(own_code):
            counts = counts or frame.f_code.co_name == first
            done += counts
            if done == count:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)


def ranks(count: int) -> list[dict[str, str]]:
    """The environment that ``torchrun`` gives each of ``count`` processes on this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [
        {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        for rank in range(count)
    ]


def scalars(run: Path, name: str) -> list[float]:
    """The values of one TensorBoard scalar in the order of their steps."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    return [event.value for event in events.Scalars(name)]
