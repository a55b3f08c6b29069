"""Several lightmaps as one, stacked from top to bottom: what shares one F2 is trained as one map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from src.data.lightmap.sources import Lightmap
from src.utils.cli import InputError

ROW_ALIGNMENT = 16  # latents are packed in groups of so many rows


class LightmapAtlas:
    """``lightmaps`` of the same hours in one frame; what no lightmap covers is invalid.

    ``regions`` says where each lies: (name, first row, height, width), its first column being 0.
    """

    def __init__(self, lightmaps: Sequence[Lightmap]) -> None:
        """Raises :class:`InputError` when hours or kinds of values differ."""
        first = lightmaps[0]
        for other in lightmaps[1:]:
            if other.hours != first.hours or other.is_radiance != first.is_radiance:
                raise InputError(
                    "--share_f2", f"{other.name} and {first.name} differ in their hours or kind of values",
                    "share an F2 among lightmaps that were baked alike",
                )  # fmt: skip
        self.lightmaps = tuple(lightmaps)
        self.name = "+".join(lightmap.name for lightmap in lightmaps)
        self.hours, self.is_radiance = first.hours, first.is_radiance
        heights = [-(-lightmap.height // ROW_ALIGNMENT) * ROW_ALIGNMENT for lightmap in lightmaps]
        rows = np.cumsum([0, *heights]).tolist()
        self.height, self.width = rows[-1], max(lightmap.width for lightmap in lightmaps)
        self.regions = tuple(
            (lightmap.name, row, lightmap.height, lightmap.width)
            for lightmap, row in zip(lightmaps, rows, strict=False)
        )
