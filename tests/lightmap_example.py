"""A small day of HDR lightmaps for tests: two charts, a sun whose shadow moves, a lamp that switches at 6 and 18."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from src.data.lightmap_dataset import LightmapDataset
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid

HOURS = (0.0, 3.0, 5.9, 6.0, 9.0, 12.0, 15.0, 18.0, 18.1, 21.0)


def example_frames(height: int = 40, width: int = 48) -> tuple[np.ndarray, np.ndarray]:
    """Radiance T x H x W x 3 at ``HOURS``, 0 where invalid, and the mask H x W."""
    y, x = np.mgrid[:height, :width]
    mask = (x % (width // 2) > 1) & (y > 1)
    frames = np.empty((len(HOURS), height, width, 3), np.float32)
    for t, hour in enumerate(HOURS):
        sun = max(0.0, np.sin((hour - 6.0) / 12.0 * np.pi)) if 6.0 <= hour <= 18.0 else 0.0
        shadow = 1.0 / (1.0 + np.exp(x - width * (hour - 6.0) / 12.0 - 4.0 * np.sin(0.3 * y)))
        lamp = (not 6.0 <= hour <= 18.0) * np.exp(-((x - 10.0) ** 2 + (y - 20.0) ** 2) / 90.0)
        frames[t] = (0.02 + 0.1 * sun + 3.0 * sun * shadow)[..., None] * np.array([1.0, 0.9, 0.7])
        frames[t] += (0.3 * lamp)[..., None] * np.array([1.0, 0.5, 0.2])
    frames[:, ~mask] = 0.0
    return frames, mask


def dataset_of(frames: np.ndarray, mask: np.ndarray, hours: Sequence[float]) -> LightmapDataset:
    """Radiance in memory, T x H x W x 3 within ``mask`` H x W, as a dataset."""
    texels = torch.from_numpy(np.ascontiguousarray(frames[:, mask].swapaxes(0, 1)))
    return LightmapDataset(texels, torch.from_numpy(mask), hours, is_radiance=True)


def example_dataset() -> LightmapDataset:
    return dataset_of(*example_frames(), HOURS)


def started_grid(
    latent_dim: int = 8, latent_bits: int = 8, coarse: tuple[tuple[int, int], ...] = (), blocks: bool = False
) -> tuple[LatentGrid, np.ndarray]:
    """The example's grid as it is before training, and its true frames."""
    data = example_dataset()
    torch.manual_seed(0)
    config = GridConfig(data.height, data.width, HOURS, (6.0, 18.0), latent_dim, latent_bits, coarse=coarse)
    grid = LatentGrid(replace(config, blocks=blocks), data.mask)
    grid.start_from(data.texels)
    for table in grid.coarse:
        torch.nn.init.uniform_(table, -1.0, 1.0)
    if coarse:
        torch.nn.init.normal_(grid.f2_weights.hour_weight[latent_dim : config.z_dim].detach(), std=0.02)
    return grid, example_frames()[0]
