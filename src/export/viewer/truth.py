"""The images a day was baked to, as small pictures for the viewer: 8 bits a channel, lossy, for the eye."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from src.models.lightmap_decoder import LightmapDecoder
from src.utils.metrics import psnr_of_mse_db

QUALITY = 95  # AVIF's
CODE_POWER = 3  # of radiance: code = (value / scale) ^ (1 / 3)


@dataclass(frozen=True)
class TruthPicture:
    """An hour's picture: AVIF bytes, and the decoded frame's PSNR against the image itself.

    Codes are display values, or of radiance the cube roots of its shares of ``scale``, the frame's largest value.
    """

    hour: float
    scale: float
    psnr_db: float
    data: bytes


def truth_pictures(
    decoder: LightmapDecoder, frames: np.ndarray, hours: Sequence[float], mask: np.ndarray
) -> list[TruthPicture]:
    """Of ``frames`` T x H x W x 3 at ``hours``, valid where ``mask`` H x W is.

    The PSNR's peak is each frame's largest value, or 1 of display values.
    """
    pictures = []
    for frame, hour, decoded in zip(frames, hours, decoder.frames(list(hours)), strict=True):
        scale = float(frame.max()) or 1.0
        peak = scale if decoder.is_radiance else 1.0
        mse = torch.from_numpy(frame[mask] - decoded[mask]).double().square().mean()
        code = (frame / scale).clip(0, 1) ** (1 / CODE_POWER) if decoder.is_radiance else frame.clip(0, 1)
        packed = io.BytesIO()
        picture = Image.fromarray((code * 255 + 0.5).astype(np.uint8))
        picture.save(packed, "AVIF", quality=QUALITY, subsampling="4:4:4", speed=6)
        psnr_db = float(psnr_of_mse_db(mse, peak))
        pictures.append(TruthPicture(float(hour), scale, round(psnr_db, 2), packed.getvalue()))
    return pictures
