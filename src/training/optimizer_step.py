"""One step of the optimizer: batches accumulated, mixed precision, clipped gradients, one process or many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from src.training.distributed import Processes
from src.training.finite_guard import FiniteGuard
from src.training.meter import Meter
from src.training.options import TrainerOptions
from src.training.task import Task

AMP_TYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class OptimizerStep:
    """``scaler`` keeps the gradients of half floats from vanishing; its state belongs to the run's."""

    def __init__(
        self, task: Task, optimizer: torch.optim.Optimizer, processes: Processes, options: TrainerOptions
    ) -> None:
        self._task, self._optimizer, self._processes, self._options = task, optimizer, processes, options
        self._base_rates = [group["lr"] for group in optimizer.param_groups]
        self._amp_type = AMP_TYPES[options.amp]
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=options.amp == "fp16")
        self._ddp: DistributedDataParallel | None = None

    def wrap(self) -> None:
        """Ready the task for several processes, which all get the main one's model, and for the compiler."""
        module: nn.Module = self._task
        if self._processes.count > 1:
            ids = [self._processes.device.index] if self._processes.device.type == "cuda" else None
            module = self._ddp = DistributedDataParallel(
                module, device_ids=ids, find_unused_parameters=self._task.skips_parameters
            )
        self._forward = torch.compile(module) if self._options.compile else module

    def take(self, stream: Iterator, step: int, rate_factor: float, meter: Meter, guard: FiniteGuard) -> None:
        """Step ``step``, with the next batches of ``stream``."""
        for group, base in zip(self._optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = base * rate_factor
        self._task.train()
        self._optimizer.zero_grad(set_to_none=True)
        count = self._options.accumulate_steps
        for k in range(count):
            batch = meter.next_batch(stream)
            terms = self._backward(batch, 1.0 / count, is_last=k == count - 1)
            guard.watch(terms["loss"], step)
            meter.add(terms, 1.0 / count, self._task.samples(batch))
        if self._options.clip_grad is not None:
            self.scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._task.parameters(), self._options.clip_grad)
        self.scaler.step(self._optimizer)
        self.scaler.update()

    def _backward(self, batch: Any, share: float, is_last: bool) -> dict[str, torch.Tensor]:
        """Add the gradients of ``share`` of a batch's loss; processes exchange theirs after the last."""
        is_mixed = self._amp_type is not None
        with self._ddp.no_sync() if self._ddp is not None and not is_last else nullcontext():
            with torch.autocast(self._processes.device.type, self._amp_type, enabled=is_mixed):
                terms = self._forward(batch)
            self.scaler.scale(terms["loss"] * share).backward()
        return terms
