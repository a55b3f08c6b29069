"""Quality of HDR lightmaps by the protocol of Tencent's High-Performance Rendering Contest (HPRC).

Every frame is cut into tiles of 256 x 256 texels (smaller at the right and lower border). Tiles without a valid texel
and black tiles are left out. In each tile

- PSNR: error over valid texels, the peak is the largest true value among them;
- SSIM: invalid texels are 0 in both, the data range is that of the true tile;
- LPIPS: as SSIM, both scaled by the true tile's range to [0, 1] (linear values, as the contest does).

A frame has the mean over its tiles, a lightmap the mean over its frames. :func:`tile_metrics` measures whole frames;
where errors are summed piece by piece, as in training, :func:`tile_of_texels` says which tile each belongs to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from src.utils.metrics import SSIM_WINDOW, psnr_db, psnr_of_mse_db, ssim

TILE_SIZE = 256
_CHUNK = 1 << 18  # texels

# (worst, best, points): the score of a term is linear between worst and best, and clipped.
SCORE_RANGES = {
    "psnr_db": (20.0, 55.0, 5.0),
    "ssim": (0.73, 0.999, 5.0),
    "lpips": (0.3, 0.0003, 5.0),
    "size_ratio": (0.5, 0.0, 20.0),
    "decode_s": (300.0, 0.0, 15.0),
}


@dataclass(frozen=True)
class TileMetrics:
    """Per-frame values, each of shape T float64; ``lpips`` is None when no network was given.

    ``counted`` (T, bool) is False for frames whose every tile is black or invalid; their values are NaN and they are
    left out of the means.
    """

    psnr_db: np.ndarray
    ssim: np.ndarray
    lpips: np.ndarray | None
    counted: np.ndarray

    def mean(self, name: str) -> float | None:
        """Mean of ``'psnr_db'``, ``'ssim'`` or ``'lpips'`` over the frames that count (NaN when none does)."""
        values = getattr(self, name)
        return None if values is None else float(np.mean(values[self.counted])) if self.counted.any() else float("nan")


def tile_metrics(
    truth: np.ndarray,
    prediction: np.ndarray,
    mask: np.ndarray,
    lpips: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    tile: int = TILE_SIZE,
) -> TileMetrics:
    """Measure frames T x H x W x 3 (linear radiance) against ``truth`` within ``mask`` (H x W bool).

    ``lpips`` is what :func:`src.utils.metrics.load_lpips` returns. A prediction that is not finite gives NaN.
    """
    if truth.shape != prediction.shape or truth.shape[1:3] != mask.shape:
        raise ValueError(f"shapes differ: {truth.shape}, {prediction.shape}, mask {mask.shape}")
    names = ["psnr_db", "ssim"] + (["lpips"] if lpips else [])
    sums = {name: np.zeros(len(truth)) for name in names}
    tiles = np.zeros(len(truth), int)
    for top in range(0, mask.shape[0], tile):
        for left in range(0, mask.shape[1], tile):
            window = np.s_[top : top + tile, left : left + tile]
            if not mask[window].any():
                continue
            true_tile = _masked_tensor(truth, mask, window)
            lit = true_tile.amax((1, 2, 3)) > 0
            if not lit.any():
                continue
            valid = torch.from_numpy(mask[window])[None, None]
            values = _measure(true_tile[lit], _masked_tensor(prediction, mask, window)[lit], valid, lpips)
            for name in names:
                sums[name][lit.numpy()] += values[name].double().numpy()
            tiles += lit.numpy()
    with np.errstate(invalid="ignore"):
        means = {name: total / tiles for name, total in sums.items()}
    return TileMetrics(means["psnr_db"], means["ssim"], means.get("lpips"), tiles > 0)


def tile_count(height: int, width: int) -> int:
    """How many tiles cover a map."""
    return -(-height // TILE_SIZE) * -(-width // TILE_SIZE)


def tile_of_texels(mask: Tensor) -> Tensor:
    """The number of the tile, row-major, in which each valid texel of ``mask`` H x W lies: N int64."""
    row, column = torch.nonzero(mask, as_tuple=True)
    return row // TILE_SIZE * -(-mask.shape[1] // TILE_SIZE) + column // TILE_SIZE


def tile_peaks(texels: Tensor, tiles: Tensor, count: int) -> Tensor:
    """The largest value in each of ``count`` tiles at each hour, count x T: ``texels`` N x T x 3, ``tiles`` N."""
    peaks = texels.new_zeros(count, texels.shape[1])
    for values, of_texels in zip(texels.split(_CHUNK), tiles.split(_CHUNK), strict=True):
        brightest = values.amax(dim=2)
        peaks.scatter_reduce_(0, of_texels.unsqueeze(1).expand_as(brightest), brightest, "amax")
    return peaks


def tile_psnr_db(mean_squared: Tensor, peaks: Tensor) -> Tensor:
    """PSNR of each tile at each hour, tiles x T float64, from its mean squared error and its peak; NaN where black."""
    return torch.where(peaks > 0, psnr_of_mse_db(mean_squared, peaks), torch.nan)


def day_psnr_db(of_tiles: Tensor) -> tuple[float, float]:
    """The mean over tiles and hours, and that of the worst hour, of the PSNR ``of_tiles`` tiles x T.

    Black tiles (NaN) and hours of nothing else are left out; both are NaN where all is black.
    """
    hours = of_tiles.nanmean(dim=0)
    hours = hours[~hours.isnan()]
    return (float(hours.mean()), float(hours.min())) if len(hours) else (math.nan, math.nan)


def hprc_score(**measured: float | None) -> tuple[float, float]:
    """``(points, attainable points)`` of the contest's score.

    ``psnr_db``, ``ssim`` and ``lpips`` are means over all tiles and hours, ``size_ratio`` is the resident size in bytes
    over that of 24 float32 frames, ``decode_s`` the seconds to decode all lightmaps at all hours. A term that is
    None or left out is not attainable. A value that is NaN gives no points.
    """
    points = attainable = 0.0
    for name, value in measured.items():
        if value is None:
            continue
        worst, best, most = SCORE_RANGES[name]
        fraction = 0.0 if math.isnan(value) else (value - worst) / (best - worst)
        points += most * min(max(fraction, 0.0), 1.0)
        attainable += most
    return points, attainable


def _masked_tensor(frames: np.ndarray, mask: np.ndarray, window: tuple[slice, slice]) -> torch.Tensor:
    """One tile of all frames as T x 3 x h x w float32 with 0 at invalid texels."""
    texels = np.where(mask[window][..., None], frames[(slice(None), *window)], 0)
    return torch.from_numpy(np.ascontiguousarray(texels.transpose(0, 3, 1, 2), np.float32))


def _measure(
    truth: torch.Tensor, prediction: torch.Tensor, valid: torch.Tensor, lpips: Callable | None
) -> dict[str, torch.Tensor]:
    """Metrics of one tile, shape T each. Negative truth does not occur in radiance, so that the maximum over valid
    texels is the maximum over the tile with 0 elsewhere."""
    peak, floor = truth.amax((1, 2, 3)), truth.amin((1, 2, 3))
    values = {"psnr_db": psnr_db(truth, prediction, valid, peak)}
    value_range = (peak - floor).clamp_min(1e-6 * peak)  # a constant tile has no range
    height, width = valid.shape[-2:]
    padding = [0, max(0, SSIM_WINDOW - width), 0, max(0, SSIM_WINDOW - height)]
    values["ssim"] = ssim(functional.pad(truth, padding), functional.pad(prediction, padding), None, value_range)
    if lpips:
        scale, offset = value_range[:, None, None, None], floor[:, None, None, None]
        with torch.no_grad():
            values["lpips"] = lpips((truth - offset) / scale, (prediction - offset) / scale)
    return values
