"""What the tasks of phases 1 and 3 share: batches of portraits that have names, and pairs to validate on."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from src.data.portrait.delit_dataset import DelitDataset
from src.tasks.portrait_validation import mean_measures
from src.training.distributed import Processes
from src.training.task import Task

FIGURE_COUNT = 6


class PortraitTask(Task):
    """``validation``: pairs of held-out subjects and environments; ``score`` is minus the loss on them."""

    unit = "images"

    def __init__(self, model: nn.Module, loss: nn.Module, validation: DelitDataset, processes: Processes) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.validation = validation
        self.processes = processes

    def samples(self, batch: Any) -> int:
        return len(batch)

    def describe(self, batch: Any) -> str:
        return ", ".join(batch.name)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Means of what :meth:`measure` says of the pairs, each over all that have it."""
        return mean_measures(self.measure, len(self.validation), self.processes)

    def measure(self, index: int) -> dict[str, float]:
        """Of one validation pair the loss's terms and what ``evaluate.py`` measures."""
        raise NotImplementedError

    def shown(self) -> list[int]:
        """Validation pairs whose pictures are shown: always the same, spread evenly."""
        count = min(FIGURE_COUNT, len(self.validation))
        return np.linspace(0, len(self.validation) - 1, count).round().astype(int).tolist()
