"""What a stored day of lightmaps offers, however it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from src.models.sampling import Filter, require_filter, surrounding_texels, weighted_colours, weights_of_valid
from src.utils.texel_grid import texel_xy

CHUNK_TEXELS = 8192  # of one thread: of fewer the calls take most of the time, more leave the processor's cache
GPU_CHUNK_TEXELS = 1 << 18
POINTS_AT_ONCE = 1 << 18  # that are sampled: their four texels each are looked up together


def chunk_texels(device: torch.device) -> int:
    """How many texels a decoder works on at a time."""
    return CHUNK_TEXELS if device.type == "cpu" else GPU_CHUNK_TEXELS


class LightmapDecoder(Protocol):
    """Colours of any texel at any hour: what a checkpoint, an export or a bundle of either kind is opened as.

    Values are linear radiance where ``is_radiance``, else display values in [0, 1]. ``height`` and ``width`` are the
    lightmap's, ``hours`` those that were baked (none where the files do not say), in [0, 24).
    """

    height: int
    width: int
    hours: tuple[float, ...]
    is_radiance: bool
    device: torch.device

    @property
    def peak(self) -> float:
        """What previews show as white: of radiance how bright the day gets, else 1."""
        ...

    @property
    def resident_bytes(self) -> int:
        """All that must stay in memory for access to single texels."""
        ...

    @property
    def lightmap_names(self) -> tuple[str, ...]:
        """The lightmaps that share the file, for :meth:`lightmap`; empty for a single one."""
        ...

    def lightmap(self, name: str) -> LightmapDecoder:
        """The decoder of one of several lightmaps. Raises :class:`InputError` when there is none of that name."""
        ...

    def decode(self, xy: Tensor, hours: Tensor | float) -> Tensor:
        """Single texels: ``xy`` N x 2 in [-1, 1], x first, ``hours`` a number or N of them (24 is 0) -> N x 3."""
        ...

    def is_valid(self, texels: Tensor) -> Tensor:
        """Which of the row-major ``texels`` M int64 hold a colour, M bool: all of them where none is known not to."""
        ...

    def mask(self) -> np.ndarray:
        """Which texels are valid, H x W bool."""
        texels = torch.arange(self.height * self.width, device=self.device)
        parts = [self.is_valid(part).cpu() for part in texels.split(POINTS_AT_ONCE)]
        return torch.cat(parts).view(self.height, self.width).numpy()

    def frames(self, hours: Sequence[float]) -> Iterator[np.ndarray]:
        """Whole frames one by one, H x W x 3 float32 each."""
        ...

    def render(self, hours: float | Sequence[float]) -> np.ndarray:
        """Whole frames: one hour -> H x W x 3 float32, several -> T x H x W x 3."""
        if isinstance(hours, int | float):
            return next(self.frames([hours]))
        return np.stack(list(self.frames(hours)))

    @torch.no_grad()
    def sample(self, uv: Tensor, hours: Tensor | float, filter: Filter = "bilinear") -> Tensor:
        """Colours at any points: ``uv`` N x 2 in [0, 1], ``hours`` a number or N of them (24 is 0) -> N x 3.

        u runs to the right, v downwards from the upper edge of row 0; texel (i, j) has its centre at ``u = (i + 0.5) /
        width, v = (j + 0.5) / height``, where :meth:`decode` gives the same. Beyond the outermost centres the border
        goes on. Of the four texels around a point those that are not valid give their weight to the others, so that
        colours do not darken at the border of a chart; where none is valid that has a weight it is 0. ``"nearest"``
        takes the valid one with the largest bilinear weight.

        The four colours are interpolated, not the latents: F2 is not linear, and the colour of a mean of two latents
        may be far from both colours. Raises ``ValueError`` for another ``filter``.
        """
        require_filter(filter)
        uv = torch.as_tensor(uv, device=self.device)
        hours = torch.as_tensor(hours, dtype=torch.float64, device=self.device).reshape(-1)

        def decode(texels: Tensor, hours: Tensor) -> Tensor:
            return self.decode(texel_xy(texels, self.height, self.width), hours)

        sampled = uv.new_empty(len(uv), 3, dtype=torch.float32)
        for first in range(0, len(uv), POINTS_AT_ONCE):
            points = slice(first, first + POINTS_AT_ONCE)
            texels, weights = surrounding_texels(uv[points], self.height, self.width)
            valid = self.is_valid(texels.flatten()).view_as(texels)
            weights = weights_of_valid(weights, valid, filter)
            sampled[points] = weighted_colours(decode, texels, weights, hours if len(hours) == 1 else hours[points])
        return sampled
