"""What the lightmap page does with a bundle, without the page."""

from __future__ import annotations

import numpy as np
import torch

from src.models.lightmap_decoder import LightmapDecoder
from src.utils.color import expose

SHOWN_SIDE = 768  # larger lightmaps are sampled


def picture(decoder: LightmapDecoder, hour: float) -> np.ndarray:
    """H x W x 3 uint8 of one hour, at most SHOWN_SIDE large; texels of small lightmaps become squares of pixels."""
    scale = min(1.0, SHOWN_SIDE / max(decoder.height, decoder.width))
    if scale == 1:
        frame = decoder.render(hour)
    else:
        height, width = (max(1, round(side * scale)) for side in (decoder.height, decoder.width))
        rows, columns = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
        v, u = torch.meshgrid(rows, columns, indexing="ij")
        uv = torch.stack([u.flatten(), v.flatten()], dim=1).to(decoder.device)
        frame = decoder.sample(uv, hour).view(height, width, 3).cpu().numpy()
    exposure = 1.0 / decoder.peak if decoder.is_radiance else None
    codes = np.rint(expose(frame, exposure, decoder.is_radiance) * 255).astype(np.uint8)
    factor = max(1, SHOWN_SIDE // max(decoder.height, decoder.width))
    return codes.repeat(factor, axis=0).repeat(factor, axis=1)


def one_of(decoder: LightmapDecoder, name: str | None = None) -> LightmapDecoder:
    """The lightmap of that name, or the first, of those that share a file."""
    names = decoder.lightmap_names
    return decoder.lightmap(name if name in names else names[0]) if names else decoder
