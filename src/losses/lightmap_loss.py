"""The lightmap compressor's loss."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor


def lightmap_loss(predicted: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Mean squared error over all values, equal shapes, colours in [0, 1] -> ``{"loss": scalar}``."""
    return {"loss": F.mse_loss(predicted, target)}


def psnr_db(mean_squared_error: float, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio; infinite for a perfect match."""
    return math.inf if mean_squared_error == 0 else 10.0 * math.log10(peak * peak / mean_squared_error)
