"""Environment maps as torch tensors N x C x h x w: wrapped borders and sampling along directions, differentiable.

Frame and pixel convention are those of :mod:`src.utils.sphere`.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def wrap(sphere: Tensor) -> Tensor:
    """One more pixel around N x C x h x w: columns wrap, beyond a pole comes the same row half a turn away."""
    half = sphere.shape[-1] // 2
    top, bottom = (sphere[:, :, row].roll(half, dims=-1) for row in (slice(0, 1), slice(-1, None)))
    tall = torch.cat([top, sphere, bottom], dim=2)
    return torch.cat([tall[..., -1:], tall, tall[..., :1]], dim=3)


def double(sphere: Tensor) -> Tensor:
    """N x C x h x w -> N x C x 2h x 2w, bilinear without a seam."""
    return F.interpolate(wrap(sphere), scale_factor=2.0, mode="bilinear", align_corners=False)[..., 2:-2, 2:-2]


def sampling_grid(directions: Tensor, height: int, width: int) -> Tensor:
    """Where directions (... x 3, of any length) lie in an h x w map, ... x 2, for :func:`sample`."""
    x, y, z = directions.unbind(-1)
    rows = torch.atan2(torch.hypot(x, z), y) / math.pi * height - 0.5
    columns = torch.remainder(torch.atan2(x, -z) / (2 * math.pi), 1.0) * width - 0.5
    # Pixel centres of the wrapped map, whose corners are at -1 and 1.
    return torch.stack([2 * (columns + 1.5) / (width + 2) - 1, 2 * (rows + 1.5) / (height + 2) - 1], dim=-1)


def sample(sphere: Tensor, grid: Tensor) -> Tensor:
    """N x C x h x w maps at N x H x W x 2 places of :func:`sampling_grid` -> N x C x H x W, bilinear, no seam."""
    return F.grid_sample(wrap(sphere), grid, mode="bilinear", padding_mode="border", align_corners=False)
