"""What the engine asks of a system: a task that turns batches into named terms, and the batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from torch import Tensor, nn

Report = Callable[[int, int], None]  # of work done and in all, in pieces of any kind


class Task(nn.Module):
    """What is trained: holds the model; a subclass says how a batch becomes a loss."""

    kind: str  # the checkpoint's kind
    skips_parameters: bool = False  # whether there are batches that not all parameters have a part in
    unit: str = "samples"  # what :meth:`samples` counts
    preparation: str = "preparing"  # what :meth:`prepare` does, beside its bar
    closing: float = 0.0  # what comes after the last step takes about so many times as long as :meth:`prepare`
    model: nn.Module  # what checkpoints store
    step: int = 0  # of the training, set by the trainer before each step
    progress: float = 0.0  # share of the training done before this step

    def forward(self, batch: Any) -> dict[str, Tensor]:
        """Named scalar terms of one batch, ``loss`` among them, each a mean over the batch."""
        raise NotImplementedError

    def prepare(self, batches: Batches, report: Report) -> None:
        """Work before the first step of a new run, such as a first guess in closed form; a continued run has it.

        It counts in the time budget. ``report(done, total)`` after each piece of work moves a bar, and raises where the
        run was asked to stop. Called on every process; all go on with what the main one made of the model.
        """

    def samples(self, batch: Any) -> int:
        """How many samples a batch holds, for the rate."""
        raise NotImplementedError

    def describe(self, batch: Any) -> str:
        """Names what is in a batch, for the message about a loss that is not finite."""
        raise NotImplementedError

    def validate(self) -> dict[str, float]:
        """Named measures on held-out or full data; ``score`` among them, higher is better. Every rank gets the same."""
        raise NotImplementedError

    def figures(self) -> dict[str, np.ndarray]:
        """Named pictures H x W x 3 in [0, 1] of the current state, for TensorBoard. Called on the main process."""
        return {}

    def model_config(self) -> dict:
        """Plain types from which the model is built anew without any flag."""
        raise NotImplementedError


class Batches(Protocol):
    """Batches as a function of the epoch and their index alone."""

    steps_per_epoch: int

    def epoch(self, epoch: int, start: int) -> Iterator[Any]:
        """This process's batches of an epoch from the ``start``-th on."""
        ...
