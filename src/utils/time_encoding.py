"""The hour of the day as Fourier features."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from src.utils.hour_interpolation import HOURS_PER_DAY


def time_features(hours: Tensor, harmonics: int) -> Tensor:
    """``[sin(2 pi k t / 24), cos(2 pi k t / 24)]`` for k = 1..``harmonics``.

    ``hours`` has any shape, in hours with period 24 (24 gives exactly what 0 gives); the result has one more
    dimension of ``2 * harmonics`` values in [-1, 1], ordered sin 1, cos 1, sin 2, cos 2, ...
    Fourier features: Tancik et al., NeurIPS 2020.
    """
    turns = torch.remainder(hours, HOURS_PER_DAY) / HOURS_PER_DAY
    order = torch.arange(1, harmonics + 1, dtype=hours.dtype, device=hours.device)
    angles = (2.0 * math.pi) * (turns.unsqueeze(-1) * order)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
