"""How wrong the flat-lit picture is expected to be, pixel by pixel."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.layers import enlarge

USUAL_ERROR = 0.15  # nepers; before training it is expected everywhere
SMALLEST_ERROR, LARGEST_ERROR = 0.02, 4.0
_DARK_SKIN = 0.01  # flat-lit radiance; below, relative errors count less
_SMALLEST_COVERAGE = 1e-6  # pixels


class FlatErrorHead(nn.Module):
    """Features N x C x H x W and K log answers N x 3 x H x W -> expected error N x 1 x H x W, in nepers.

    The error is that of :func:`log_flat_error`. Answers that contradict one another are the best sign of it. Nothing
    but this head learns from it.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = max(channels // 2, 8)
        self.hidden = nn.Conv2d(channels + 3, width, 3, padding=1)
        self.to_log_error = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.to_log_error.weight)
        assert self.to_log_error.bias is not None
        nn.init.constant_(self.to_log_error.bias, math.log(USUAL_ERROR))

    def forward(self, features: Tensor, answers: list[Tensor], log_flat: Tensor) -> Tensor:
        differences = [(answer - log_flat).abs().mean(1, keepdim=True) for answer in answers]
        x = torch.cat([features, *differences], dim=1).detach()  # N x C + 3 x H x W
        x = F.silu(self.hidden(F.avg_pool2d(x, 2)))  # N x C/2 x H/2 x W/2
        log_error = enlarge(self.to_log_error(x), features.shape[-2:]).float()  # N x 1 x H x W
        return torch.exp(log_error.clamp(math.log(SMALLEST_ERROR), math.log(LARGEST_ERROR)))


def log_flat_error(predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """N x 1 x H x W: absolute difference of log flat-lit, mean over colours, but for brightness within the mask."""
    difference = torch.log(predicted + _DARK_SKIN) - torch.log(true + _DARK_SKIN)
    total = (3 * mask.sum((1, 2, 3), keepdim=True)).clamp_min(_SMALLEST_COVERAGE)
    offset = (difference * mask).sum((1, 2, 3), keepdim=True) / total
    return (difference - offset).abs().mean(1, keepdim=True)
