"""How wrong the flat-lit picture is expected to be, pixel by pixel."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.layers import enlarge

USUAL_ERROR = 0.15  # nepers; before training it is expected everywhere
SMALLEST_ERROR, LARGEST_ERROR = 0.02, 4.0


class FlatErrorHead(nn.Module):
    """Features N x C x H x W and K log answers N x 3 x H x W -> expected error N x 1 x H x W, in nepers.

    The error is the absolute difference of log radiance to the truth, mean over colours, but for the picture's overall
    brightness. Answers that contradict one another are the best sign of it. Nothing but this head learns from it.
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
