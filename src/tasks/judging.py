"""By what a stored day of lightmaps is judged while it is trained: measures, and a picture for a person."""

from __future__ import annotations

import math

import numpy as np
import torch

from src.data.lightmap_dataset import LightmapDataset
from src.models.lightmap_decoder import LightmapDecoder
from src.utils.color import linear_to_srgb
from src.utils.contact_sheet import comparison_sheet
from src.utils.hour_interpolation import hours_to_show
from src.utils.texel_grid import texel_xy

HOURS_SHOWN = 3
LARGER_SIDE = 512  # pixels of a picture in the comparison


def validation_measures(psnr_db: float, worst_hour_psnr_db: float, mean_squared: float) -> dict[str, float]:
    """What a task's ``validate`` returns. A lightmap that is black at all hours has no PSNR: its error is the score."""
    score = -mean_squared if math.isnan(psnr_db) else psnr_db
    return {"score": score, "psnr_db": psnr_db, "worst_hour_psnr_db": worst_hour_psnr_db}


def comparison(dataset: LightmapDataset, decoder: LightmapDecoder) -> np.ndarray:
    """Truth, reconstruction and error (x 8) over the day and around events, as displayed; large maps thinned out.

    Radiance is shown with its frame's peak as white.
    """
    stride = -(-max(dataset.height, dataset.width) // LARGER_SIDE)
    texels = torch.arange(dataset.height * dataset.width, device=dataset.device)
    thinned = texels.view(dataset.height, dataset.width)[::stride, ::stride]
    xy = texel_xy(thinned.flatten(), dataset.height, dataset.width)
    invalid = ~dataset.mask[::stride, ::stride].cpu().numpy()
    chosen = hours_to_show(dataset.hour_values, HOURS_SHOWN)
    pairs = []
    for t in chosen:
        frame = dataset.frame(t)
        truth = frame[::stride, ::stride]
        if stride == 1:  # whole frames are decoded several times as fast
            decoded = np.array(decoder.render(dataset.hour_values[t]))
        else:
            decoded = decoder.decode(xy, dataset.hour_values[t]).view(*thinned.shape, 3).cpu().numpy()
        decoded[invalid] = 0.0
        if dataset.is_radiance:
            white = max(float(frame.max()), 1e-12)
            truth, decoded = (linear_to_srgb(np.minimum(image / white, 1.0)) for image in (truth, decoded))
        pairs.append((truth, decoded))
    return comparison_sheet(pairs, [f"{dataset.hour_values[t]:g} h" for t in chosen])
