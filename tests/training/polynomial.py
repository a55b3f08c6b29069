"""A task without images, a polynomial fitted to points, and trainers for it."""

import signal

import numpy as np
import pytest
import torch
from torch import nn

from src.training.distributed import Processes
from src.training.task import Task
from src.training.trainer import FILE_NAMES, Interrupted, Trainer, TrainerOptions
from src.utils import checkpoint
from src.utils.seeding import generator

ALONE = Processes(0, 1, torch.device("cpu"))
IDENTITY = {"arguments": {"seed": 1, "rate": 0.1}, "data": {}}


class Points:
    """Batches as a function of (epoch, index)."""

    def __init__(self, steps_per_epoch=5, size=8):
        self.steps_per_epoch = steps_per_epoch
        self.size = size

    def epoch(self, epoch, start):
        draws = [torch.rand(self.size, 1, generator=generator(1, epoch, i)) for i in range(self.steps_per_epoch)]
        yield from draws[start:]


class Fit(Task):
    kind = "fit"
    unit = "points"

    def __init__(self, after_step=None):
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1))
        self.after_step = after_step
        self.calls = 0

    def forward(self, batch):
        self.calls += 1
        if self.after_step is not None:
            self.after_step(self.calls)
        error = self.model(batch).float() - batch**2
        return {"loss": error.square().mean(), "worst": error.detach().abs().max()}

    def samples(self, batch):
        return len(batch)

    def describe(self, batch):
        return f"{len(batch)} points"

    @torch.no_grad()
    def validate(self):
        x = torch.linspace(0, 1, 50)[:, None]
        return {"score": -float((self.model(x) - x**2).square().mean())}

    def figures(self):
        return {"fit": np.zeros((4, 4, 3), np.float32)}

    def model_config(self):
        return {}


def make(run_dir, task=None, batches=None, identity=IDENTITY, rate=0.1, file_names=FILE_NAMES, **options):
    task = task or Fit()
    optimizer = torch.optim.Adam(task.parameters(), lr=rate, fused=True)
    chosen = TrainerOptions(**{"epochs": 4, "save_every": 2, "warmup_steps": 3, **options})
    return Trainer(
        task,
        optimizer,
        batches or Points(),
        ALONE,
        run_dir,
        options=chosen,
        identity=identity,
        file_names=file_names,
    )


def stored(trainer, which="last"):
    content = checkpoint.read(trainer.path(which), "fit")
    content.pop("seconds")
    return content


def assert_same(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list):
        for ours, theirs in zip(a, b, strict=True):
            assert_same(ours, theirs)
    elif isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    else:
        assert a == b


def interrupted_and_continued(run_dir, at, **options):
    """The trainer that ended a run which was interrupted in the ``at``-th batch."""
    task = Fit(after_step=lambda call: signal.raise_signal(signal.SIGINT) if call == at else None)
    with pytest.raises(Interrupted):
        make(run_dir, task, **options).fit()
    trainer = make(run_dir, **options)
    assert trainer.resume()
    trainer.fit()
    return trainer
