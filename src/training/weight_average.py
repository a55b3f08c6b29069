"""An exponential moving average of a model's parameters (Polyak averaging)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """``average = decay * average + (1 - decay) * parameters`` after each step.

    Early on the decay is ``(1 + step) / (10 + step)``, so that the initial weights are soon forgotten. Buffers are not
    averaged.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._averages = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """``step``: optimizer steps done."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._averages, [parameter.detach() for parameter in self._parameters], 1 - decay)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The model has the averaged parameters within the block."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's parameters and their averages."""
        for parameter, average in zip(self._parameters, self._averages, strict=True):
            held = parameter.clone()
            parameter.copy_(average)
            average.copy_(held)

    @torch.no_grad()
    def restart(self) -> None:
        """Begin again from the parameters as they are."""
        torch._foreach_copy_(self._averages, [parameter.detach() for parameter in self._parameters])

    def state(self) -> list[torch.Tensor]:
        return self._averages

    @torch.no_grad()
    def load_state(self, averages: list[torch.Tensor]) -> None:
        torch._foreach_copy_(self._averages, averages)
