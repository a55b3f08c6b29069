"""Losses and parameters that are not finite, noticed without waiting for the device at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from src.training.task import Batches, Task
from src.utils.cli import InputError


class FiniteGuard:
    """Remembers, on the device, the first step whose loss was not finite."""

    def __init__(self, task: Task, batches: Batches, accumulate_steps: int, device: torch.device) -> None:
        self._task, self._batches, self._accumulate_steps = task, batches, accumulate_steps
        self._first_bad_step = torch.full((), -1, dtype=torch.int64, device=device)

    @torch.no_grad()
    def watch(self, loss: Tensor, step: int) -> None:
        is_first = ~torch.isfinite(loss) & (self._first_bad_step < 0)
        self._first_bad_step = torch.where(is_first, step, self._first_bad_step)

    def check(self, step: int, remedy: str) -> None:
        """Before ``step``: raise :class:`InputError` that names the first bad step and what was in its batches."""
        bad_step = int(self._first_bad_step)
        if bad_step < 0:
            # The loss shows a bad step only in the next one, and in the batch of one process only.
            # Extremes take no memory beside the parameters, and are not finite where one of them is not.
            extremes = (torch.stack(p.detach().aminmax()) for p in self._task.parameters() if p.numel())
            if not all(bool(pair.isfinite().all()) for pair in extremes):
                raise InputError("model", f"its parameters are not finite after step {step - 1}", remedy)
            return
        epoch, index = divmod(bad_step, self._batches.steps_per_epoch // self._accumulate_steps)
        stream = self._batches.epoch(epoch, index * self._accumulate_steps)
        names = "; ".join(self._task.describe(next(stream)) for _ in range(self._accumulate_steps))
        raise InputError("loss", f"not finite at step {bad_step} (batch: {names})", remedy)
