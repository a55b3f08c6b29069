"""What a stored day of lightmaps offers, however it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

CHUNK_TEXELS = 8192  # of one thread: of fewer the calls take most of the time, more leave the processor's cache
GPU_CHUNK_TEXELS = 1 << 18


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

    def frames(self, hours: Sequence[float]) -> Iterator[np.ndarray]:
        """Whole frames one by one, H x W x 3 float32 each."""
        ...

    def render(self, hours: float | Sequence[float]) -> np.ndarray:
        """Whole frames: one hour -> H x W x 3 float32, several -> T x H x W x 3."""
        if isinstance(hours, int | float):
            return next(self.frames([hours]))
        return np.stack(list(self.frames(hours)))
