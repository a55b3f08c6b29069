"""The valid texels of a lightmap at all hours as one tensor: what a latent grid is trained on."""

from __future__ import annotations

import numpy as np
import torch

from src.data.lightmap.atlas import LightmapAtlas
from src.data.lightmap.sources import Lightmap


class LightmapTexels:
    """``texels`` N x T x 3 float32: the N valid texels of ``mask`` H x W bool, row-major, at the T ``hour_values``.

    Values are linear radiance where ``is_radiance``, else display values in [0, 1] as stored.
    """

    def __init__(self, lightmap: Lightmap | LightmapAtlas, device: str | torch.device = "cpu") -> None:
        """Read ``lightmap``. Raises :class:`InputError` when a file cannot be read or no texel is valid."""
        self.remarks: list[str] = []  # what was noticed in the data, a line each
        frames, hours, mask = lightmap.load(self.remarks)
        self.name = lightmap.name
        self.texels = torch.from_numpy(np.ascontiguousarray(frames[:, mask].swapaxes(0, 1))).to(device)
        self.mask = torch.from_numpy(mask).to(device)
        self.hour_values = tuple(float(hour) for hour in hours)
        self.is_radiance = lightmap.is_radiance
        self.height, self.width = mask.shape
        self.regions = lightmap.regions if isinstance(lightmap, LightmapAtlas) else ()

    @property
    def device(self) -> torch.device:
        return self.texels.device

    @property
    def texel_count(self) -> int:
        """How many texels are valid."""
        return len(self.texels)

    def frame(self, t: int) -> np.ndarray:
        """The t-th image, H x W x 3 float32, 0 where invalid."""
        image = torch.zeros(self.height, self.width, 3, device=self.device)
        image[self.mask] = self.texels[:, t]
        return image.cpu().numpy()

    def describe(self) -> dict:
        """What the data is, in plain types: tells one data set from another, wherever the folder lies."""
        return {
            "lightmap": self.name,
            "hours": list(self.hour_values),
            "height": self.height,
            "width": self.width,
            "valid_texels": self.texel_count,
        }
