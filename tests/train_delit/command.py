"""The command on a tiny light stage, and what a run of it stores."""

from pathlib import Path

import pytest
import torch

import train_delit as script
from src.tasks import delit_task, delit_training
from src.utils import checkpoint
from tests import tiny_runs

LATEST, BEST = "checkpoint_latest.pth", "checkpoint_best.pth"
SIZES = {"image_size": 32, "env_height": 8, "env_width": 16, "base_dim": 32}


def shorten(patch: pytest.MonkeyPatch) -> None:
    """Three steps an epoch, with relighting too, after a start from four batches."""
    patch.setattr(delit_training, "SAMPLES_PER_EPOCH", 6)
    patch.setattr(delit_task, "START_SAMPLES", 8)


def arguments(stage: Path, run: Path, relight: bool = False, **flags) -> list[str]:
    """``flags`` add to the arguments or replace them, None takes one out."""
    chosen = {"data_root": stage / "set", "output_dir": run, **SIZES, "batch_size": 2, "num_epochs": 2}
    chosen |= {"warmup_steps": 2, "num_workers": 0, "device": "cpu", "cache_dir": stage / "cache", "seed": 1}
    if relight:
        chosen |= {"olat_root": stage / "olat", "lambda_physical": 0.5}
    argv = []
    for name, value in (chosen | flags).items():
        if value is True:
            argv.append(f"--{name}")
        elif value is not None and value is not False:
            argv += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return argv


def train(stage: Path, run: Path, **flags) -> dict:
    assert script.main(arguments(stage, run, **flags)) == 0
    return stored(run)


def stored(run: Path, name: str = LATEST) -> dict:
    return checkpoint.read(run / name, "delit")


def assert_same_runs(ours: Path, theirs: Path) -> None:
    for name in (LATEST, BEST):
        one, other = stored(ours, name), stored(theirs, name)
        tiny_runs.assert_same_state(one, other)
        averages = (content.get("trained_parameters", []) for content in (one, other))
        assert all(torch.equal(a, b) for a, b in zip(*averages, strict=True))
