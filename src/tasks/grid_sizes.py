"""How a latent grid spends its memory: on channels at full resolution, or on coarser ones that blocks of texels share.

What varies slowly over a wall is dear at full resolution, what is sharp cannot be coarse, and how much of either there
is differs from scene to scene and with the budget. The closed-form start of every choice takes seconds and tells.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from src.data.lightmap_dataset import LightmapDataset
from src.models.grid.config import GridConfig, largest_latent_dim, resident_bytes
from src.models.grid.latent_grid import LatentGrid

# (stride, channels) beside the channels at full resolution.
COARSE_CHOICES = ((), ((2, 4),), ((4, 8),), ((4, 16),), ((2, 6), (4, 8)), ((2, 8), (4, 24)))
SAMPLE_TEXELS = 1 << 18  # of larger maps, bands of rows are tried
BAND_ROWS = 64
MARGIN_DB = 5.0  # coarser latents that start three ahead end level, in a larger file; nine ahead, they end two ahead


def choose_sizes(data: LightmapDataset, shape: GridConfig, budget_bytes: float) -> GridConfig | None:
    """``shape`` with the channels that start best in ``budget_bytes``; None when not one channel fits."""
    fitting = []
    for choice in _choices(shape):
        config = choice.with_latent_dim(largest_latent_dim(budget_bytes, data.mask, choice))
        if config.latent_dim > 0 and config not in fitting:  # a day of few hours has no use for many channels
            fitting.append(config)
    if len(fitting) < 2:
        return next(iter(fitting), None)
    texels, mask = _sample(data)
    scores = [start_psnr_db(config, texels, mask) - (MARGIN_DB if config.coarse else 0.0) for config in fitting]
    return fitting[scores.index(max(scores))]


def least_resident_bytes(data: LightmapDataset, shape: GridConfig) -> int:
    """The smallest budget in which :func:`choose_sizes` finds a place for a channel."""
    return min(resident_bytes(choice.with_latent_dim(1), data.mask) for choice in _choices(shape))


def _choices(shape: GridConfig) -> list[GridConfig]:
    """``shape`` with each of the coarser levels that are tried."""
    most = 3 * len(shape.hours)
    return [replace(shape, coarse=tuple(level for level in levels if level[1] <= most)) for levels in COARSE_CHOICES]


@torch.no_grad()
def start_psnr_db(config: GridConfig, texels: Tensor, mask: Tensor) -> float:
    """PSNR of the closed-form start with rounded latents, mean over hours; ``texels`` N x T x 3 of ``mask`` H x W."""
    model = LatentGrid(config, mask)
    model.start_from(texels)
    squared, count = texels.new_zeros(len(config.hours), dtype=torch.float64), 0
    for first in range(0, len(texels), SAMPLE_TEXELS // 16):
        part = slice(first, first + SAMPLE_TEXELS // 16)
        error = model(model.rounded(model.z(part))).clamp_min(0.0) - texels[part] / model.frame_scale[:, None]
        squared += error.square().mean(dim=2).sum(dim=0, dtype=torch.float64)
        count += len(error)
    lit = texels.amax(dim=(0, 2)) > 0
    return float(-10.0 * torch.log10((squared[lit] / count).clamp_min(1e-20)).mean()) if lit.any() else math.inf


def _sample(data: LightmapDataset) -> tuple[Tensor, Tensor]:
    """Texels and mask of enough whole bands of rows, evenly spread."""
    every = -(-data.texel_count // SAMPLE_TEXELS)
    band = torch.arange(data.height, device=data.device) // BAND_ROWS
    kept = data.mask & (band % every == every // 2).unsqueeze(1)
    if every == 1 or not kept.any():
        return data.texels, data.mask
    return data.texels[kept[data.mask]], kept
