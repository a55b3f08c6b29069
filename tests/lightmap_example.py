"""A small day of HDR lightmaps for tests: two charts, a sun whose shadow moves, a lamp that switches at 6 and 18."""

from __future__ import annotations

import numpy as np
import torch

from src.data.lightmap.texels import LightmapTexels
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid

HOURS = (0.0, 3.0, 5.9, 6.0, 9.0, 12.0, 15.0, 18.0, 18.1, 21.0)


class ExampleLightmap:
    """What :func:`src.data.lightmap.sources.open_lightmaps` gives for a folder, without the folder."""

    name = "example"
    is_radiance = True

    def __init__(self, height: int = 40, width: int = 48) -> None:
        self.height, self.width, self.hours = height, width, HOURS

    def load(self, remarks: list[str] | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        y, x = np.mgrid[: self.height, : self.width]
        mask = (x % (self.width // 2) > 1) & (y > 1)
        frames = np.empty((len(HOURS), self.height, self.width, 3), np.float32)
        for t, hour in enumerate(HOURS):
            sun = max(0.0, np.sin((hour - 6.0) / 12.0 * np.pi)) if 6.0 <= hour <= 18.0 else 0.0
            shadow = 1.0 / (1.0 + np.exp(x - self.width * (hour - 6.0) / 12.0 - 4.0 * np.sin(0.3 * y)))
            lamp = (not 6.0 <= hour <= 18.0) * np.exp(-((x - 10.0) ** 2 + (y - 20.0) ** 2) / 90.0)
            frames[t] = (0.02 + 0.1 * sun + 3.0 * sun * shadow)[..., None] * np.array([1.0, 0.9, 0.7])
            frames[t] += (0.3 * lamp)[..., None] * np.array([1.0, 0.5, 0.2])
        frames[:, ~mask] = 0.0
        return frames, np.array(HOURS), mask


def example_texels() -> LightmapTexels:
    return LightmapTexels(ExampleLightmap())


def started_grid(
    latent_dim: int = 8, latent_bits: int = 8, coarse: tuple[tuple[int, int], ...] = ()
) -> tuple[LatentGrid, np.ndarray]:
    """The example's grid as it is before training, and its true frames."""
    data = example_texels()
    torch.manual_seed(0)
    config = GridConfig(data.height, data.width, HOURS, (6.0, 18.0), latent_dim, latent_bits, coarse=coarse)
    grid = LatentGrid(config, data.mask)
    grid.start_from(data.texels)
    return grid, ExampleLightmap().load()[0]
