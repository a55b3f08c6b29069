"""How many channels a latent grid gets, and how fine they are: the closed-form start of every choice tells.

Few channels with fine steps or many with coarse ones can take the same memory; which is better differs from scene to
scene and with the budget. The temporal SVD of a sample, rounded and packed as at the end, takes a second at most: of
the numbers of channels every fourth is tried, then those near the best.

F2's hidden layers add nothing to that start; they are as wide as a small part of the budget pays for.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from src.data.lightmap_dataset import LightmapDataset
from src.models.grid.block_rounding import BlockLayout, packed_bytes, round_blocks
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import ROUNDING_PRICE
from src.models.grid.quantiser import Quantiser
from src.models.grid.temporal_svd import TemporalSvd, temporal_svd

CHANNELS = (1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64)
FIRST_STRIDE = 4  # of the numbers of channels that are tried
HIDDEN_F2 = (8, 16, 32)
F2_SHARE = 0.125  # of the budget: what F2's width may bring it to
SAMPLE_BLOCKS, LEAST_SAMPLE_BLOCKS = 2000, 400
BLOCKS_PER_SECOND = 20  # of a time budget
START_SIZE = 1.15  # of the budget: training makes latents smaller
LEAST_SCALE = 1.0 / 128.0
BISECTIONS = 5


class GridSize(NamedTuple):
    """``config`` with its channels, what its latents are scaled to at the start, and what that start brings."""

    config: GridConfig
    scale: float
    psnr_db: float
    fill: float = 1.0  # of the budget, what it was chosen for


def sample_blocks(time_budget_s: float | None) -> int:
    """How many blocks to choose by, so that choosing takes a small part of a time budget."""
    if time_budget_s is None:
        return SAMPLE_BLOCKS
    return max(LEAST_SAMPLE_BLOCKS, min(SAMPLE_BLOCKS, int(BLOCKS_PER_SECOND * time_budget_s)))


def choose_size(
    data: LightmapDataset, shape: GridConfig, budget_bytes: float, blocks: int = SAMPLE_BLOCKS
) -> GridSize | None:
    """The size that starts best in ``budget_bytes``, all that is resident; None where nothing fits.

    By a sample of ``blocks``. What a start brings rises with the number of channels up to the best, then falls.
    """
    trial = _Trial(data, blocks)
    channels = [count for count in CHANNELS if count <= 3 * len(shape.hours)]
    sizes: dict[int, GridSize] = {}  # by place in ``channels``
    stride, places = FIRST_STRIDE, list(range(0, len(channels), FIRST_STRIDE))
    while True:
        for place in places:
            size = trial.largest(shape.with_latent_dim(channels[place]), budget_bytes)
            if size is not None:
                sizes[place] = size
        if not sizes:  # not even the smallest fits
            return None
        best = max(sizes, key=lambda place: sizes[place].psnr_db)
        if stride == 1:
            return sizes[best]
        stride //= 2
        places = [place for place in (best - stride, best + stride) if 0 <= place < len(channels)]


def with_f2(config: GridConfig, most_bytes: float) -> GridConfig:
    """``config`` with the widest F2 of at most ``most_bytes``, or the narrowest."""
    choices = [replace(config, hidden_f2=width) for width in HIDDEN_F2]
    return max((c for c in choices if c.f2_bytes <= most_bytes), key=lambda c: c.hidden_f2, default=choices[0])


def least_bytes(data: LightmapDataset, shape: GridConfig) -> float:
    """What the smallest grid takes that :func:`choose_size` finds."""
    trial, config = _Trial(data, SAMPLE_BLOCKS), with_f2(shape.with_latent_dim(CHANNELS[0]), 0.0)
    latents = trial.size_bytes(trial.svd(CHANNELS[0]), LEAST_SCALE, shape.latent_bits)
    return latents + config.f2_bytes


class _Trial:
    """A sample of the data's blocks, and what a start makes of it."""

    def __init__(self, data: LightmapDataset, blocks: int) -> None:
        self._layout, texels = BlockLayout.of(data.mask).some(blocks)
        days = data.texels[texels]
        peak = days.amax(dim=(0, 2))
        self._lit = peak > 0
        self._days = (days / torch.where(self._lit, peak, 1.0)[:, None]).flatten(1)
        self._share = len(texels) / data.texel_count

    def largest(self, config: GridConfig, budget_bytes: float) -> GridSize | None:
        """The start with the finest steps that fits; None where none does."""
        if with_f2(config, 0.0).f2_bytes >= budget_bytes:
            return None
        svd = self.svd(config.latent_dim)
        smallest = self.size_bytes(svd, LEAST_SCALE, config.latent_bits)
        config = with_f2(config, min(F2_SHARE * budget_bytes, budget_bytes - smallest))
        if smallest > budget_bytes - config.f2_bytes:
            return None
        of_latents = START_SIZE * (budget_bytes - config.f2_bytes)
        low, high = math.log(LEAST_SCALE), 0.0
        if self.size_bytes(svd, 1.0, config.latent_bits) > of_latents:
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                fits = self.size_bytes(svd, math.exp(middle), config.latent_bits) <= of_latents
                low, high = (middle, high) if fits else (low, middle)
        else:
            low = 0.0
        return GridSize(config, math.exp(low), self.psnr_db(svd, math.exp(low), config.latent_bits))

    def svd(self, channels: int) -> TemporalSvd:
        return temporal_svd(self._days, channels)

    def size_bytes(self, svd: TemporalSvd, scale: float, bits: int) -> float:
        """Of the latents of all texels."""
        return packed_bytes(self._layout, self._codes(svd, scale, bits), bits) / self._share

    def psnr_db(self, svd: TemporalSvd, scale: float, bits: int) -> float:
        """The mean over lit hours."""
        _, basis = svd.in_equal_steps(scale)
        described = Quantiser(bits).to_value(self._codes(svd, scale, bits)) @ basis + svd.mean
        error = (described.clamp_min_(0.0) - self._days).square_().unflatten(1, (-1, 3)).mean(dim=(0, 2))[self._lit]
        return float(-10.0 * torch.log10(error.double().clamp_min(1e-20)).mean()) if len(error) else 0.0

    def _codes(self, svd: TemporalSvd, scale: float, bits: int) -> Tensor:
        return round_blocks(self._layout, svd.in_equal_steps(scale)[0], bits, ROUNDING_PRICE)
