"""Tests of what a GPU computes. ``TEST_DEVICE=cpu`` runs them on the CPU, to test themselves."""

import os
import signal
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_portraits import write_pairs
from src.training.trainer import Trainer
from tests import tiny_runs


@pytest.fixture(scope="session")
def device() -> str:
    name = os.environ.get("TEST_DEVICE", "cuda")
    if name != "cpu" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return name


@pytest.fixture(scope="module")
def day(device, tmp_path_factory) -> Path:
    return tiny_runs.write_day(tmp_path_factory.mktemp("cuda") / "day", height=24, width=20)


@pytest.fixture(scope="module")
def pairs(device, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("cuda") / "pairs"
    write_pairs(root, 32)
    return root


@pytest.fixture
def stop_at(monkeypatch):
    """``stop_at(step)``: the next training is asked to stop in that step; ``stop_at(None)`` none is any more."""
    step_of = Trainer._train_step

    def set_step(at):
        def step(self, stream):
            step_of(self, stream)
            if self.step == at:
                signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Trainer, "_train_step", step)

    return set_step
