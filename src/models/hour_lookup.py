"""Interpolation between baked hours as a module that can be exported: tensors in, tensors out, no Python flow."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from src.utils.hour_interpolation import HOURS_PER_DAY, SNAP_HOURS, HourInterpolation


class HourLookup(nn.Module):
    """``hours`` (any shape) -> (first, second, share of the second), as :class:`HourInterpolation` does it."""

    starts: Tensor
    lengths: Tensor
    steps: Tensor

    def __init__(self, hours: Sequence[float], events: Sequence[float] = ()) -> None:
        super().__init__()
        starts, lengths, steps = HourInterpolation(hours, events).intervals()
        self.register_buffer("starts", torch.from_numpy(starts))
        self.register_buffer("lengths", torch.from_numpy(lengths))
        self.register_buffer("steps", torch.from_numpy(steps))

    def forward(self, hours: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hours = torch.remainder(hours.double(), HOURS_PER_DAY)
        count = self.starts.shape[0]
        # counted, as searchsorted has no counterpart in ONNX
        begun = (self.starts <= (hours + SNAP_HOURS).unsqueeze(-1)).sum(-1)
        first = torch.remainder(begun - 1, count)
        offset = torch.remainder(hours - self.starts[first] + SNAP_HOURS, HOURS_PER_DAY) - SNAP_HOURS
        offset = torch.where(offset.abs() < 2 * SNAP_HOURS, torch.zeros_like(offset), offset)
        faded = (offset / self.lengths[first]).clamp(0.0, 1.0)
        step = self.steps[first]
        stepped = ((offset > step - SNAP_HOURS) & (offset > 0)).to(faded.dtype)
        return first, torch.remainder(first + 1, count), torch.where(step.isnan(), faded, stepped)
