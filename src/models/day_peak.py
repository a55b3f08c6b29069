"""How bright a day gets, for previews: a percentile, so that a few hot texels do not darken all the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from src.utils.seeding import generator
from src.utils.texel_grid import texel_xy

QUANTILE = 0.995  # of the lit texels of the brightest hour; of ordinary days the largest value is 1 to 6 % above it
SAMPLE_TEXELS = 8192


@torch.no_grad()
def day_peak(
    decode: Callable[[Tensor, float], Tensor], hours: Sequence[float], height: int, width: int, device: torch.device
) -> float:
    """The brightest channel's 99.5th percentile at the brightest of ``hours``; 1 for a black day.

    ``decode`` takes ``xy`` N x 2 in [-1, 1] and an hour and gives N x 3; it is asked for the same scattered texels at
    every hour. Texels that are 0 are left out, as invalid ones are.
    """
    texels = torch.randint(height * width, (SAMPLE_TEXELS,), generator=generator(0))
    xy = texel_xy(texels, height, width).to(device)
    peak = 0.0
    for hour in hours:
        brightness = decode(xy, hour).amax(dim=1)
        lit = brightness[brightness > 0]
        if len(lit):
            peak = max(peak, float(torch.quantile(lit.float(), QUANTILE)))
    return peak or 1.0
