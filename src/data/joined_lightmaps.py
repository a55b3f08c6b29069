"""Several lightmaps below one another in one map, so that one F2 serves them all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.lightmap_frames import Lightmap
from src.utils.cli import InputError


class JoinedLightmaps:
    """Lightmaps with the same hours as one; ``parts`` holds (name, first row, height, width) of each.

    Texels beside a lightmap that is narrower than the widest one are invalid.
    """

    def __init__(self, lightmaps: Sequence[Lightmap]) -> None:
        """Raises :class:`InputError` when hours differ, or radiance and display values meet."""
        first = lightmaps[0]
        for other in lightmaps[1:]:
            if (other.hours, other.is_radiance) != (first.hours, first.is_radiance):
                problem = f"{first.name} and {other.name} have different hours"
                raise InputError("--share_f2", problem, "train them apart, or pick lightmaps with --lightmap")
        self._lightmaps = tuple(lightmaps)
        self.name = ", ".join(lightmap.name for lightmap in lightmaps)
        self.hours = first.hours
        self.is_radiance = first.is_radiance
        self.files: tuple[Path, ...] = tuple(file for lightmap in lightmaps for file in lightmap.files)
        self.width = max(lightmap.width for lightmap in lightmaps)
        self.height = sum(lightmap.height for lightmap in lightmaps)
        tops = np.cumsum([0, *(lightmap.height for lightmap in lightmaps[:-1])]).tolist()
        self.parts = tuple((m.name, top, m.height, m.width) for m, top in zip(lightmaps, tops, strict=True))

    def load(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read ``(frames T x H x W x 3, hours T, mask H x W)`` as a single lightmap does."""
        frames = np.zeros((len(self.hours), self.height, self.width, 3), np.float32)
        mask = np.zeros((self.height, self.width), bool)
        for lightmap, (_, top, height, width) in zip(self._lightmaps, self.parts, strict=True):
            frames[:, top : top + height, :width], _, mask[top : top + height, :width] = lightmap.load()
        return frames, np.array(self.hours), mask
