"""How far a predicted environment is from the true one: N x 3 x H x W radiance relative to the picture's exposure.

Every mean over directions is weighted by solid angle. The error of single pixels is that of logarithms, whose best
guess under uncertainty is the median: a sun that may be anywhere is nowhere. The same error of coarser versions, which
keep the energy, and of the irradiance sees to it that the light is there nevertheless.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.utils.color import luminance
from src.utils.sphere import pixel_directions, pixel_solid_angles, sh_basis, sh_irradiance

LOG_GAIN = 4.0  # radiance 1 / LOG_GAIN and below counts linearly, above logarithmically
POOLINGS = (2, 4, 8)
NORMAL_ROWS = 8
_IRRADIANCE_GAIN = 4.0
_DARKEST_MEAN = 0.01  # radiance; a true environment below it is taken for black
_GREY = 0.02  # radiance that is added to both before chroma is compared: darker pixels have hardly a colour
_DARKEST_WEIGHT = 1e-6  # of a true environment as a whole: its inverse, times any gradient, is far from overflow


class SphereGrid(NamedTuple):
    """Constants of an H x W environment."""

    rows: Tensor  # H x 1: share of the sphere that a row covers; they sum to 1
    normal_rows: Tensor  # NORMAL_ROWS x 1, the same of the grid of normals
    projection: Tensor  # H x W x 9: radiance to spherical harmonics
    transfer: Tensor  # NORMAL_ROWS x W x 9: spherical harmonics to irradiance / pi


@lru_cache(maxsize=16)
def sphere_grid(height: int, width: int, device: torch.device, dtype: torch.dtype) -> SphereGrid:
    """Made once for each size and place, so that nothing is copied to a GPU in later steps."""
    # As many columns of normals as the environment has: turning it by whole columns turns the irradiance alike.
    normals = pixel_directions(NORMAL_ROWS, width)
    solid_angles = pixel_solid_angles(height, width)
    arrays = (
        solid_angles.sum(axis=1, keepdims=True) / (4 * math.pi),
        pixel_solid_angles(NORMAL_ROWS, width).sum(axis=1, keepdims=True) / (4 * math.pi),
        sh_basis(pixel_directions(height, width)) * solid_angles[..., None],
        sh_irradiance(np.eye(9), normals) / math.pi,
    )
    return SphereGrid(*(torch.from_numpy(array).to(device, dtype) for array in arrays))


def grid_of(environment: Tensor) -> SphereGrid:
    """The constants that fit N x C x H x W."""
    return sphere_grid(*environment.shape[-2:], environment.device, environment.dtype)


def sphere_mean(values: Tensor, rows: Tensor) -> Tensor:
    """The mean of N x C x H x W over directions by solid angle (``rows`` H x 1), pictures and channels: a scalar."""
    return (values.mean(dim=-1, keepdim=True) * rows).sum(dim=-2).mean()


def log_difference(predicted: Tensor, true: Tensor) -> Tensor:
    """``|log(1 + k predicted) - log(1 + k true)|`` of radiance at least 0, in nepers for bright light, per colour."""
    return (torch.log1p(LOG_GAIN * predicted) - torch.log1p(LOG_GAIN * true)).abs()


def log_error(predicted: Tensor, true: Tensor) -> Tensor:
    return sphere_mean(log_difference(predicted, true), grid_of(true).rows)


def chroma_error(predicted: Tensor, true: Tensor) -> Tensor:
    """L1 distance of the colours' shares (0 to 2), weighted by the logarithm of the true luminance; 0 for black.

    The logarithm keeps a sun of a few pixels from being all that counts; the irradiance has its colour in full.
    """
    weight = torch.log1p(LOG_GAIN * luminance(true).unsqueeze(1)) * grid_of(true).rows
    difference = (_chroma(predicted) - _chroma(true)).abs().sum(dim=1, keepdim=True)
    return ((weight * difference).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(_DARKEST_WEIGHT)).mean()


def _chroma(environment: Tensor) -> Tensor:
    lifted = environment + _GREY
    return lifted / lifted.sum(dim=1, keepdim=True)


def multiscale_error(predicted: Tensor, true: Tensor) -> Tensor:
    """Mean of :func:`log_error` over mean radiances of 2 x 2, 4 x 4 and 8 x 8 pixels, as far as the map has them."""
    errors = []
    for factor in POOLINGS:
        if factor <= min(true.shape[-2:]):
            coarse_predicted, rows = coarsen(predicted, factor)
            coarse_true, _ = coarsen(true, factor)
            errors.append(sphere_mean(log_difference(coarse_predicted, coarse_true), rows))
    return torch.stack(errors).mean()


def coarsen(environment: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Mean radiance N x C x ceil(H / factor) x W of patches ``factor`` x ``factor``, and the share of each row of them.

    A patch begins at every column, so that no seam between patches splits a light: each ``factor``-th column is one
    energy-conserving smaller map, all of them are its turns.
    """
    rows = grid_of(environment).rows
    coarse_rows = _sum_rows(rows[None], factor)[0]
    bands = _sum_rows(environment * rows, factor) / coarse_rows
    wrapped = F.pad(bands, (0, factor - 1, 0, 0), mode="circular")
    return F.avg_pool2d(wrapped, (1, factor), stride=1), coarse_rows


def _sum_rows(values: Tensor, factor: int) -> Tensor:
    """Sums of ``factor`` rows; the last may be of fewer."""
    return F.avg_pool2d(values, (factor, 1), stride=(factor, 1), ceil_mode=True, divisor_override=1)


def irradiance_error(predicted: Tensor, true: Tensor) -> Tensor:
    """Difference of the logarithm of order-2 spherical harmonics irradiance, mean over normals and colours.

    The logarithm is asinh of the irradiance relative to the true mean radiance: below a quarter of that it is linear,
    since opposite a single light order 2 rings about zero, by up to a third of the mean.
    """
    mean = (true.mean(dim=(1, 3), keepdim=True) * grid_of(true).rows).sum(dim=2, keepdim=True)
    scale = _IRRADIANCE_GAIN / (mean + _DARKEST_MEAN)
    difference = torch.asinh(scale * irradiance(predicted)) - torch.asinh(scale * irradiance(true))
    return sphere_mean(difference.abs(), grid_of(true).normal_rows)


def irradiance(environment: Tensor) -> Tensor:
    """Irradiance / pi, N x 3 x NORMAL_ROWS x W, on normals all around: 1 under uniform radiance 1."""
    grid = grid_of(environment)
    coefficients = torch.einsum("nchw,hwk->nck", environment, grid.projection)
    return torch.einsum("nck,hwk->nchw", coefficients, grid.transfer)


def confidence_error(confidence: Tensor, predicted: Tensor, true: Tensor) -> Tensor:
    """Squared difference of ``confidence`` N x 1 x H x W and exp(-error); the environment gets no gradient from it."""
    with torch.no_grad():
        earned = torch.exp(-log_difference(predicted, true).mean(dim=1, keepdim=True))
    return sphere_mean((confidence - earned).square(), grid_of(true).rows)
