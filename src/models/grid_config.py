"""What a latent grid is built from, and how large it may be in a given memory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace

import numpy as np
import torch

from src.models.packed_latents import TexelIndex, row_bytes
from src.utils.cli import InputError

LATENT_BITS = (4, 6, 8)
TILE_SIZE = 256  # of the tiles over which the field averages PSNR


@dataclass(frozen=True)
class GridConfig:
    """What a latent grid is built from; plain types, stored in every checkpoint and bundle."""

    height: int
    width: int
    hours: tuple[float, ...]
    events: tuple[float, ...] = ()
    latent_dim: int = 16
    latent_bits: int = 6
    hidden_f2: int = 32
    layers_f2: int = 2
    is_radiance: bool = True  # linear radiance; else display values in [0, 1]
    regions: tuple[tuple[str, int, int, int], ...] = ()  # of an atlas: (name, first row, height, width)

    def to_dict(self) -> dict:
        regions = [list(region) for region in self.regions]
        return {**asdict(self), "hours": list(self.hours), "events": list(self.events), "regions": regions}

    @classmethod
    def from_dict(cls, values: dict) -> GridConfig:
        known = {field.name: values[field.name] for field in fields(cls)}
        tuples = {name: tuple(known[name]) for name in ("hours", "events")}
        return cls(**{**known, **tuples, "regions": tuple(tuple(region) for region in known["regions"])})

    def with_latent_dim(self, latent_dim: int) -> GridConfig:
        return replace(self, latent_dim=latent_dim)

    @property
    def texel_count(self) -> int:
        """Texels of the lightmap, or of all lightmaps, valid or not."""
        return sum(height * width for _, _, height, width in self.regions) or self.height * self.width

    @property
    def tile_ranges(self) -> list[range]:
        """The numbers of each lightmap's tiles of 256 x 256."""
        ranges, first = [], 0
        for _, _, height, width in self.regions or (("", 0, self.height, self.width),):
            count = -(-height // TILE_SIZE) * -(-width // TILE_SIZE)
            ranges.append(range(first, first + count))
            first += count
        return ranges

    @property
    def f2_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of F2's arrays: for each hidden layer weight and bias, then the hours' weight and bias."""
        shapes: list[tuple[int, ...]] = []
        width = self.latent_dim
        for _ in range(self.layers_f2):
            shapes += [(width, self.hidden_f2), (self.hidden_f2,)]
            width = self.hidden_f2
        values = len(self.hours) * 3
        return [*shapes, (self.latent_dim + self.hidden_f2, values), (values,)]


def largest_latent_dim(bpp_memory: float, mask: np.ndarray, config: GridConfig) -> int:
    """The most channels with which all that is resident takes at most ``bpp_memory`` bits per texel and frame.

    Raises :class:`InputError` when not even one channel fits.
    """
    budget = bpp_memory * config.texel_count * len(config.hours) / 8
    index = TexelIndex(torch.from_numpy(mask))
    for latent_dim in range(len(config.hours) * 3, 0, -1):
        trial = config.with_latent_dim(latent_dim)
        latents = index.row_count * row_bytes(latent_dim, config.latent_bits)
        f2 = sum(int(np.prod(shape)) for shape in trial.f2_shapes) * 2 + len(config.hours) * 4
        if latents + f2 + index.size_bytes <= budget:
            return latent_dim
    raise InputError("--bpp", f"{bpp_memory:g} is less than one channel takes", "give more, or fewer --latent_bits")
